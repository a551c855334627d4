"""From scores to probabilities: which transcripts, words and gaps are wrong, of which kind, and what was said instead.

Written are `audit.jsonl`, a row for each utterance (see `verdict.py`), and `calibration.json`, how it came about.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from speechkit import log
from speechkit.artifact import make_artifact, publish_file, write_json
from speechkit.audit.config_verdict import CalibrateConfig
from speechkit.audit.corpus import Corpus, Item
from speechkit.audit.features import view_of_evidence, view_of_row
from speechkit.audit.indicators import KINDS, make_indicators
from speechkit.audit.judges import Material, Ranked, Spots, judge_spots, judge_types, rank_utterances
from speechkit.audit.learn import Curve
from speechkit.audit.logprobs import open_log_probs
from speechkit.audit.score_file import LEFT_OUT_FILE, META_FILE, Scored, read_scores
from speechkit.audit.scores import Lexicon
from speechkit.audit.suggest import Step, best_limit, steps, taken
from speechkit.audit.verdict import AUDIT_FILE, CALIBRATION_FILE
from speechkit.errors import SpeechkitError, counted

SCHEMA = "speechkit-audit-calibration/1"
MIN_UTTERANCES = 20
_LOCAL = ("sub", "ins", "del", "transpose", "misread")  # kinds that a few edits mend
_DIGITS = 6


def run_calibrate(config: CalibrateConfig, *, scores: Path, out: Path, force: bool = False) -> bool:
    """Make the artifact `out` from a folder of `audit score`; False when it was up to date.

    Raises:
        SpeechkitError: no folder of scores, or too few utterances.
    """
    meta = _read_meta(scores)
    left_out = scores / LEFT_OUT_FILE
    num_left_out = len(left_out.read_bytes().splitlines()) if left_out.is_file() else 0
    if num_left_out:
        log.warn(f"{counted(num_left_out, 'utterance')} could not be scored and are not in the audit: see {left_out}")
    folders = [Path(name) for name in meta["log_probs"]]

    def build(folder: Path) -> None:
        material = _material(scores, folders, meta, config)
        rows, summary = calibrate(material, config)
        with publish_file(folder / AUDIT_FILE, "wb") as stream:
            stream.writelines(orjson.dumps(row) + b"\n" for row in rows)
        write_json(folder / CALIBRATION_FILE, {"scores": str(scores), "cuts": meta["cuts"], **summary})
        print(summary_table(summary))

    inputs = {"scores": scores, **{f"log_probs_{number}": path for number, path in enumerate(folders)}}
    return make_artifact(out, command="audit calibrate", config=config, inputs=inputs, build=build, force=force)


def _read_meta(scores: Path) -> dict[str, Any]:
    try:
        meta = json.loads((scores / META_FILE).read_text(encoding="utf-8"))
        missing = [key for key in ("cuts", "log_probs", "lexicon", "star_penalty") if key not in meta]
    except (OSError, ValueError, TypeError) as error:
        raise SpeechkitError(
            f"`{scores}` holds no scores", where=str(error), expected="a folder made by `speechkit audit score`"
        ) from None
    if missing:
        raise SpeechkitError(f"`{scores / META_FILE}` lacks {', '.join(missing)}", hint="run `audit score` again")
    return dict(meta)


def _material(scores: Path, folders: Sequence[Path], meta: dict[str, Any], config: CalibrateConfig) -> Material:
    rows = read_scores(scores)
    if len(rows) < MIN_UTTERANCES:
        raise SpeechkitError(
            f"`{scores}` holds {counted(len(rows), 'utterance')}: too few to calibrate by",
            expected=f"{MIN_UTTERANCES} or more",
        )
    stored = open_log_probs(folders)
    lexicon = Lexicon(tuple(meta["lexicon"])) if meta["lexicon"] else None
    corpus = Corpus([Item(row.text.split(), row.speaker, row.seconds, row.scores) for row in rows])
    penalty = float(meta["star_penalty"])
    indicators = make_indicators(
        rows, stored, corpus, lexicon=lexicon, star_penalty=penalty, num=config.indicators, seed=config.seed
    )
    if len(indicators) < config.indicators // 2:
        raise SpeechkitError(
            f"only {len(indicators)} of {config.indicators} indicators could be made",
            hint="are the texts long enough, and words of the tokenizer?",
        )
    views = [view_of_row(row, stored.get(row.utt_id)) for row in rows]
    spoilt = [view_of_evidence(item.evidence, item.emission, rows[item.row].speaker) for item in indicators]
    return Material(rows, views, indicators, spoilt, stored, lexicon, penalty)


def calibrate(material: Material, config: CalibrateConfig) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The rows of the audit, the most suspicious first, and the summary of the calibration."""
    ranked = rank_utterances(material)
    words = judge_spots(material, "words")
    gaps = judge_spots(material, "gaps")
    types_NK = judge_types(material, ranked)
    limit, accuracy = _edit_limit(material, config)
    p_error = ranked.curve(ranked.corpus_N)
    order = sorted(range(len(material.rows)), key=lambda n: (-ranked.corpus_N[n], material.rows[n].utt_id))
    rows = []
    for rank, n in enumerate(log.track(order, "suggesting", unit="utt"), start=1):
        row = material.rows[n]
        path = steps(
            material.stored.get(row.utt_id),
            tuple(row.text.split()),
            lexicon=material.lexicon,
            max_edits=config.max_edits,
        )
        is_suspicious = bool(ranked.corpus_N[n] >= ranked.curve.threshold)
        head = _head(row, rank, float(p_error[n]), is_suspicious, taken(path, limit))
        types = {kind: round(float(types_NK[n, k]), 4) for k, kind in enumerate(KINDS)}
        rows.append(head | {"types": types, **_places(row, n, words, gaps)})
    return rows, _summary(material, ranked, (words, gaps), (limit, accuracy), rows)


