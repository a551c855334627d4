"""Where words are cut and what they sound like there: energy minima, envelopes, pitch and energy at both edges."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.fft import dct

NUM_MFCC = 13
NUM_EDGE = NUM_MFCC + 2  # then natural log of the pitch (nan: unvoiced) and of the power
_NUM_MELS = 24
_FRAME_SECONDS, _HOP_SECONDS = 0.025, 0.010
_PITCH_SECONDS = 0.040
_PITCH_HZ = (60.0, 500.0)
_VOICED = 0.45  # of the normalised autocorrelation
_SNAP_SECONDS = 0.005
_LEVEL_SECONDS = 0.020


def snap(samples: np.ndarray, cuts: np.ndarray, radius: int, sampling_rate: int) -> np.ndarray:
    """Cuts (K,) moved by at most `radius` samples to where 5 ms of sound have the least energy; int64."""
    if radius < 1 or len(cuts) == 0:
        return cuts
    width = max(2, round(_SNAP_SECONDS * sampling_rate))
    sums = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    offsets = np.arange(-radius, radius + 1)
    # the nearest of equal minima: in digital silence nothing moves
    offsets = offsets[np.argsort(np.abs(offsets), kind="stable")]
    places = np.clip(cuts[:, None] + offsets, 0, len(samples))
    low, high = np.maximum(places - width // 2, 0), np.minimum(places + width // 2, len(samples))
    power = (sums[high] - sums[low]) / np.maximum(high - low, 1)
    moved: np.ndarray = places[np.arange(len(cuts)), np.argmin(power, axis=1)]
    return moved


def edge_features(samples: np.ndarray, starts: np.ndarray, ends: np.ndarray, sampling_rate: int) -> np.ndarray:
    """Features of the first and the last 35 ms between the cuts `starts` and `ends`, float32 (K, 2, 15).

    13 cepstral coefficients without the zeroth, ln(pitch) or nan, ln(power): means of two frames.
    """
    frame, hop = round(_FRAME_SECONDS * sampling_rate), round(_HOP_SECONDS * sampling_rate)
    pitch_frame = round(_PITCH_SECONDS * sampling_rate)
    padded = np.pad(samples, pitch_frame)
    at = np.stack([starts, starts + hop, ends - frame, ends - frame - hop], axis=1) + pitch_frame
    windows = padded[np.clip(at, 0, len(padded) - frame)[..., None] + np.arange(frame)]
    log_mels = np.log(frame_mels(windows, sampling_rate) + 1e-7)
    log_mels = log_mels.reshape(len(starts), 2, 2, _NUM_MELS).mean(axis=2)
    at = np.stack([starts, ends - pitch_frame], axis=1) + pitch_frame
    pitch = _log_pitch(padded[np.clip(at, 0, len(padded) - pitch_frame)[..., None] + np.arange(pitch_frame)],
        sampling_rate)  # fmt: skip
    power = np.log(np.square(windows).mean(-1) + 1e-9).reshape(len(starts), 2, 2).mean(axis=2)
    mfcc = dct(log_mels, type=2, norm="ortho", axis=-1)[..., 1 : NUM_MFCC + 1]
    features: np.ndarray = np.concatenate([mfcc, pitch[..., None], power[..., None]], axis=-1).astype(np.float32)
    return features


def frame_mels(windows: np.ndarray, sampling_rate: int) -> np.ndarray:
    """Powers in 24 mel bands of windows (..., S): Hann window, 60 Hz to half the sampling rate; (..., 24)."""
    size = windows.shape[-1]
    num_fft = 1 << (size - 1).bit_length()
    spectrum = np.fft.rfft(windows * np.hanning(size).astype(np.float32), num_fft)
    powers: np.ndarray = (spectrum.real**2 + spectrum.imag**2) @ _mel_matrix(sampling_rate, num_fft)
    powers /= size
    return powers


@lru_cache(maxsize=8)
def _mel_matrix(sampling_rate: int, num_fft: int) -> np.ndarray:
    low, high = 1127.0 * np.log1p(np.array([60.0, sampling_rate / 2]) / 700.0)
    edges = 700.0 * np.expm1(np.linspace(low, high, _NUM_MELS + 2) / 1127.0)
    hertz = np.arange(num_fft // 2 + 1)[:, None] * sampling_rate / num_fft
    rise = (hertz - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - hertz) / (edges[2:] - edges[1:-1])
    weights: np.ndarray = np.maximum(np.minimum(rise, fall), 0.0)
    weights /= np.maximum(weights.sum(axis=0), 1e-9)
    return weights


def _log_pitch(windows: np.ndarray, sampling_rate: int) -> np.ndarray:
    """ln(Hz) of windows (..., S) by normalised autocorrelation (Boersma 1993), nan where unvoiced."""
    size = windows.shape[-1]
    low, high = int(sampling_rate / _PITCH_HZ[1]), min(size - 1, int(sampling_rate / _PITCH_HZ[0]))
    hann = np.hanning(size)
    num_fft = 1 << (size + high - 1).bit_length()
    centred = (windows - windows.mean(-1, keepdims=True)) * hann
    curves = np.fft.irfft(np.abs(np.fft.rfft(centred, num_fft)) ** 2, num_fft)[..., : high + 1]
    ideal = np.fft.irfft(np.abs(np.fft.rfft(hann, num_fft)) ** 2, num_fft)[: high + 1]
    curves = curves / np.maximum(curves[..., :1], 1e-9) * (ideal[0] / np.maximum(ideal, 1e-9 * ideal[0]))
    # a small charge on long lags, so that one period wins over two
    scores = curves[..., low:] - 0.02 * np.log2(np.arange(low, high + 1) / low)
    lags = low + np.argmax(scores, axis=-1)
    strength = np.take_along_axis(curves, lags[..., None], axis=-1)[..., 0]
    is_voiced = (strength > _VOICED) & (np.square(windows).mean(-1) > 1e-7)
    log_pitch: np.ndarray = np.where(is_voiced, np.log(sampling_rate / lags), np.nan)
    return log_pitch


def level_db(samples: np.ndarray, starts: np.ndarray, ends: np.ndarray, sampling_rate: int) -> float:
    """Loudness of the words between `starts` and `ends`: median power of the louder half of their frames, in dB."""
    powers = _frame_powers(samples, round(_LEVEL_SECONDS * sampling_rate))
    centres = (np.arange(len(powers)) + 0.5) * round(_LEVEL_SECONDS * sampling_rate)
    inside = np.zeros(len(powers), bool)
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        inside |= (centres >= start) & (centres < end)
    spoken = np.sort(powers[inside] if inside.any() else powers)
    return float(10.0 * np.log10(np.median(spoken[len(spoken) // 2 :]) + 1e-10))


def find_room_tone(samples: np.ndarray, size: int, limit_db: float) -> int:
    """Start of the quietest `size` samples that are not digital silence, -1 when even they are louder than `limit_db`.

    Digital silence is taken only where the recording has nothing else.
    """
    step = max(1, size // 10)
    starts = np.arange(0, len(samples) - size + 1, step)
    if len(starts) == 0:
        return -1
    sums = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    zeros = np.concatenate([[0], np.cumsum(samples == 0.0)])
    powers = (sums[starts + size] - sums[starts]) / size
    is_digital = zeros[starts + size] - zeros[starts] > size // 2
    if not is_digital.all():
        powers = np.where(is_digital, np.inf, powers)
    best = int(np.argmin(powers))
    return int(starts[best]) if 10.0 * np.log10(powers[best] + 1e-10) <= limit_db else -1


def _frame_powers(samples: np.ndarray, size: int) -> np.ndarray:
    num = max(1, len(samples) // size)
    padded = np.zeros(num * size) if len(samples) < size else samples[: num * size]
    if len(samples) < size:
        padded[: len(samples)] = samples
    powers: np.ndarray = np.square(padded.reshape(num, size), dtype=np.float64).mean(axis=1)
    return powers
