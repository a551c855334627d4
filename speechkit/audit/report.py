"""One HTML file of an audit: ranked transcripts to listen to and decide by keyboard; no network."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
import orjson

from speechkit import log
from speechkit.artifact import publish_file
from speechkit.audio.io import audio_info, read_audio
from speechkit.audit.config_verdict import ReportConfig
from speechkit.audit.verdict import Verdict, read_decisions, read_upper_rate, read_verdicts
from speechkit.data.store import audio_path, load_cuts
from speechkit.errors import SpeechkitError, counted
from speechkit.fingerprint import hash_of
from speechkit.report.html import render, sound_address

if TYPE_CHECKING:
    from lhotse import MonoCut

MAX_PLAYER_SECONDS = 120.0
_TEMPLATE = Path(__file__).parent / "templates" / "report.html.j2"
_MEDIA = {"embedded": "data: blob:", "relative": "'self' file: data:"}
_ORDERS = [
    ("rank", "in this order"),
    ("p", "by P(error)"),
    ("odds", "by log-odds of the suggestion"),
    ("type", "by kind of error"),
    ("speaker", "by speaker"),
    ("id", "by id"),
    ("words", "longest first"),
    ("decision", "by decision"),
]


@dataclass(frozen=True)
class Sound:
    """Where a page finds the audio of a cut: an address, and where in it the cut begins, in seconds; rate in Hz."""

    seconds: float
    rate: int
    address: str = ""
    start: float = 0.0


def run_report(audit: Path, out: Path, config: ReportConfig, *, cuts: Path, sample: Path | None = None) -> int:
    """Write the page; returns how many utterances it shows.

    Args:
        sample: what `audit estimate --draw` wrote: the page shows these, in that order, with their strata.

    Raises:
        SpeechkitError: an utterance to show is not among the cuts, or its audio is missing or unreadable.
    """
    verdicts = read_verdicts(audit)
    chosen, strata = verdicts[: config.top], {}
    if sample:
        drawn = read_decisions(sample, {verdict.id for verdict in verdicts}, audit)
        by_id = {verdict.id: verdict for verdict in verdicts}
        chosen = [by_id[name] for name in drawn]
        strata = {name: row.stratum for name, row in drawn.items() if row.stratum}
    sounds = _sounds(chosen, cuts, out, config)
    items = [_item(verdict, sounds[verdict.id], strata.get(verdict.id)) for verdict in chosen]
    key = hash_of({"audit": [[verdict.id, verdict.text] for verdict in chosen]})
    data = orjson.dumps({"key": key, "rows": items}, option=orjson.OPT_SERIALIZE_NUMPY).decode()
    page = render(
        _TEMPLATE,
        title="Suspicious transcripts" if not sample else "Transcripts to inspect",
        subtitle=f"{audit}: {counted(len(chosen), 'transcript')} of {len(verdicts)}",
        numbers=_numbers(verdicts, read_upper_rate(audit)),
        orders=_ORDERS,
        media=_MEDIA[config.audio],
        data=data.replace("<", "\\u003c"),  # no tag can end the script element
    )
    with publish_file(out) as stream:
        stream.write(page)
    return len(chosen)


def _numbers(verdicts: Sequence[Verdict], upper: float | None) -> list[tuple[str, str]]:
    suspicious = sum(verdict.suspicious for verdict in verdicts)
    rate = 100 * float(np.mean([verdict.p_error for verdict in verdicts]))
    return [
        (str(len(verdicts)), "transcripts audited"),
        (str(suspicious), "suspicious"),
        (f"{rate:.1f} %", "wrong by the model alone" + (f", at most {100 * upper:.1f} %" if upper else "")),
    ]


def _item(verdict: Verdict, sound: Sound, stratum: str | None) -> dict[str, Any]:
    types = sorted(verdict.types.items(), key=lambda pair: (-pair[1], pair[0]))
    item = {
        "id": verdict.id,
        "rank": verdict.rank,
        "p": verdict.p_error,
        "speaker": verdict.speaker,
        "text": verdict.text,
        "types": types,
        "suggestion": verdict.suggestion,
        "odds": verdict.suggestion_log_odds,
        "words": [
            {
                "text": word.word,
                "start": word.start,
                "end": word.end,
                "p": word.p_error,
                "odds": word.log_odds,
                "best": word.best,
                "bad": word.suspicious,
            }
            for word in verdict.words
        ],
        "gaps": [
            {"p": gap.p_missing, "odds": gap.log_odds, "best": gap.best, "bad": gap.suspicious} for gap in verdict.gaps
        ],
        "search": f"{verdict.id} {verdict.speaker} {verdict.text} {verdict.suggestion}".lower(),
        "audio": sound.address,
        "at": sound.start,
        "seconds": sound.seconds,
        "rate": sound.rate,
    }
    return item | ({"stratum": stratum} if stratum else {})


def _sounds(chosen: Sequence[Verdict], cuts: Path, out: Path, config: ReportConfig) -> dict[str, Sound]:
    """The audio of each utterance by id."""
    wanted = {verdict.id for verdict in chosen}
    found = {cut.id: cut for cut in load_cuts(cuts) if cut.id in wanted}
    if missing := [f"`{verdict.id}`" for verdict in chosen if verdict.id not in found]:
        raise SpeechkitError(
            f"{counted(len(missing), 'utterance')} of the audit are not among the cuts of `{cuts}`",
            where=missing,
            hint="give the cuts that were audited",
        )
    sounds = {}
    for name, cut in log.track(found.items(), "audio", unit="utt", total=len(found)):
        sounds[name] = _relative(cut, out) if config.audio == "relative" else _embedded(cut)
    silent = sum(not sound.address for sound in sounds.values())
    if silent:
        log.warn(
            f"{counted(silent, 'utterance')} longer than {MAX_PLAYER_SECONDS:g} s have no player: --audio relative has"
        )
    return sounds


def _embedded(cut: MonoCut) -> Sound:
    if cut.duration > MAX_PLAYER_SECONDS:
        return Sound(cut.duration, cut.sampling_rate)
    start, num = round(cut.start * cut.sampling_rate), round(cut.duration * cut.sampling_rate)
    samples, rate = read_audio(audio_path(cut), start_sample=start, num_samples=num)
    return Sound(cut.duration, rate, sound_address(np.clip(samples, -1.0, 1.0), rate))


def _relative(cut: MonoCut, out: Path) -> Sound:
    path = audio_path(cut)
    audio_info(path)  # names a missing file
    address = quote(os.path.relpath(path.resolve(), out.resolve().parent))
    return Sound(cut.duration, cut.sampling_rate, address, cut.start)
