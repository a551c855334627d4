"""Speech with known word and phone times from espeak-ng, called through ctypes in this process.

The engine keeps state from one utterance to the next, so the library is loaded afresh for each of them
(6 ms) and its noise generator is seeded: the same (text, setting, seed) gives the same samples in any order.
The library is GPL; it is an optional package, loaded at run time and never shipped.
"""

from __future__ import annotations

import _ctypes
import ctypes
import functools
import hashlib
import re
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from speechkit.errors import SpeechkitError, missing_package

ENGINE_RATE = 22050
_SYNCHRONOUS, _WITH_PHONEME_EVENTS = 2, 1
_BY_CHARACTER, _UTF8 = 1, 1
_RATE, _PITCH, _PITCH_RANGE, _WORD_GAP = 1, 3, 4, 7
_WORD, _END, _PHONEME = 1, 5, 7


@dataclass(frozen=True)
class Setting:
    """How a speaker speaks.

    Args:
        voice: base and variant, `en-us+f3`.
        rate: words per minute, 80 to 450.
        pitch, pitch_range: 0 to 99.
        word_gap_ms: pause between words, in steps of 10 ms.
    """

    voice: str
    rate: int = 175
    pitch: int = 50
    pitch_range: int = 50
    word_gap_ms: int = 0


@dataclass(frozen=True)
class Event:
    """A word or phone that starts at `sample`; `position` counts characters of the text from 0."""

    kind: str
    sample: int
    position: int
    name: str


@dataclass(frozen=True)
class Spoken:
    """Samples (S,) int16 at 22050 Hz and the events in them."""

    samples: np.ndarray
    events: tuple[Event, ...]


@dataclass(frozen=True)
class Mark:
    """A word or phone from `start` to `end`, in samples at 22050 Hz."""

    symbol: str
    start: int
    end: int


class UntimedTextError(SpeechkitError):
    """The engine does not say when each word of the text starts."""


class _RawEvent(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("name", ctypes.c_char * 8),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_RawEvent))


@functools.cache
def engine_files() -> tuple[Path, Path]:
    """The shared library and its data folder.

    Raises:
        ConfigError: the optional package is not installed.
    """
    try:
        import espeakng_loader
    except ImportError:
        raise missing_package("espeakng-loader", "synth", "making synthetic speech") from None
    return Path(espeakng_loader.get_library_path()), Path(espeakng_loader.get_data_path())


def engine_identity() -> dict[str, str]:
    """Version and SHA-256 of the library: what the samples depend on besides text, setting and seed."""
    library, _ = engine_files()
    engine = ctypes.CDLL(str(library))
    engine.espeak_Info.restype = ctypes.c_char_p
    version = engine.espeak_Info(None).decode()
    _ctypes.dlclose(engine._handle)
    return {"version": version, "library_sha256": hashlib.sha256(library.read_bytes()).hexdigest()}


def speak(text: str, setting: Setting, *, seed: int) -> Spoken:
    """Say one text.

    Raises:
        SpeechkitError: the voice does not exist, or the engine fails.
        ConfigError: the engine is not installed.
    """
    library, data = engine_files()
    with _interrupts_deferred():
        engine = ctypes.CDLL(str(library))
        try:
            return _speak(engine, data, text, setting=setting, seed=seed)
        finally:
            # unloading is what resets the engine's static state: Terminate alone does not
            engine.espeak_Terminate()
            _ctypes.dlclose(engine._handle)


