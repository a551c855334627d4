"""`speechkit data prepare`: any corpus -> `<out>/{recordings,supervisions,cuts}.jsonl.gz`.

A corpus is one file in `corpora/` with `prepare(source, out, config, *, num_jobs) -> Prepared`,
a config in `data/config.py`, and one line in each of the two tables.
"""

from __future__ import annotations

import difflib
import importlib
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from speechkit import log
from speechkit.artifact import make_artifact, publish_file
from speechkit.config import Config, load_config
from speechkit.data.config import CORPUS_CONFIGS, FsddStringsConfig, PrepareConfig
from speechkit.data.corpora import kaldi, tsv
from speechkit.data.corpora.items import BadItem, Prepared
from speechkit.data.store import load_cuts, save_manifests
from speechkit.errors import NUM_SHOWN, ConfigError, SpeechkitError, counted

CORPORA = {
    "an4": "speechkit.data.corpora.an4:prepare",
    "barista": "speechkit.data.corpora.barista:prepare",
    "cmu_arctic": "speechkit.data.corpora.arctic:prepare_cmu",
    "commonvoice": "speechkit.data.corpora.commonvoice:prepare",
    "dspspeech20": "speechkit.data.corpora.dspspeech20:prepare",
    "fluent_speech_commands": "speechkit.data.corpora.fluent_speech_commands:prepare",
    "fsdd": "speechkit.data.corpora.fsdd:prepare",
    "fsdd-strings": "speechkit.data.corpora.fsdd_strings:prepare",
    "kaldi": "speechkit.data.corpora.kaldi:prepare",
    "l2_arctic": "speechkit.data.corpora.arctic:prepare_l2",
    "lhotse": "speechkit.data.corpora.lhotse_recipe:prepare",
    "librispeech": "speechkit.data.corpora.librispeech:prepare",
    "mini_librispeech": "speechkit.data.corpora.librispeech:prepare",
    "sap": "speechkit.data.corpora.sap:prepare",
    "so762": "speechkit.data.corpora.so762:prepare",
    "speech_commands": "speechkit.data.corpora.speech_commands:prepare",
    "timit": "speechkit.data.corpora.timit:prepare",
    "torgo": "speechkit.data.corpora.torgo:prepare",
    "tsv": "speechkit.data.corpora.tsv:prepare",
    "uaspeech": "speechkit.data.corpora.uaspeech:prepare",
    "yesno": "speechkit.data.corpora.yesno:prepare",
}
SKIPPED_FILE = "skipped.tsv"
Prepare = Callable[..., Prepared]


def corpus_options(corpus: str, overrides: Sequence[str]) -> Config:
    """The options of a corpus with `--set` applied; `lhotse:NAME` has those of `lhotse`.

    Raises:
        ConfigError: unknown corpus, key or value.
    """
    kind, colon, recipe = corpus_name(corpus).partition(":")
    if kind not in CORPORA or (kind == "lhotse") != bool(colon and recipe):
        known = [f"{name}:NAME" if name == "lhotse" else name for name in CORPORA]
        near = difflib.get_close_matches(corpus, known, n=3, cutoff=0.4)
        raise ConfigError(
            f"unknown corpus `{corpus}`" + (f", did you mean {' or '.join(f'`{n}`' for n in near)}?" if near else ""),
            expected=f"one of {', '.join(known)}",
        )
    return load_config(CORPUS_CONFIGS[kind], None, overrides)


def corpus_name(name: str) -> str:
    """The name as it stands in `CORPORA`: dashes and underscores are the same."""
    kind, colon, recipe = name.partition(":")
    same = {known.replace("-", "_"): known for known in CORPORA}
    return same.get(kind.replace("-", "_"), kind) + colon + recipe


def prepare_corpus(config: PrepareConfig, out: Path, *, num_jobs: int = 1, force: bool = False) -> None:
    """Make the artifact `out` from a corpus; prints one summary line.

    Raises:
        SpeechkitError: the source is missing or not of this kind, or more items than `max_bad` are unusable.
    """
    source = Path(config.source)
    if not source.exists():
        raise SpeechkitError(f"`{source}` does not exist", expected=f"the source of the corpus `{config.corpus}`")
    if source.resolve() == out.resolve() or source.resolve() in out.resolve().parents:
        raise SpeechkitError(f"`{out}` lies inside the source `{source}`", hint="choose another --out")
    bad_count_limit(config.max_bad, 0)  # a wrong value shows before the work

    def build(folder: Path) -> None:
        _build(config, folder, out, num_jobs=num_jobs)

    made = make_artifact(
        out,
        command="data prepare",
        config=config,
        inputs={"source": source, **_list_inputs(config.options)},
        build=build,
        audio=_audio_elsewhere(config.corpus, source),
        force=force,
    )
    if made:
        print(_summary(out))


