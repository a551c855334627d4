"""The command `score wer`: read, score, and the table, JSON and alignment files that come out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from speechkit.artifact import publish_file
from speechkit.errors import CheckFailed
from speechkit.score.config import WerConfig
from speechkit.score.seen_unseen import seen_unseen
from speechkit.score.summary import by_field, summarise
from speechkit.score.transcripts import read_transcripts
from speechkit.score.wer import Scored, score

SCHEMA = 1
NAMES = ("cor", "sub", "del", "ins")
WIDTHS = (8, 9, 8, 17, 7, 7, 7, 8, 8)


def report(ref: Path, hyp: Path, config: WerConfig) -> tuple[Scored, dict[str, Any]]:
    """Score two files; the second value is what `--json` writes.

    Raises:
        SpeechkitError: a file cannot be read, or the ids differ; ConfigError: an unknown field or option.
    """
    references = read_transcripts(ref, config.ref_format)
    hypotheses = read_transcripts(hyp, config.hyp_format)
    scored = score(references, hypotheses, ties=config.ties, missing=config.missing)
    options = {"level": config.ci_level, "num_replicates": config.num_replicates, "seed": config.seed}
    result: dict[str, Any] = {
        "schema": SCHEMA,
        "ref": str(ref),
        "hyp": str(hyp),
        "ties": config.ties,
        "missing_policy": config.missing,
        "missing": scored.num_missing,
        "extra": scored.num_extra,
        "bootstrap": {"unit": "utterance", "num_replicates": config.num_replicates, "seed": config.seed},
        **summarise(scored, **options),  # type: ignore[arg-type]
    }
    if config.train_text is not None:
        result |= seen_unseen(scored, set(read_transcripts(config.train_text).texts()), **options)
    if config.by:
        result["groups"] = {name: by_field(scored, name, **options) for name in config.by}
    return scored, result


def table(result: dict[str, Any]) -> str:
    """The summary for people: one line per part of the corpus, then what the numbers rest on."""
    names = ("utts", "words", "WER%", "interval", "sub", "del", "ins", "CER%", "SER%")
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
    lines.append(
        f"ties: {result['ties']}; {100 * result['ci']['level']:g} % bootstrap intervals by utterance; "
        f"missing hypotheses: {result['missing']} ({result['missing_policy']})"
    )
    return "\n".join(lines)


def _row(title: str, part: dict[str, Any]) -> str:
    interval = part["ci"]["wer"]
    wer, cer, ser = (f"{part[k]:.2f}" if part[k] is not None else "-" for k in ("wer", "cer", "ser"))
    shown = f"[{interval[0]:.2f}, {interval[1]:.2f}]" if interval else "-"
    counts = [str(part[k]) for k in ("num_utterances", "num_ref_words", "sub", "del", "ins")]
    cells = [*counts[:2], wer, shown, *counts[2:], cer, ser]
    return f"{title:<28}" + "".join(cell.rjust(width) for cell, width in zip(cells, WIDTHS, strict=True))


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
            f"the word error rate is {result['wer']:.2f} %, above {limit:g} %",
            where=f"{result['sub']} sub, {result['del']} del, {result['ins']} ins of {result['num_ref_words']} words",
        )


__all__ = ["check_limit", "columns", "report", "table", "write_alignment"]