@contextmanager
def _interrupts_deferred() -> Iterator[None]:
    """Let Ctrl-C wait for the end of the utterance: raised in a callback it would be lost, with the samples."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[int] = []
    previous = signal.signal(signal.SIGINT, lambda number, _: caught.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if previous is None else previous)
        if caught:
            signal.raise_signal(signal.SIGINT)


def _speak(engine: ctypes.CDLL, data: Path, text: str, *, setting: Setting, seed: int) -> Spoken:
    rate = engine.espeak_Initialize(_SYNCHRONOUS, 0, str(data).encode(), _WITH_PHONEME_EVENTS)
    if rate != ENGINE_RATE:
        raise SpeechkitError(f"espeak-ng does not start (answer {rate})", where=str(data))
    if engine.espeak_SetVoiceByName(setting.voice.encode()) != 0:
        raise SpeechkitError(f"espeak-ng has no voice `{setting.voice}`")
    for parameter, value in (
        (_RATE, setting.rate),
        (_PITCH, setting.pitch),
        (_PITCH_RANGE, setting.pitch_range),
        (_WORD_GAP, setting.word_gap_ms // 10),
    ):
        engine.espeak_SetParameter(parameter, value, 0)
    pcm: list[bytes] = []
    events: list[Event] = []
    callback = _collector(pcm, events)
    engine.espeak_SetSynthCallback(callback)
    engine.espeak_ng_SetRandSeed(ctypes.c_long(seed & 0x7FFFFFFF))
    encoded = text.encode() + b"\0"
    status = engine.espeak_Synth(encoded, ctypes.c_size_t(len(encoded)), 0, _BY_CHARACTER, 0, _UTF8, None, None)
    if status != 0:
        raise SpeechkitError(f"espeak-ng cannot say a text (answer {status})", where=text)
    return Spoken(np.frombuffer(b"".join(pcm), dtype=np.int16), tuple(events))


def _collector(pcm: list[bytes], events: list[Event]) -> Callable[..., int]:
    kinds = {_WORD: "word", _PHONEME: "phone", _END: "end"}

    def collect(samples: int | None, num_samples: int, raw: Any) -> int:
        if samples and num_samples:
            pcm.append(ctypes.string_at(samples, 2 * num_samples))
        index = 0
        while raw[index].type != 0:
            event = raw[index]
            if event.type in kinds:
                name = event.name.decode("ascii", "replace") if event.type == _PHONEME else ""
                events.append(Event(kinds[event.type], event.sample, event.text_position - 1, name))
            index += 1
        return 0

    return _Callback(collect)


def time_words(
    text: str, spoken: Spoken, phones_alone: Callable[[str], Sequence[str]]
) -> tuple[list[Mark], list[Mark]]:
    """When each word and each phone of a text is spoken; exact, or refused.

    Pairs such as `of the` are one entry of the engine's dictionary and give one event; they are divided when
    their phones are those of the two words said alone, up to the quality of vowels.

    Args:
        text: words of [a-z'] with single spaces.
        phones_alone: the phones of a single word in the same voice.
    Returns:
        Words (one per token, in order) and phones; a word ends where the next begins or where a pause begins.
    Raises:
        UntimedTextError: the events do not fit the words.
    """
    tokens = [(match.start(), match.group()) for match in re.finditer(r"\S+", text)]
    spans = _words_with_phones(spoken)
    words: list[Mark] = []
    phones: list[Mark] = []
    for index, (position, start, end, inside) in enumerate(spans):
        next_position = spans[index + 1][0] if index + 1 < len(spans) else len(text) + 1
        covered = [word for place, word in tokens if position <= place < next_position]
        if (position, covered[0] if covered else "") not in tokens or not inside:
            raise UntimedTextError("an event that is no word", where=text[position:])
        words += [Mark(covered[0], start, end)] if len(covered) == 1 else _divide(covered, inside, phones_alone)
        phones += inside
    if [word.symbol for word in words] != [word for _, word in tokens]:
        raise UntimedTextError("events do not fit the words", where=text)
    if any(mark.end <= mark.start for mark in words):
        raise UntimedTextError("a word without duration", where=text)
    return words, phones


def spoken_phones(spoken: Spoken) -> list[str]:
    """Names of the phones of an utterance without stress marks and pauses."""
    return [phone.symbol for *_, inside in _words_with_phones(spoken) for phone in inside]


def _words_with_phones(spoken: Spoken) -> list[tuple[int, int, int, list[Mark]]]:
    """Per word event: position, start and end sample, phones; pauses belong to no word."""
    events = spoken.events
    starts = [i for i, event in enumerate(events) if event.kind == "word"]
    spans = []
    for begin, until in zip(starts, [*starts[1:], len(events)], strict=False):
        inside = [event for event in events[begin + 1 : until] if event.kind == "phone"]
        bounds = [event.sample for event in inside] + [
            events[until].sample if until < len(events) else len(spoken.samples)
        ]
        marks = [
            Mark(_phone_name(event.name), low, high)
            for event, low, high in zip(inside, bounds, bounds[1:], strict=False)
            if high > low and not event.name.startswith("_")
        ]
        start, stop = events[begin].sample, marks[-1].end if marks else events[begin].sample
        if marks:
            # the word event comes up to 13 ms before its first phone event, and it is the first sample that
            # changes with the word, so the first phone begins there
            marks[0] = Mark(marks[0].symbol, start, marks[0].end)
        spans.append((events[begin].position, start, stop, marks))
    return spans


def _phone_name(name: str) -> str:
    return name.lstrip("',%=") or name


def _divide(covered: list[str], inside: list[Mark], phones_alone: Callable[[str], Sequence[str]]) -> list[Mark]:
    alone = [list(phones_alone(word)) for word in covered]
    if [_shape(name) for names in alone for name in names] != [_shape(mark.symbol) for mark in inside]:
        raise UntimedTextError("one event for several words", where=" ".join(covered))
    marks, first = [], 0
    for word, names in zip(covered, alone, strict=True):
        last = first + len(names) - 1
        if last < first:
            raise UntimedTextError("a word without phones", where=word)
        marks.append(Mark(word, inside[first].start, inside[last].end))
        first = last + 1
    return marks


def _shape(name: str) -> str:
    """A phone with the quality of vowels left out: it changes when a word is reduced."""
    return "vowel" if name[0] in "aeiouAEIOUV@03" else name
