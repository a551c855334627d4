"""The command `score wer`: read, score, and the table, JSON and alignment files that come out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from speechkit import log
from speechkit.artifact import publish_file
from speechkit.errors import CheckFailed, ConfigError
from speechkit.score.config import ScoringConfig, WerConfig
from speechkit.score.flags import flags
from speechkit.score.lists import error_lists, join_compounds, word_rates
from speechkit.score.marked import align_by_time, score_marked, score_pieces, split_plain
from speechkit.score.nbest import oracle, read_nbest
from speechkit.score.nist import Markup
from speechkit.score.normalize import Normalizer, read_normalizer
from speechkit.score.pieces import cut_channels
from speechkit.score.seen_unseen import seen_unseen
from speechkit.score.summary import by_field, summarise
from speechkit.score.timed import pair_stm_ctm
from speechkit.score.transcripts import guess_format, read_transcripts
from speechkit.score.units import NAMES as UNIT_NAMES
from speechkit.score.units import split_text, split_transcripts
from speechkit.score.wer import Scored, score

SCHEMA = 1
NAMES = ("cor", "sub", "del", "ins")
_HEADS = {"word": ("words", "WER%"), "char": ("chars", "CER%"), "mixed": ("tokens", "MixER%")}
WIDTHS = (8, 9, 8, 17, 7, 7, 7, 8, 8)


def report(ref: Path, hyp: Path, config: WerConfig, *, num_threads: int = 1) -> tuple[Scored, dict[str, Any]]:
    """Score two files; the second value is what `--json` writes.

    Raises:
        SpeechkitError: a file cannot be read, or the ids differ; ConfigError: an unknown field or option.
    """
    normalizer = read_normalizer(config.normalize, config.case)
    if config.words is not None and config.unit != "word":
        raise ConfigError(f"--words is about words, not about --unit {config.unit}")
    scored = score_files(ref, hyp, config, normalizer, by_time=config.by_time, num_threads=num_threads)
    warn_of_gaps(scored, config.by)
    options = {"level": config.ci_level, "num_replicates": config.num_replicates, "seed": config.seed}
    result: dict[str, Any] = {
        "schema": SCHEMA,
        "ref": str(ref),
        "hyp": str(hyp),
        "unit": config.unit,
        "ties": config.ties,
        "missing_policy": config.missing,
        "missing": scored.num_missing,
        "extra": scored.num_extra,
        "bootstrap": {"unit": "utterance", "num_replicates": config.num_replicates, "seed": config.seed},
        **summarise(scored, **options),  # type: ignore[arg-type]
    }
    if config.train_text is not None:
        texts = normalizer.for_input("txt", "ref").transcripts(read_transcripts(config.train_text))
        known = set(split_transcripts(texts, config.unit).texts())
        result |= seen_unseen(scored, known, **options)
    if config.by:
        result["groups"] = {name: by_field(scored, name, **options) for name in config.by}
    if config.words is not None:
        listed = {w for text in read_transcripts(config.words, "lines").texts() for w in normalizer.text(text).split()}
        result["words"] = word_rates(scored, frozenset(listed))
    if config.nbest is not None:
        result["oracle"] = oracle(scored, _read_candidates(config.nbest, normalizer, config.unit))
    result["lists"] = error_lists(scored)
    result["flags"] = flags(scored, unit=config.unit)
    return scored, result


def warn_of_gaps(scored: Scored, names: Sequence[str]) -> None:
    """Say how many utterances lack a field they are grouped by.

    Raises:
        ConfigError: no utterance has it.
    """
    for name in names:
        kinds, numbers = scored.groups(name)
        if "" in kinds:
            num = int((numbers == kinds.index("")).sum())
            log.warn(f"{num} of {len(scored)} utterances have no `{name}`; they are the group `(none)`")


def _read_candidates(path: Path, normalizer: Normalizer, unit: str) -> dict[str, list[str]]:
    clean = normalizer.for_input("txt", "hyp").text
    return {name: [split_text(clean(text), unit) for text in texts] for name, texts in read_nbest(path).items()}


def score_files(
    ref: Path,
    hyp: Path,
    config: ScoringConfig,
    normalizer: Normalizer,
    *,
    by_time: bool = False,
    num_threads: int = 1,
) -> Scored:
    """Read, pair and align two files.

    Raises:
        SpeechkitError: a file cannot be read, or the ids differ; ConfigError: options that do not fit the files.
    """
    kinds = [kind_of(path, kind) for path, kind in ((ref, config.ref_format), (hyp, config.hyp_format))]
    normalizers = normalizer.for_input(kinds[0], "ref"), normalizer.for_input(kinds[1], "hyp")
    markup = Markup(fragments=config.fragments, optional=config.optional, unit=config.unit)
    is_marked = _is_marked(config, kinds[0], normalizers)
    if by_time and (kinds[0] != "ctm" or config.unit != "word"):
        raise ConfigError("--by-time aligns words with times on both sides", expected="REF.ctm HYP.ctm, --unit word")
    options: dict[str, Any] = {"ties": config.ties, "missing": config.missing, "num_threads": num_threads}
    if kinds[0] == "ctm":
        pieces = cut_channels(ref, hyp, missing=config.missing)
        sources = str(ref), str(hyp)
        scored = score_pieces(pieces, sources, normalizers, markup, is_marked=is_marked, ties=config.ties)
        if by_time:
            found = {u: align_by_time(piece, normalizers, markup) for u, piece in enumerate(pieces)}
            return scored.with_alignments(found)
    else:
        if kinds[0] == "stm":
            sides = pair_stm_ctm(ref, hyp, missing=config.missing)
        else:
            sides = read_transcripts(ref, config.ref_format), read_transcripts(hyp, config.hyp_format)
        sides = normalizers[0].transcripts(sides[0]), normalizers[1].transcripts(sides[1])
        cut = [split_plain(side, markup, is_marked=is_marked) for side in sides]
        scored = score(cut[0], cut[1], with_chars=config.unit == "word", **options)
    if is_marked:
        scored = score_marked(scored, markup)
    if config.unit != "word":
        scored = _with_unit_counts(scored, config.unit)
    return _without_compounds(scored) if config.compounds else scored


def kind_of(path: Path, given: str) -> str:
    """The format of a file, by its name when `given` is `auto`."""
    return guess_format(path) if given == "auto" and path.is_file() else given


def _is_marked(config: ScoringConfig, kind: str, normalizers: tuple[Normalizer, Normalizer]) -> bool:
    """Whether texts are read with NIST's markup; options that need it or contradict it are refused."""
    writes_alternatives = any(n.has_alternatives for n in normalizers)
    is_marked = config.markup == "nist" or (config.markup == "auto" and (kind in ("stm", "ctm") or writes_alternatives))
    if writes_alternatives and not is_marked:
        raise ConfigError(
            f"the rules of `{config.normalize}` write alternatives `{{ a / b }}`", hint="leave --markup none away"
        )
    if (config.fragments or config.optional) and not is_marked:
        raise ConfigError("--fragments and --optional-words belong to --markup nist")
    if config.unit != "word" and config.compounds:
        raise ConfigError(f"--compounds is about words, not about --unit {config.unit}")
    return is_marked


