"""From two files to counts per utterance: formats, rules, markup, units and compound words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from speechkit import log
from speechkit.errors import ConfigError, SpeechkitError
from speechkit.score.config import ScoringConfig
from speechkit.score.lists import join_compounds
from speechkit.score.marked import align_by_time, score_marked, score_pieces, split_plain
from speechkit.score.nist import Markup
from speechkit.score.normalize import Normalizer
from speechkit.score.pieces import cut_channels
from speechkit.score.timed import pair_stm_ctm
from speechkit.score.transcripts import Transcripts, guess_format, read_transcripts
from speechkit.score.wer import Scored, score

_NUM_LOOKED_AT, _BYTES_LOOKED_AT = 100, 1000  # texts, and of each
_MAX_CASE_GAP = 0.5


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
    _refuse_unclear(
        (ref, kinds[0], config.ref_format, "--ref-format"), (hyp, kinds[1], config.hyp_format, "--hyp-format")
    )
    normalizers = normalizer.for_input(kinds[0], "ref"), normalizer.for_input(kinds[1], "hyp")
    markup = Markup(fragments=config.fragments, optional=config.optional, unit=config.unit)
    is_marked = _is_marked(config, kinds[0], normalizers)
    if by_time and (kinds[0] != "ctm" or config.unit != "word"):
        raise ConfigError("--by-time aligns words with times on both sides", expected="REF.ctm HYP.ctm, --unit word")
    if kinds[0] in ("stm", "ctm") and kinds[1] in ("stm", "trn", "jsonl", "cuts"):
        raise ConfigError(
            f"the hypothesis of a time-marked reference is a CTM, but `{hyp}` looks like {kinds[1]}",
            expected="REF.stm HYP.ctm, or two CTM files",
            hint="`score multi` takes STM on both sides; --hyp-format ctm if it is a CTM under another name",
        )
    options: dict[str, Any] = {"ties": config.ties, "missing": config.missing, "num_threads": num_threads}
    if kinds[0] == "ctm":
        pieces = cut_channels(ref, hyp, missing=config.missing)
        sources = str(ref), str(hyp)
        scored = score_pieces(pieces, sources, normalizers, markup, is_marked=is_marked, ties=config.ties)
        _warn_of_case((scored.ref, scored.hyp))
        if by_time:
            found = {u: align_by_time(piece, normalizers, markup) for u, piece in enumerate(pieces)}
            scored, is_marked = scored.with_alignments(found), False  # markup was read on the way
    else:
        if kinds[0] == "stm":
            sides = pair_stm_ctm(ref, hyp, missing=config.missing)
        else:
            sides = read_transcripts(ref, config.ref_format), read_transcripts(hyp, config.hyp_format)
        sides = normalizers[0].transcripts(sides[0]), normalizers[1].transcripts(sides[1])
        _warn_of_case(sides)
        cut = [split_plain(side, markup, is_marked=is_marked) for side in sides]
        scored = score(cut[0], cut[1], with_chars=config.unit == "word", **options)
    if is_marked:
        scored = score_marked(scored, markup)
    if config.unit != "word":
        scored = _with_unit_counts(scored, config.unit)
    return _without_compounds(scored) if config.compounds else scored


def _refuse_unclear(*sides: tuple[Path, str, str, str]) -> None:
    """Refuse missing files, then `.txt`: ids taken for words count as right words, lines are joined by their number."""
    for path, *_ in sides:
        if not path.exists():
            raise SpeechkitError(f"`{path}` does not exist")
    for path, kind, given, option in sides:
        if kind == "lines" and given == "auto":
            raise ConfigError(
                f"`{path}` may hold utterance ids before the texts, or texts only",
                hint=f"{option} text for lines `id words`, {option} lines for lines without ids",
            )


def _warn_of_case(sides: tuple[Transcripts, Transcripts]) -> None:
    """Say it when one side is written in capitals and the other is not: then nearly every word is wrong."""
    shares = []
    for side in sides:
        spans = zip(side.starts[:_NUM_LOOKED_AT].tolist(), side.ends[:_NUM_LOOKED_AT].tolist(), strict=True)
        texts = b" ".join(side.data[begin : min(end, begin + _BYTES_LOOKED_AT)].tobytes() for begin, end in spans)
        letters = [char for char in texts.decode(errors="ignore") if char.lower() != char.upper()]
        shares.append(sum(char.isupper() for char in letters) / max(1, len(letters)))
    if abs(shares[0] - shares[1]) > _MAX_CASE_GAP:
        log.warn(
            f"capitals are {100 * shares[0]:.0f} % of the letters of `{sides[0].source}` and {100 * shares[1]:.0f} % "
            f"of those of `{sides[1].source}`; --case unicode makes all letters small"
        )


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
