"""`speechkit align forced`: a manifest with transcripts in, the same with the times of its words out.

Without a model one is trained on the manifest itself. Output: `cuts.jsonl.gz`; `words.ctm` and `textgrid/`
if asked for; `skipped.tsv` and `suspicious.tsv`; `summary.json`; and the model that was trained.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from speechkit import log
from speechkit.align.config import AlignConfig
from speechkit.align.hmm_model import HmmModel
from speechkit.align.methods import (
    MIN_SAMPLING_RATE,
    align_alone,
    align_with_ctc,
    align_with_models,
    load_exp,
    sampling_rate_of,
)
from speechkit.align.result import Aligned, NotAligned, Outcome
from speechkit.align.spelling import letters_of
from speechkit.artifact import check_writable, make_artifact, publish_file, write_json
from speechkit.audio.config import FeatureConfig
from speechkit.audio.io import AudioInfo, audio_info
from speechkit.data.batch import utterances_of
from speechkit.data.corpora.items import is_file_name
from speechkit.data.formats.ctm import write_ctm
from speechkit.data.formats.textgrid import write_textgrid
from speechkit.data.prepare import bad_count_limit
from speechkit.data.store import CUTS_FILE, Word, audio_path, load_cuts, save_cuts, with_tiers
from speechkit.errors import NUM_SHOWN, ConfigError, SpeechkitError, counted
from speechkit.models.table import Trained

if TYPE_CHECKING:
    from lhotse import MonoCut

FORMATS = ("ctm", "textgrid")
CTM_FILE, TEXTGRID_FOLDER = "words.ctm", "textgrid"
SKIPPED_FILE, SUSPICIOUS_FILE, SUMMARY_FILE = "skipped.tsv", "suspicious.tsv", "summary.json"
SKIPPED_COLUMNS = ("where", "id", "reason")
SUSPICIOUS_COLUMNS = ("id", "position", "word", "start", "duration", "confidence")


@dataclass(frozen=True)
class _Item:
    """A cut, the line it stands in, and what came of it."""

    cut: MonoCut
    where: str
    outcome: Outcome


def run(
    config: AlignConfig,
    *,
    cuts: Path,
    out: Path,
    exp: Path | None = None,
    num_jobs: int = 1,
    force: bool = False,
    json_file: Path | None = None,
) -> None:
    """Make the artifact `out` and print one summary line.

    Args:
        exp: an earlier `align forced`, or a trained CTC model; without it models are trained on `cuts`.
    Raises:
        SpeechkitError: more utterances than `max_bad` can not be aligned; all are listed.
        ConfigError: an unknown format, or ids that can not be file names.
    """
    formats = _formats(config.formats)
    bad_count_limit(config.max_bad, 0)  # a wrong value shows before the work
    check_writable(json_file)
    manifest = cuts / CUTS_FILE if cuts.is_dir() else cuts
    found = list(load_cuts(manifest))
    if "textgrid" in formats:
        _check_names(found)

    def build(folder: Path) -> None:
        torch.set_num_threads(1)
        model = load_exp(exp, config) if exp is not None else None
        rate = sampling_rate_of(model, config, [cut.sampling_rate for cut in found])
        with ThreadPoolExecutor(num_jobs) as pool:
            faults = _faults(found, rate, pool)
            known = [NotAligned(fault) if fault else Aligned(()) for fault in faults]
            _judge(_items(found, known, manifest), config.max_bad, out)  # before hours of training
            outcomes, trained = _align(config, found, faults, model=model, pool=pool)
        items = _items(found, outcomes, manifest)
        _judge(items, config.max_bad, out)
        if trained is not None:
            trained.save(folder)
        _write(items, config, folder, formats=formats)

    made = make_artifact(
        out,
        command="align forced",
        config=config,
        inputs={"cuts": manifest, **({} if exp is None else {"exp": exp})},
        build=build,
        audio=[audio_path(cut) for cut in found],
        force=force,
    )
    summary = json.loads((out / SUMMARY_FILE).read_text(encoding="utf-8"))
    if made:
        print(_summary_line(out, summary))
    if json_file is not None:
        write_json(json_file, summary)


def _formats(text: str) -> list[str]:
    formats = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise ConfigError(f"unknown format `{unknown[0]}`", expected=f"{' or '.join(FORMATS)}, joined by comma")
    return formats


def _check_names(cuts: Sequence[MonoCut]) -> None:
    bad = [cut.id for cut in cuts if not is_file_name(cut.id)]
    if bad:
        raise ConfigError(
            f"{len(bad)} ids can not be names of TextGrid files", where=bad, hint="leave `textgrid` out of --format"
        )


def _items(cuts: Sequence[MonoCut], outcomes: Sequence[Outcome], manifest: Path) -> list[_Item]:
    pairs = enumerate(zip(cuts, outcomes, strict=True), start=1)
    return [_Item(cut, f"{manifest}:{number}", outcome) for number, (cut, outcome) in pairs]


def _align(
    config: AlignConfig,
    cuts: Sequence[MonoCut],
    faults: Sequence[str],
    *,
    model: HmmModel | Trained | None,
    pool: Executor,
) -> tuple[list[Outcome], HmmModel | None]:
    """The outcome of every cut, and the Gaussian models if some were trained."""
    rate = sampling_rate_of(model, config, [cut.sampling_rate for cut in cuts])
    good = [cut for cut, fault in zip(cuts, faults, strict=True) if not fault]
    utterances = utterances_of(good, FeatureConfig(sampling_rate=rate))
    speakers = [cut.supervisions[0].speaker for cut in good]
    trained: HmmModel | None = None
    if isinstance(model, HmmModel):
        outcomes = align_with_models(model, utterances, speakers, pool)
    elif model is None:
        outcomes, trained = align_alone(config, utterances, speakers, pool)
    else:
        outcomes, trained = align_with_ctc(config, model, utterances, speakers, pool)
    found = iter(outcomes)
    return [NotAligned(fault) if fault else next(found) for fault in faults], trained


def _faults(cuts: Sequence[MonoCut], sampling_rate: int, pool: Executor) -> list[str]:
    """Why each cut can not be aligned, as far as manifest and headers show; or an empty text."""
    paths = list(dict.fromkeys(map(audio_path, cuts)))
    headers = dict(zip(paths, pool.map(_header, paths), strict=True))
    return [_fault_of(cut, sampling_rate) or _audio_fault(cut, headers[audio_path(cut)]) for cut in cuts]


def _header(path: Path) -> AudioInfo | str:
    try:
        return audio_info(path)
    except SpeechkitError as error:
        return error.what


def _audio_fault(cut: MonoCut, header: AudioInfo | str) -> str:
    if isinstance(header, str):
        return header
    rate = cut.sampling_rate
    if header.sampling_rate != rate:
        return f"`{audio_path(cut)}` is sampled at {header.sampling_rate} Hz, its manifest says {rate} Hz"
    needed = round(cut.start * rate) + round(cut.duration * rate)
    if 0 < header.num_samples < needed:
        return f"`{audio_path(cut)}` is truncated: it has {header.num_samples} samples, {needed} are needed"
    return ""


def _fault_of(cut: MonoCut, sampling_rate: int) -> str:
    if len(cut.supervisions) != 1:
        return f"it has {counted(len(cut.supervisions), 'supervision')}, not one"
    words = (cut.supervisions[0].text or "").split()
    if not words:
        return "it has no text"
    silent = [word for word in words if not letters_of(word)]
    if silent:
        return f"the word `{silent[0]}` has no letter that could sound"
    if cut.sampling_rate < MIN_SAMPLING_RATE:
        return f"it is sampled at {cut.sampling_rate} Hz, at least {MIN_SAMPLING_RATE} Hz are needed"
    if cut.sampling_rate < sampling_rate:
        return f"it is sampled at {cut.sampling_rate} Hz, the model needs {sampling_rate} Hz"
    return ""


def _judge(items: Sequence[_Item], max_bad: str, out: Path) -> None:
    """Stop when too many utterances have no alignment; all of them are listed in `<out>.bad.tsv`."""
    report = out.with_name(f"{out.name}.bad.tsv")
    report.unlink(missing_ok=True)
    lines = _skipped_lines(items)
    if len(lines) <= bad_count_limit(max_bad, len(items)) and len(lines) < len(items):
        return
    more = ""
    if len(lines) > NUM_SHOWN:
        _write_table(report, SKIPPED_COLUMNS, lines)
        more = f"; the whole list is in `{report}`"
    raise SpeechkitError(
        f"{len(lines)} of {counted(len(items), 'utterance')} can not be aligned",
        where=["  ".join(line) for line in lines],
        hint=f"mend them, or skip them with --max-bad {len(lines)}{more}" if len(lines) < len(items) else "",
    )


def _skipped_lines(items: Sequence[_Item]) -> list[tuple[str, ...]]:
    return [(item.where, item.cut.id, item.outcome.reason) for item in items if isinstance(item.outcome, NotAligned)]


def _write(items: Sequence[_Item], config: AlignConfig, folder: Path, *, formats: Sequence[str]) -> None:
    done = [(item.cut, item.outcome) for item in items if isinstance(item.outcome, Aligned)]
    aligned = [with_tiers(cut, _tiers(outcome)) for cut, outcome in done]
    save_cuts(aligned, folder / CUTS_FILE)
    if "ctm" in formats:
        write_ctm(folder / CTM_FILE, [(cut.recording.id, _shifted(outcome.words, cut.start)) for cut, outcome in done])
    if "textgrid" in formats:
        (folder / TEXTGRID_FOLDER).mkdir()
        for cut, outcome in done:
            write_textgrid(folder / TEXTGRID_FOLDER / f"{cut.id}.TextGrid", _tiers(outcome), end_seconds=cut.duration)
    skipped = _skipped_lines(items)
    if skipped:
        _write_table(folder / SKIPPED_FILE, SKIPPED_COLUMNS, skipped)
        log.warn(
            f"{len(skipped)} of {counted(len(items), 'utterance')} can not be aligned and are left out:"
            f" see {SKIPPED_FILE}"
        )
    suspicious = [
        (
            cut.id,
            str(position),
            word.symbol,
            f"{word.start_seconds:.3f}",
            f"{word.duration_seconds:.3f}",
            str(word.score),
        )
        for cut, outcome in done
        for position, word in enumerate(outcome.words, start=1)
        if word.score is not None and word.score < config.min_confidence
    ]
    _write_table(folder / SUSPICIOUS_FILE, SUSPICIOUS_COLUMNS, suspicious)
    words = [word for _, outcome in done for word in outcome.words]
    summary = {
        "num_utterances": len(done),
        "num_skipped": len(skipped),
        "num_words": len(words),
        "num_suspicious": len(suspicious),
        "mean_confidence": round(sum(word.score or 0.0 for word in words) / len(words), 4),
        "audio_seconds": round(sum(cut.duration for cut, _ in done), 2),
    }
    write_json(folder / SUMMARY_FILE, summary)
    if suspicious:
        log.warn(
            f"{len(suspicious)} of {counted(len(words), 'word')} fit badly"
            f" (confidence below {config.min_confidence:g}): see {SUSPICIOUS_FILE}"
        )


def _tiers(outcome: Aligned) -> dict[str, Sequence[Word]]:
    return {"word": outcome.words, **({"token": outcome.tokens} if outcome.tokens else {})}


def _shifted(words: Sequence[Word], seconds: float) -> list[Word]:
    return [replace(word, start_seconds=round(word.start_seconds + seconds, 8)) for word in words]


def _write_table(path: Path, columns: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    with publish_file(path) as stream:
        stream.writelines("\t".join(line) + "\n" for line in [columns, *lines])


def _summary_line(out: Path, summary: dict[str, Any]) -> str:
    parts = [counted(summary["num_utterances"], "utterance"), f"{counted(summary['num_words'], 'word')} aligned"]
    if summary["num_suspicious"]:
        parts.append(f"{summary['num_suspicious']} of them suspicious (see {out / SUSPICIOUS_FILE})")
    if summary["num_skipped"]:
        parts.append(f"{counted(summary['num_skipped'], 'utterance')} skipped (see {out / SKIPPED_FILE})")
    return f"{out}: {', '.join(parts)}"
