"""The command `score wer`: read, score, and the table, JSON and alignment files that come out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from speechkit import log
from speechkit.artifact import publish_file
from speechkit.errors import CheckFailed, ConfigError, SpeechkitError
from speechkit.score.config import WerConfig
from speechkit.score.flags import flags
from speechkit.score.intervals import rate_intervals, share_interval, word_intervals
from speechkit.score.lists import error_lists, word_rates
from speechkit.score.nbest import oracle, read_nbest
from speechkit.score.normalize import Normalizer, read_normalizer
from speechkit.score.overlap import mark, train_overlap
from speechkit.score.run import score_files
from speechkit.score.seen_unseen import is_seen, seen_unseen
from speechkit.score.summary import by_field, summarise
from speechkit.score.transcripts import check_bytes, read_bytes, read_transcripts, split_words
from speechkit.score.units import NAMES as UNIT_NAMES
from speechkit.score.units import split_text, split_transcripts
from speechkit.score.wer import Scored

SCHEMA = 1
NAMES = ("cor", "sub", "del", "ins")
HEADS = {"word": ("words", "WER%"), "char": ("chars", "CER%"), "mixed": ("tokens", "MixER%")}
WIDTHS = (8, 9, 8, 17, 7, 7, 7, 8, 8)


def report(ref: Path, hyp: Path, config: WerConfig, *, num_threads: int = 1) -> tuple[Scored, dict[str, Any]]:
    """Score two files; the second value is what `--json` writes.

    Raises:
        SpeechkitError: a file cannot be read, or the ids differ; ConfigError: an unknown field or option;
        CheckFailed: the utterances overlap with the training of the model.
    """
    normalizer = read_normalizer(config.normalize, config.case)
    if config.words is not None and config.unit != "word":
        raise ConfigError(f"--words is about words, not about --unit {config.unit}")
    overlap = train_overlap(ref, hyp, config.train_text, allowed=config.allow_overlap)
    scored = score_files(ref, hyp, config, normalizer, by_time=config.by_time, num_threads=num_threads)
    warn_of_gaps(scored, config.by)
    options: dict[str, Any] = {"level": config.ci_level, "num_replicates": config.num_replicates, "seed": config.seed}
    result: dict[str, Any] = {
        "schema": SCHEMA,
        "ref": str(ref),
        "hyp": str(hyp),
        "unit": config.unit,
        "ties": config.ties,
        "missing_policy": config.missing,
        "missing": scored.num_missing,
        "extra": scored.num_extra,
        "train_overlap": overlap,
        "bootstrap": {"unit": "utterance", "num_replicates": config.num_replicates, "seed": config.seed},
        **summarise(scored, **options),
    }
    result["ci"] |= rate_intervals(scored, **options)
    if config.train_text is not None:
        result |= _seen_and_unseen(scored, config.train_text, normalizer, config, options)
    if config.by:
        result["groups"] = {name: by_field(scored, name, **options) for name in config.by}
    if config.words is not None:
        listed = _read_words(config.words, normalizer)
        result["words"] = {**word_rates(scored, listed), "ci": word_intervals(scored, listed, **options)}
        if not result["words"]["num_biased_words"]:
            log.warn(f"none of the {len(listed)} words of `{config.words}` occurs in the references")
    if config.nbest is not None:
        candidates = _read_candidates(config.nbest, normalizer, config.unit)
        result["oracle"] = oracle(scored, candidates, source=str(config.nbest), **options)
    result["lists"] = error_lists(scored)
    result["flags"] = flags(scored, unit=config.unit)
    return scored, result


def _seen_and_unseen(
    scored: Scored, train_text: Path, normalizer: Normalizer, config: WerConfig, options: dict[str, Any]
) -> dict[str, Any]:
    texts = normalizer.for_input("txt", "ref").transcripts(read_transcripts(train_text))
    known = set(split_transcripts(texts, config.unit).texts()) - {""}
    result = seen_unseen(scored, known, **options)
    seen = is_seen(scored, known)
    for part, rows in (("seen", np.flatnonzero(seen)), ("unseen", np.flatnonzero(~seen))):
        if result[part] is not None:
            result[part]["ci"] |= rate_intervals(scored, rows, **options)
    num_unseen = int((~seen).sum())
    return {**result, "parrot_ci": share_interval(result["num_parrots"], num_unseen, **options)}


def _read_words(path: Path, normalizer: Normalizer) -> frozenset[str]:
    data = read_bytes(path)
    check_bytes(data, path)
    clean = normalizer.for_input("txt", "ref")
    found = frozenset(word for line in data.decode().splitlines() for word in split_words(clean.text(line)))
    if not found:
        raise SpeechkitError(f"`{path}` holds no words", expected="words, separated by spaces or line ends")
    return found


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


def table(result: dict[str, Any]) -> str:
    """The summary for people: one line per part of the corpus, then what the numbers rest on."""
    units, rate = HEADS[result["unit"]]
    names = ("utts", units, rate, "interval", "sub", "del", "ins", "CER%", "SER%")
    head = f"{'part':<28}" + "".join(name.rjust(width) for name, width in zip(names, WIDTHS, strict=True))
    lines = [head, _row("all", result)]
    for part in ("seen", "unseen"):
        if result.get(part):
            lines.append(_row(f"{part} text", result[part]))
    for name, groups in result.get("groups", {}).items():
        lines += [_row(f"{name} {value or '(none)'}", group) for value, group in groups.items()]
    beside = mark(result.get("train_overlap"))
    return "\n".join([lines[0], *(line + beside for line in lines[1:]), *notes(result)])


def notes(result: dict[str, Any]) -> list[str]:
    """What stands below the table: further rates, and what the numbers rest on."""
    lines = [result["train_overlap"]["note"]] if mark(result.get("train_overlap")) else []
    lines += [_rates_line(part, result if part == "all" else result[part]) for part in _whole_parts(result)]
    if "parrot_rate" in result:
        shown = _with_interval(result["parrot_rate"], result["parrot_ci"])
        lines.append(
            "parrot rate: no utterance has an unseen text"
            if result["parrot_rate"] is None
            else f"parrot rate: {shown} of the hypotheses on unseen texts are training sentences verbatim"
        )
    lines += _extra_lines(result)
    lines.append(
        f"ties: {result['ties']}; {100 * result['ci']['level']:g} % bootstrap intervals by utterance; "
        f"missing hypotheses: {result['missing']} ({result['missing_policy']})"
    )
    return lines


def _whole_parts(result: dict[str, Any]) -> list[str]:
    return ["all", *(part for part in ("seen", "unseen") if result.get(part))]


def _rates_line(title: str, part: dict[str, Any]) -> str:
    """The rates beside the first one, with their intervals."""
    rates = [f"{key.upper()} {_with_interval(part[key], part['ci'][key])}" for key in ("cer", "ser", "mer", "wil")]
    return f"{title}: {', '.join(rates)}"


def _with_interval(value: float | None, interval: list[float] | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f} %" + (f" [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else "")


def _extra_lines(result: dict[str, Any]) -> list[str]:
    lines = []
    if "words" in result:
        part = result["words"]
        rates = [_with_interval(part[key], part["ci"][key]) for key in ("biased_wer", "unbiased_wer")]
        lines.append(f"listed words: WER {rates[0]} of {part['num_biased_words']} words; all others: {rates[1]}")
    if "oracle" in result:
        best = result["oracle"]
        shown = _with_interval(best["wer"], best["ci"]["wer"])
        lines.append(f"oracle of {best['depth']}-best lists: WER {shown}")
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
                shown = name if name.isprintable() else repr(name)  # an id of JSON may hold line breaks
                stream.write(f"{shown}  sub {sub} del {dele} ins {ins} of {num_ref}\n{columns(steps)}\n".encode())


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


__all__ = ["HEADS", "check_limit", "columns", "lists_table", "notes", "report", "table", "write_alignment"]