def _with_unit_counts(scored: Scored, unit: str) -> Scored:
    """Characters of `--unit char` are its units; mixed ones have no character error rate."""
    errors = scored.words[:, :3].sum(axis=1)
    chars = np.stack([errors, scored.words[:, 3], scored.words[:, 4]], axis=1)
    return replace(scored, chars=chars if unit == "char" else np.zeros_like(chars))


def _without_compounds(scored: Scored) -> Scored:
    wrong = np.flatnonzero(scored.words[:, :3].any(axis=1)).tolist()
    before = {u: scored.align(u) for u in wrong}
    joined = {u: join_compounds(steps) for u, steps in before.items()}
    return scored.with_alignments({u: steps for u, steps in joined.items() if steps != before[u]})


def table(result: dict[str, Any]) -> str:
    """The summary for people: one line per part of the corpus, then what the numbers rest on."""
    units, rate = _HEADS[result["unit"]]
    names = ("utts", units, rate, "interval", "sub", "del", "ins", "CER%", "SER%")
    head = f"{'part':<28}" + "".join(name.rjust(width) for name, width in zip(names, WIDTHS, strict=True))
    lines = [head, _row("all", result)]
    for part in ("seen", "unseen"):
        if result.get(part):
            lines.append(_row(f"{part} text", result[part]))
    for name, groups in result.get("groups", {}).items():
        lines += [_row(f"{name} {value or '(none)'}", group) for value, group in groups.items()]
    if "parrot_rate" in result:
        rate = result["parrot_rate"]
        lines.append(
            "parrot rate: no utterance has an unseen text"
            if rate is None
            else f"parrot rate: {rate:.2f} % of the hypotheses on unseen texts are training sentences verbatim"
        )
    lines += _extra_lines(result)
    lines.append(
        f"ties: {result['ties']}; {100 * result['ci']['level']:g} % bootstrap intervals by utterance; "
        f"missing hypotheses: {result['missing']} ({result['missing_policy']})"
    )
    return "\n".join(lines)


