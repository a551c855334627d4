"""Noise and room responses made on the spot, all from a generator the caller seeds by utterance."""

from __future__ import annotations

import numpy as np
from scipy.signal import fftconvolve

from speechkit.errors import SpeechkitError


def coloured_noise(num_samples: int, exponent: float, gen: np.random.Generator) -> np.ndarray:
    """Gaussian noise of unit RMS, float32 (S,), with power density 1/f^exponent (0 white, 1 pink, 2 brown)."""
    # a power of two is several times faster to transform than an arbitrary length
    size = max(16, 1 << (num_samples - 1).bit_length())
    bins = size // 2 + 1
    spectrum = gen.standard_normal(bins, dtype=np.float32) + 1j * gen.standard_normal(bins, dtype=np.float32)
    frequency = np.arange(bins, dtype=np.float32)
    frequency[0] = 1.0
    spectrum *= frequency ** np.float32(-exponent / 2)
    spectrum[0] = 0.0
    noise = np.fft.irfft(spectrum, size)[:num_samples].astype(np.float32)
    return noise / max(float(np.sqrt(np.mean(noise * noise))), 1e-12)


def mix_at_snr(speech: np.ndarray, noise: np.ndarray, snr_db: float) -> np.ndarray:
    """Speech plus noise scaled to the given ratio of mean powers, float32 (S,); shorter noise is repeated."""
    if len(noise) == 0:
        raise SpeechkitError("the noise is empty")
    if len(noise) < len(speech):
        noise = np.tile(noise, -(-len(speech) // len(noise)))
    noise = noise[: len(speech)]
    speech_power = float(np.mean(speech * speech)) if len(speech) else 0.0
    noise_power = float(np.mean(noise * noise)) if len(speech) else 0.0
    if noise_power <= 0.0:
        return speech
    gain = np.float32(np.sqrt(speech_power / noise_power * 10.0 ** (-snr_db / 10.0)))
    return speech + gain * noise


def add_clicks(speech: np.ndarray, num_clicks: int, sampling_rate: int, gen: np.random.Generator) -> np.ndarray:
    """Speech with short decaying bursts of coloured noise, float32 (S,): lips, breath, keys, a chair.

    Their peaks lie 0-20 dB below the peak of the speech. They teach that not every onset is a word.
    """
    out, peak = speech.copy(), float(np.max(np.abs(speech), initial=0.0))
    for _ in range(num_clicks):
        size = int(gen.uniform(0.01, 0.12) * sampling_rate)
        burst = coloured_noise(size, gen.uniform(0.0, 2.0), gen)
        burst *= np.exp(-np.linspace(0.0, gen.uniform(2.0, 6.0), size, dtype=np.float32))
        burst *= np.float32(peak * 10.0 ** (-gen.uniform(0.0, 20.0) / 20.0) / max(float(np.max(np.abs(burst))), 1e-12))
        start = int(gen.integers(0, max(1, len(out) - size)))
        out[start : start + size] += burst[: len(out) - start]
    return out


def synthetic_rir(
    rt60_seconds: float, sampling_rate: int, gen: np.random.Generator, *, direct_to_reverb_db: float = 6.0
) -> np.ndarray:
    """Room response, float32: a direct path of 1 at sample 0, then exponentially decaying noise.

    The direct path comes first so that word times stay true (Polack's model of late reverberation).
    """
    num_samples = max(2, int(rt60_seconds * sampling_rate))
    time = np.arange(num_samples, dtype=np.float32) / sampling_rate
    tail = gen.standard_normal(num_samples, dtype=np.float32) * np.exp(np.float32(-6.908 / rt60_seconds) * time)
    tail[0] = 0.0
    energy = float(np.sum(tail * tail))
    tail *= np.float32(np.sqrt(10.0 ** (-direct_to_reverb_db / 10.0) / max(energy, 1e-12)))
    tail[0] = 1.0
    return tail


def convolve_rir(speech: np.ndarray, rir: np.ndarray) -> np.ndarray:
    """Speech in the room, float32 (S,): same length and same RMS as before."""
    wet: np.ndarray = fftconvolve(speech, rir)[: len(speech)].astype(np.float32)
    before, after = float(np.sum(speech * speech)), float(np.sum(wet * wet))
    return wet * np.float32(np.sqrt(before / after)) if after > 0 else wet
