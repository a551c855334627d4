"""Speed and sampling rate by polyphase filtering."""

from __future__ import annotations

from functools import lru_cache
from math import gcd

import numpy as np
from scipy.signal import firwin, resample_poly

SPEED_STEPS = 40  # speeds are multiples of 1/40, so that few filters serve all


def change_speed(samples: np.ndarray, speed: float) -> np.ndarray:
    """Play faster (speed > 1) or slower by polyphase resampling; pitch and formants move along; float32."""
    if speed == 1.0:
        return samples
    return resample_by(samples, SPEED_STEPS, round(speed * SPEED_STEPS))


def resample(samples: np.ndarray, rate_in: int, rate_out: int) -> np.ndarray:
    """Change the sampling rate by polyphase filtering, float32 (S * rate_out / rate_in,)."""
    return resample_by(samples, rate_out, rate_in)


def resample_by(samples: np.ndarray, up: int, down: int) -> np.ndarray:
    """Samples (S,) float32 at `up / down` times the rate, without delay."""
    if up == down:
        return samples
    common = gcd(up, down)
    up, down = up // common, down // common
    resampled: np.ndarray = resample_poly(samples, up, down, window=_low_pass(max(up, down)))
    return resampled.astype(np.float32, copy=False)


@lru_cache(maxsize=128)
def _low_pass(rate: int) -> np.ndarray:
    # the filter scipy would design anew at every call
    taps: np.ndarray = firwin(20 * rate + 1, 1.0 / rate, window=("kaiser", 5.0))
    return taps.astype(np.float32)
