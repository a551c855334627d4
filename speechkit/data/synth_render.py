"""One synthetic utterance from text to FLAC; runs in worker processes, so it imports neither lhotse nor torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd
from pathlib import Path

import numpy as np

from speechkit.audio.io import write_flac
from speechkit.audio.noise import coloured_noise, convolve_rir, mix_at_snr, synthetic_rir
from speechkit.audio.resample import resample_by
from speechkit.data import espeak
from speechkit.data.config_synth import SynthConfig
from speechkit.data.voices import Speaker
from speechkit.rng import derive_seed, rng

_MAX_PEAK = 0.95
_MIN_DENOMINATOR = 200  # steps of the vocal-tract factor are at most 0.5 %


@dataclass(frozen=True)
class Order:
    """An utterance to make; the audio goes to `<speaker_id>/<utt_id>.flac` below the audio folder."""

    utt_id: str
    text: str
    speaker: Speaker
    take: int


@dataclass(frozen=True)
class Rendered:
    """A finished utterance, times in samples of the file as fractions, or the reason why there is none."""

    utt_id: str
    num_samples: int = 0
    words: tuple[tuple[str, float, float], ...] = ()
    phones: tuple[tuple[str, float, float], ...] = ()
    conditions: tuple[tuple[str, float], ...] = ()
    is_peak_limited: bool = False
    num_divided: int = 0
    fault: str = ""


def read_rendered(path: Path) -> list[Rendered]:
    """The utterances of a part, from its file."""
    lists = ("words", "phones", "conditions")
    rows = json.loads(path.read_bytes())
    return [Rendered(**{**row, **{name: tuple(map(tuple, row[name])) for name in lists}}) for row in rows]


def render_orders(orders: Sequence[Order], config: SynthConfig, audio: Path) -> list[Rendered]:
    """Make several utterances; each depends on its own order and the config only."""
    return [render_order(order, config, audio) for order in orders]


def render_order(order: Order, config: SynthConfig, audio: Path) -> Rendered:
    """Say, resample, place in a room, add noise and write one utterance.

    Word times are exact up to the resampling: room responses begin with the direct path, noise adds no delay.
    """
    setting = _setting(order, config)
    spoken = espeak.speak(order.text, setting, seed=derive_seed(config.seed, "espeak", order.utt_id, bits=31))

    def phones_alone(word: str) -> list[str]:
        return espeak.spoken_phones(espeak.speak(word, setting, seed=0))

    try:
        words, phones = espeak.time_words(order.text, spoken, phones_alone)
    except espeak.UntimedTextError as error:
        return Rendered(order.utt_id, fault=f"{error.what}: {' '.join(error.where)}")
    up, down = ratio(config.sampling_rate, order.speaker.formant)
    speech = resample_by(spoken.samples.astype(np.float32) / 32768, up, down)
    gen = rng(config.seed, "render", order.utt_id)
    before, after = (int(gen.uniform(*config.pad_seconds) * config.sampling_rate) for _ in range(2))
    speech = np.concatenate([np.zeros(before, np.float32), speech, np.zeros(after, np.float32)])
    level_db = order.speaker.level_db + float(gen.uniform(-1.5, 1.5))
    speech *= np.float32(10 ** (level_db / 20) / max(float(np.sqrt(np.mean(speech * speech))), 1e-6))
    speech, conditions = _degrade(speech, config, gen)
    peak = float(np.max(np.abs(speech)))
    if peak > _MAX_PEAK:
        speech *= np.float32(_MAX_PEAK / peak)
    folder = audio / order.speaker.speaker_id
    folder.mkdir(parents=True, exist_ok=True)
    write_flac(folder / f"{order.utt_id}.flac", speech, config.sampling_rate)
    return Rendered(
        utt_id=order.utt_id,
        num_samples=len(speech),
        words=_scaled(words, up / down, before),
        phones=_scaled(phones, up / down, before),
        conditions=conditions,
        is_peak_limited=peak > _MAX_PEAK,
        num_divided=len(words) - sum(event.kind == "word" for event in spoken.events),
    )


def _setting(order: Order, config: SynthConfig) -> espeak.Setting:
    """The speaker's way of speaking, from the second take on with a little variation; never outside the ranges."""
    gen = rng(config.seed, "take", order.utt_id)
    speaker, spread = order.speaker, 0.0 if order.take == 0 else 1.0
    rate = speaker.rate * (1 + 0.06 * spread * gen.uniform(-1, 1))
    pitch = speaker.pitch + 4 * spread * gen.uniform(-1, 1)
    pitch_range = speaker.pitch_range + 5 * spread * gen.uniform(-1, 1)
    return espeak.Setting(
        voice=speaker.voice,
        rate=round(float(np.clip(rate, *config.rate))),
        pitch=round(float(np.clip(pitch, *config.pitch))),
        pitch_range=round(float(np.clip(pitch_range, *config.pitch_range))),
        word_gap_ms=config.word_gap_ms,
    )


def _degrade(
    speech: np.ndarray, config: SynthConfig, gen: np.random.Generator
) -> tuple[np.ndarray, tuple[tuple[str, float], ...]]:
    conditions: list[tuple[str, float]] = []
    if config.reverb:
        rt60 = round(float(gen.uniform(*config.rt60_seconds)), 3)
        speech = convolve_rir(speech, synthetic_rir(rt60, config.sampling_rate, gen))
        conditions.append(("rt60_seconds", rt60))
    if config.noise:
        snr_db = round(float(gen.uniform(*config.snr_db)), 2)
        noise = coloured_noise(len(speech), float(gen.uniform(0, 2)), gen)
        speech = mix_at_snr(speech, noise, snr_db)
        conditions.append(("snr_db", snr_db))
    return speech, tuple(conditions)


def ratio(sampling_rate: int, formant: float) -> tuple[int, int]:
    """Integers (up, down) of the resampling from the engine's rate that scales all frequencies by `formant`."""
    common = gcd(sampling_rate, espeak.ENGINE_RATE)
    up, down = sampling_rate // common, espeak.ENGINE_RATE // common
    if formant == 1.0:
        return up, down
    finer = -(-_MIN_DENOMINATOR // down)
    up, down = up * finer, round(down * finer * formant)
    return up // gcd(up, down), down // gcd(up, down)


def _scaled(marks: Sequence[espeak.Mark], scale: float, offset: int) -> tuple[tuple[str, float, float], ...]:
    return tuple((mark.symbol, offset + mark.start * scale, offset + mark.end * scale) for mark in marks)