def _list_inputs(options: Config) -> dict[str, Path]:
    if not isinstance(options, FsddStringsConfig):
        return {}
    return {f"list{i}": Path(name) for i, name in enumerate(filter(None, options.list.split(",")))}


def _audio_elsewhere(corpus: str, source: Path) -> list[Path]:
    """Audio that the source names but does not hold, so that its changes show, too."""
    if corpus.startswith("lhotse:"):
        return []
    corpus = corpus_name(corpus)
    paths = kaldi.named_audio(source) if corpus == "kaldi" else tsv.named_audio(source)
    return [path for path in paths if not path.is_relative_to(source.resolve())]


def _build(config: PrepareConfig, folder: Path, out: Path, *, num_jobs: int) -> None:
    kind, _, recipe = corpus_name(config.corpus).partition(":")
    module, _, function = CORPORA[kind].partition(":")
    prepare = cast(Prepare, getattr(importlib.import_module(module), function))
    extra: dict[str, Any] = {"recipe": recipe} if recipe else {}
    prepared = prepare(Path(config.source), folder, config.options, num_jobs=num_jobs, **extra)
    judge_bad_items(prepared.bad, len(prepared.cuts), max_bad=config.max_bad, out=out)
    if prepared.bad or prepared.left_out:
        write_bad_items(folder / SKIPPED_FILE, [*prepared.bad, *prepared.left_out])
    save_manifests(prepared.cuts, folder, final_folder=out)
    for note in prepared.notes:
        log.warn(note)
    done = f"prepared {counted(len(prepared.cuts), 'utterance')}, skipped {len(prepared.bad)}"
    if prepared.left_out:
        done += f", left out {counted(len(prepared.left_out), 'item')} of the corpus without a transcript"
    log.info(done + (f": reasons in {out / SKIPPED_FILE}" if prepared.bad or prepared.left_out else ""))


def bad_count_limit(max_bad: str, total: int) -> int:
    """How many of `total` items may be unusable, from a count (`12`) or a share (`1%`, rounded down).

    Raises:
        ConfigError: neither.
    """
    match = re.fullmatch(r"([0-9]{1,9})|([0-9]{1,3}(?:\.[0-9]+)?)%", max_bad.strip())
    if match is None or (match[2] and float(match[2]) > 100):
        raise ConfigError(f"`--max-bad {max_bad}` is neither a count nor a share", expected="for example 12 or 1%")
    return int(match[1]) if match[1] else int(float(match[2]) * total / 100)


def judge_bad_items(bad: Sequence[BadItem], num_good: int, *, max_bad: str, out: Path) -> None:
    """Stop when too many items are unusable; all of them are listed in `<out>.bad.tsv`.

    Raises:
        SpeechkitError: more than `max_bad` are, or none is usable.
    """
    report = out.with_name(f"{out.name}.bad.tsv")
    report.unlink(missing_ok=True)
    num_bad, total = len(bad), len(bad) + num_good
    if num_bad > bad_count_limit(max_bad, total):
        more = ""
        if num_bad > NUM_SHOWN:
            write_bad_items(report, bad)
            more = f"; the whole list is in `{report}`"
        raise SpeechkitError(
            f"{num_bad} of {total} items can not be used",
            where=[str(item) for item in bad],
            hint=f"mend them, or skip them with --max-bad {num_bad}{more}",
        )
    if not num_good:
        raise SpeechkitError("no usable utterance is left", where=[str(item) for item in bad])


def write_bad_items(path: Path, bad: Sequence[BadItem]) -> None:
    """The items as a table with the columns where, id and reason."""
    with publish_file(path) as stream:
        stream.write("where\tid\treason\n")
        stream.writelines(f"{item.where}\t{item.utt_id}\t{item.reason}\n" for item in bad)


def _summary(out: Path) -> str:
    cuts = load_cuts(out)
    hours = sum(cut.duration for cut in cuts) / 3600
    speakers = {s.speaker for cut in cuts for s in cut.supervisions if s.speaker is not None}
    counts = [counted(len(cuts), "utterance"), f"{hours:.2f} h", counted(len(speakers), "speaker")]
    num_skipped = sum(1 for _ in _skipped_lines(out))
    if num_skipped:
        counts.append(f"{num_skipped} skipped (see {out / SKIPPED_FILE})")
    return f"{out}: {', '.join(counts)}"


def _skipped_lines(out: Path) -> Iterator[str]:
    path = out / SKIPPED_FILE
    if path.is_file():
        yield from path.read_text(encoding="utf-8").splitlines()[1:]