def _edit_limit(material: Material, config: CalibrateConfig) -> tuple[float, float]:
    """What a further edit of a suggestion must gain, and how many indicators of few edits are then mended."""
    local = [item for item in material.indicators if item.kind in _LOCAL]
    find = partial(steps, lexicon=material.lexicon, max_edits=config.max_edits)
    paths = [find(item.emission, item.fault.words) for item in local]
    return best_limit(paths, [item.said for item in local])


def _head(row: Scored, rank: int, p_error: float, is_suspicious: bool, suggestion: Step | None) -> dict[str, Any]:
    return {
        "id": row.utt_id,
        "rank": rank,
        "p_error": round(p_error, _DIGITS),
        "suspicious": is_suspicious,
        "weight": round(1.0 - p_error, _DIGITS),
        "speaker": row.speaker,
        "text": row.text,
        "suggestion": " ".join(suggestion.words) if suggestion else "",
        "suggestion_log_odds": round(suggestion.gain, 3) if suggestion else 0.0,
    }


def _places(row: Scored, n: int, words: Spots, gaps: Spots) -> dict[str, Any]:
    return {
        "words": [
            {
                "word": word.word,
                "start": word.start,
                "end": word.end,
                "p_error": round(float(words.probs[n][w]), _DIGITS),
                "log_odds": round(float(words.log_odds[n][w]), 3),
                "best": word.best if word.best is not None and word.replace >= word.delete else "",
                "suspicious": bool(words.flags[n][w]),
            }
            for w, word in enumerate(row.words)
        ],
        "gaps": [
            {
                "p_missing": round(float(gaps.probs[n][g]), _DIGITS),
                "log_odds": round(float(gaps.log_odds[n][g]), 3),
                "best": gap.best or "",
                "suspicious": bool(gaps.flags[n][g]),
            }
            for g, gap in enumerate(row.gaps)
        ],
    }


def _summary(
    material: Material, ranked: Ranked, spots: tuple[Spots, Spots], edits: tuple[float, float],
    rows: Sequence[dict[str, Any]],
) -> dict[str, Any]:  # fmt: skip
    def of(curve: Curve) -> dict[str, float]:
        return {
            "rate": curve.rate,
            "upper_rate": curve.upper_rate,
            "threshold": curve.threshold,
            "expected_f1": curve.expected_f1,
        }

    return {
        "schema": SCHEMA,
        "num_utterances": len(rows),
        "num_suspicious": sum(row["suspicious"] for row in rows),
        "label_free_rate": float(np.mean([row["p_error"] for row in rows])),
        "indicators": dict(sorted(Counter(item.kind for item in material.indicators).items())),
        "utterances": of(ranked.curve),
        "words": of(spots[0].curve) | {"temperature": 1.0 / max(spots[0].slope, 1e-9)},
        "gaps": of(spots[1].curve) | {"temperature": 1.0 / max(spots[1].slope, 1e-9)},
        "suggestions": {"least_gain": edits[0], "accuracy_on_indicators": edits[1]},
    }


def summary_table(summary: dict[str, Any]) -> str:
    """What is printed."""
    lines = [f"{summary['num_suspicious']} of {counted(summary['num_utterances'], 'transcript')} are suspicious"]
    for name in ("utterances", "words", "gaps"):
        part = summary[name]
        rates = f"{100 * part['rate']:5.1f} % wrong, at most {100 * part['upper_rate']:.1f} %"
        lines.append(f"  {name:<10} {rates}, as far as indicators tell; expected F1 {part['expected_f1']:.2f}")
    suggestions = summary["suggestions"]
    lines.append(f"  {100 * suggestions['accuracy_on_indicators']:.0f} % of the indicators of few edits are mended")
    return "\n".join(lines)
