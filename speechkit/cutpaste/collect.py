"""Words of one aligned utterance that may be pasted: where they are cut, how they sound there, which are unfit."""

from __future__ import annotations

import itertools
import math
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from speechkit.audio.io import read_audio
from speechkit.cutpaste.config import InventoryConfig
from speechkit.cutpaste.edges import NUM_EDGE, edge_features, find_room_tone, level_db, snap
from speechkit.cutpaste.inventory import TOKEN, Source, to_int16
from speechkit.data.store import audio_path, text_of, words_of
from speechkit.errors import SpeechkitError

if TYPE_CHECKING:
    from lhotse import MonoCut

_MAX_OVERLAP_SECONDS = 0.03
_UNREADABLE = "utterances unreadable"
_ROOM_BELOW_SPEECH_DB = 12.0


@dataclass(frozen=True)
class Dropped:
    """A word (or, with position -1, a whole utterance) that may not be pasted: `kind` is counted, `reason` listed."""

    utt_id: str
    position: int
    word: str
    kind: str
    reason: str


@dataclass(frozen=True)
class _AlignedWord:
    symbol: str
    start: int
    end: int
    confidence: float


@dataclass
class Collected:
    """What one cut gives; `tokens` lack word numbers, `symbols` and the two neighbours stand for them."""

    source: Source | None = None
    tokens: np.ndarray = field(default_factory=lambda: np.zeros(0, TOKEN))
    edges: np.ndarray = field(default_factory=lambda: np.zeros((0, 2, NUM_EDGE), np.float32))
    symbols: list[tuple[str, str | None, str | None]] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)


def collect_cut(cut: MonoCut, config: InventoryConfig) -> Collected:
    """Words of one cut that may be pasted, and those that may not."""
    text = text_of(cut)
    words, fault = _aligned_words(cut, text)
    speaker = cut.supervisions[0].speaker
    if not fault and not speaker:
        fault = "it has no speaker"
    if not fault and re.search(r"[\x00-\x1f\x7f]", str(speaker)):  # speakers are lines of a file
        fault = f"the name of its speaker {str(speaker)!r:.80} holds a control character"
    if fault:
        return _unusable(cut, "utterances without word times or speaker", fault)
    rate = cut.recording.sampling_rate
    start, size = round(cut.start * rate), round(cut.duration * rate)
    try:
        samples, found_rate = read_audio(audio_path(cut), start_sample=start, num_samples=size)
    except SpeechkitError as error:
        return _unusable(cut, _UNREADABLE, error.what)
    if found_rate != rate:
        fault = f"`{audio_path(cut)}` is sampled at {found_rate} Hz, its manifest says {rate} Hz"
        return _unusable(cut, _UNREADABLE, fault)
    if not samples.any():
        return _unusable(cut, _UNREADABLE, f"`{audio_path(cut)}` is silent")
    dropped = _unfit_words(cut.id, words, num_samples=size, rate=rate, config=config)
    tokens, symbols = _tokens_of(words, samples, rate=rate, config=config)
    unfit = {word.position for word in dropped}
    is_kept = np.array([place not in unfit for place in range(len(words))])
    kept = np.flatnonzero(is_kept)
    tokens["joined"][:-1] &= is_kept[1:]
    tokens = tokens[kept]
    level = level_db(samples, tokens["start"], tokens["end"], rate)
    room_size = round(config.room_tone_ms * rate / 1000)
    source = Source(
        utt_id=cut.id, audio=str(audio_path(cut)), start_sample=start, num_samples=size, sampling_rate=rate,
        speaker=str(speaker), text=text, level_db=round(level, 2), peak=round(float(np.abs(samples).max()), 6),
        room_start=find_room_tone(samples, room_size, level - _ROOM_BELOW_SPEECH_DB), room_samples=room_size,
        crc32=zlib.crc32(to_int16(samples).tobytes()),
        boundaries=tuple(tokens["cut_end"][tokens["joined"]].tolist()),
    )  # fmt: skip
    edges = edge_features(samples, tokens["cut_start"].astype(np.int64), tokens["cut_end"].astype(np.int64), rate)
    return Collected(source, tokens, edges, [symbols[place] for place in kept.tolist()], dropped)


def _unusable(cut: MonoCut, kind: str, reason: str) -> Collected:
    return Collected(dropped=[Dropped(cut.id, -1, "", kind, reason)])