def _extra_lines(result: dict[str, Any]) -> list[str]:
    lines = []
    if "words" in result:
        part = result["words"]
        rates = ["-" if part[k] is None else f"{part[k]:.2f} %" for k in ("biased_wer", "unbiased_wer")]
        lines.append(f"listed words: WER {rates[0]} of {part['num_biased_words']} words; all others: {rates[1]}")
    if "oracle" in result:
        lines.append(f"oracle of {result['oracle']['depth']}-best lists: WER {result['oracle']['wer']:.2f} %")
    if result["flags"]["num_flagged"]:
        counts = ", ".join(f"{name} {n}" for name, n in result["flags"]["counts"].items())
        first = result["flags"]["utterances"][0]["id"]
        lines.append(f"suspicious utterances: {result['flags']['num_flagged']} ({counts}), worst first: {first}")
    return lines


def lists_table(result: dict[str, Any], limit: int) -> str:
    """The most frequent confusions and words in errors."""
    lines = []
    for title, items in result["lists"].items():
        lines.append(f"{title}:")
        lines += [
            f"  {item['count']:>6}  " + (f"{item['ref']} -> {item['hyp']}" if "ref" in item else item["word"])
            for item in items[:limit]
        ]
    return "\n".join(lines)


def _row(title: str, part: dict[str, Any]) -> str:
    interval = part["ci"]["wer"]
    wer, cer, ser = (f"{part[k]:.2f}" if part[k] is not None else "-" for k in ("wer", "cer", "ser"))
    shown = f"[{interval[0]:.2f}, {interval[1]:.2f}]" if interval else "-"
    counts = [str(part[k]) for k in ("num_utterances", "num_ref_words", "sub", "del", "ins")]
    cells = [*counts[:2], wer, shown, *counts[2:], cer, ser]
    return f"{title:<28}" + "".join(" " + cell.rjust(width - 1) for cell, width in zip(cells, WIDTHS, strict=True))


def write_alignment(path: Path, scored: Scored) -> None:
    """Every utterance aligned: JSON objects if the name ends in `.jsonl`, else three lines of columns."""
    as_json = path.suffix == ".jsonl"
    with publish_file(path, "wb") as stream:
        for u, name in enumerate(scored.ids):
            steps = [(NAMES[op], ref, hyp) for op, ref, hyp in scored.align(u)]
            sub, dele, ins, num_ref, _ = scored.words[u].tolist()
            if as_json:
                item = {"id": name, "sub": sub, "del": dele, "ins": ins, "num_ref_words": num_ref, "alignment": steps}
                stream.write(orjson.dumps(item) + b"\n")
            else:
                stream.write(f"{name}  sub {sub} del {dele} ins {ins} of {num_ref}\n{columns(steps)}\n".encode())


def columns(words: Sequence[tuple[str, str | None, str | None]]) -> str:
    """`ref`, `hyp` and `err` lines with words under each other; `***` where a side has none."""
    marks = {"cor": "", "sub": "S", "del": "D", "ins": "I"}
    rows: list[list[str]] = [["ref"], ["hyp"], ["err"]]
    for op, ref, hyp in words:
        cells = (ref if ref is not None else "***", hyp if hyp is not None else "***", marks[op])
        width = max(len(c) for c in cells)
        for row, cell in zip(rows, cells, strict=True):
            row.append(cell.ljust(width))
    return "\n".join(" ".join(row).rstrip() for row in rows)


def check_limit(result: dict[str, Any], limit: float | None) -> None:
    """Raises CheckFailed when the word error rate is above `limit` percent."""
    if limit is not None and result["wer"] > limit:
        raise CheckFailed(
            f"the {UNIT_NAMES[result['unit']]} error rate is {result['wer']:.2f} %, above {limit:g} %",
            where=f"{result['sub']} sub, {result['del']} del, {result['ins']} ins of {result['num_ref_words']}",
        )


__all__ = ["check_limit", "columns", "lists_table", "report", "table", "write_alignment"]
