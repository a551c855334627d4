"""The command `score wer`: read, score, and the table, JSON and alignment files that come out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from speechkit.artifact import publish_file
from speechkit.errors import CheckFailed, ConfigError
from speechkit.score.config import WerConfig
from speechkit.score.flags import flags
from speechkit.score.lists import error_lists, join_compounds, word_rates
from speechkit.score.marked import align_by_time, score_marked, score_pieces
from speechkit.score.nbest import oracle, read_nbest
from speechkit.score.nist import Markup
from speechkit.score.normalize import Normalizer, read_normalizer
from speechkit.score.seen_unseen import seen_unseen
from speechkit.score.summary import by_field, summarise
from speechkit.score.timed import cut_channels, pair_stm_ctm
from speechkit.score.transcripts import guess_format, read_transcripts
from speechkit.score.wer import Scored, score

SCHEMA = 1
NAMES = ("cor", "sub", "del", "ins")
WIDTHS = (8, 9, 8, 17, 7, 7, 7, 8, 8)


def report(ref: Path, hyp: Path, config: WerConfig, *, num_threads: int = 1) -> tuple[Scored, dict[str, Any]]:
    """Score two files; the second value is what `--json` writes.

    Raises:
        SpeechkitError: a file cannot be read, or the ids differ; ConfigError: an unknown field or option.
    """
    normalizer = read_normalizer(config.normalize, config.case)
    scored = _score_files(ref, hyp, config, normalizer, num_threads)
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
        known = {normalizer.text(text) for text in read_transcripts(config.train_text).texts()}
        result |= seen_unseen(scored, known, **options)
    if config.by:
        result["groups"] = {name: by_field(scored, name, **options) for name in config.by}
    if config.words is not None:
        listed = {w for text in read_transcripts(config.words, "lines").texts() for w in normalizer.text(text).split()}
        result["words"] = word_rates(scored, frozenset(listed))
    if config.nbest is not None:
        nbest = {k: [normalizer.text(t) for t in texts] for k, texts in read_nbest(config.nbest).items()}
        result["oracle"] = oracle(scored, nbest)
    result["lists"] = error_lists(scored)
    result["flags"] = flags(scored)
    return scored, result


def _score_files(ref: Path, hyp: Path, config: WerConfig, normalizer: Normalizer, num_threads: int) -> Scored:
    kind = guess_format(ref) if config.ref_format == "auto" and ref.is_file() else config.ref_format
    is_timed = kind in ("stm", "ctm")
    markup = Markup(fragments=config.fragments, optional=config.optional)
    is_marked = config.markup == "nist" or (config.markup == "auto" and is_timed)
    if (config.fragments or config.optional) and not is_marked:
        raise ConfigError("--fragments and --optional-words belong to --markup nist")
    if config.by_time and kind != "ctm":
        raise ConfigError("--by-time needs words with times on both sides", expected="REF.ctm HYP.ctm")
    options: dict[str, Any] = {"ties": config.ties, "missing": config.missing, "num_threads": num_threads}
    if kind == "ctm":
        pieces = cut_channels(ref, hyp, missing=config.missing)
        scored = score_pieces(pieces, (str(ref), str(hyp)), normalizer, ties=config.ties)
        if config.by_time:
            found = {u: align_by_time(piece, normalizer, markup) for u, piece in enumerate(pieces)}
            return scored.with_alignments(found)
    elif kind == "stm":
        sides = pair_stm_ctm(ref, hyp, missing=config.missing)
        scored = score(normalizer.transcripts(sides[0]), normalizer.transcripts(sides[1]), **options)
    else:
        references = normalizer.transcripts(read_transcripts(ref, config.ref_format))
        scored = score(references, normalizer.transcripts(read_transcripts(hyp, config.hyp_format)), **options)
    if is_marked:
        scored = score_marked(scored, markup)
    return _without_compounds(scored) if config.compounds else scored


def _without_compounds(scored: Scored) -> Scored:
    wrong = np.flatnonzero(scored.words[:, :3].any(axis=1)).tolist()
    before = {u: scored.align(u) for u in wrong}
    joined = {u: join_compounds(steps) for u, steps in before.items()}
    return scored.with_alignments({u: steps for u, steps in joined.items() if steps != before[u]})


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
            f"the word error rate is {result['wer']:.2f} %, above {limit:g} %",
            where=f"{result['sub']} sub, {result['del']} del, {result['ins']} ins of {result['num_ref_words']} words",
        )


__all__ = ["check_limit", "columns", "lists_table", "report", "table", "write_alignment"]