def _aligned_words(cut: MonoCut, text: str) -> tuple[list[_AlignedWord], str]:
    """The aligned words in samples of the cut, or why there are none."""
    rate = cut.recording.sampling_rate
    words = []
    for item in words_of(cut):
        if not item.symbol:  # an empty symbol marks silence
            continue
        confidence = 1.0 if item.score is None else float(item.score)
        if not 0.0 <= confidence <= 1.0 or not math.isfinite(confidence):
            return [], f"the score {item.score} of `{item.symbol}` is no confidence from 0 to 1"
        start, end = round(item.start_seconds * rate), round((item.start_seconds + item.duration_seconds) * rate)
        words.append(_AlignedWord(item.symbol, start, end, confidence))
    if not words:
        return [], "it has no word times"
    if [word.symbol for word in words] != text.split():
        return [], "its word times are those of other words than its text"
    if any(after.start < before.start for before, after in itertools.pairwise(words)):
        return [], "its words are not in the order of time"
    return words, ""


def _unfit_words(
    utt_id: str, words: Sequence[_AlignedWord], *, num_samples: int, rate: int, config: InventoryConfig
) -> list[Dropped]:
    """Words that may not be pasted."""
    dropped = []
    for place, word in enumerate(words):
        seconds = (word.end - word.start) / rate
        overlap = max(
            words[place - 1].end - word.start if place else 0,
            word.end - words[place + 1].start if place + 1 < len(words) else 0,
        )
        kind, detail = "", ""
        if word.start < 0 or word.end > num_samples + rate // 100:
            kind, detail = "outside the recording", f"{word.start / rate:.3f}-{word.end / rate:.3f} s"
        elif seconds < config.min_word_seconds:
            kind, detail = "too short", f"{seconds:.3f} s"
        elif seconds > config.max_word_seconds:
            kind, detail = "too long", f"{seconds:.3f} s"
        elif word.confidence < config.min_confidence:
            kind, detail = "too uncertain", f"confidence {word.confidence:.2f}"
        elif overlap > _MAX_OVERLAP_SECONDS * rate:
            kind, detail = "overlapping", f"by {overlap / rate:.3f} s with its neighbour"
        if kind:
            dropped.append(Dropped(utt_id, place, word.symbol, kind, f"{kind}: {detail}"))
    return dropped


def _tokens_of(
    words: Sequence[_AlignedWord], samples: np.ndarray, *, rate: int, config: InventoryConfig
) -> tuple[np.ndarray, list[tuple[str, str | None, str | None]]]:
    """Records of all words of a cut with their cuts, and each word's symbol with those of its neighbours.

    A gap of up to two margins is cut in its middle; what is longer is cut off. Then cuts move to the least energy.
    """
    tokens = np.zeros(len(words), TOKEN)
    starts = np.clip([word.start for word in words], 0, len(samples)).astype(np.int64)
    ends = np.clip([word.end for word in words], 0, len(samples)).astype(np.int64)
    margin, radius = round(config.max_margin_ms * rate / 1000), round(config.snap_ms * rate / 1000)
    middles = (ends[:-1] + starts[1:]) // 2
    is_joined = starts[1:] - ends[:-1] <= 2 * margin
    cut_ends = np.append(np.where(is_joined, middles, ends[:-1] + margin), min(ends[-1] + margin, len(samples)))
    cut_starts = np.append(max(0, starts[0] - margin), np.where(is_joined, middles, starts[1:] - margin))
    cut_ends, cut_starts = snap(samples, cut_ends, radius, rate), snap(samples, cut_starts, radius, rate)
    # a cut never leaves less than half of a word
    tokens["cut_start"] = np.minimum(cut_starts, (starts + ends) // 2)
    tokens["cut_end"] = np.maximum(cut_ends, (starts + ends) // 2)
    tokens["start"], tokens["end"] = starts, ends
    before, after = np.append(0, ends[:-1]), np.append(starts[1:], len(samples))
    cut_starts, cut_ends = tokens["cut_start"], tokens["cut_end"]
    tokens["quiet_start"] = np.maximum(0, np.minimum(starts - cut_starts, cut_starts - before))
    tokens["quiet_end"] = np.maximum(0, np.minimum(cut_ends - ends, after - cut_ends))
    tokens["confidence"] = [word.confidence for word in words]
    tokens["joined"][:-1] = is_joined & (tokens["cut_end"][:-1] == tokens["cut_start"][1:])
    symbols: list[str | None] = [None, *(word.symbol for word in words), None]
    triples = [(word.symbol, symbols[i], symbols[i + 2]) for i, word in enumerate(words)]
    return tokens, triples
