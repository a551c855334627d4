"""Can a join be heard? Clicks, pitch jumps, and what a classifier of joins sees.

All functions take samples and places in them: sample numbers of joins, or of natural boundaries between words.
"""

from __future__ import annotations

import numpy as np

from speechkit.cutpaste.edges import edge_features, frame_mels

_CLICK_SECONDS, _LOCAL_SECONDS = 0.002, 0.020
_WINDOW_FRAMES = 8  # of 25 ms, every 10 ms: about 100 ms around the place
_FRAME_SECONDS, _HOP_SECONDS = 0.025, 0.010
_PITCH_COLUMN = 13
_SEMITONES = 12.0 / np.log(2.0)


def click_levels(samples: np.ndarray, places: np.ndarray, sampling_rate: int) -> np.ndarray:
    """Largest second difference within 2 ms of each place over the RMS of those up to 20 ms away, (K,).

    A step in the waveform bends it more than the sound around it does; hiss, which bends everywhere, has no clicks.
    """
    near, far = (max(2, round(seconds * sampling_rate)) for seconds in (_CLICK_SECONDS, _LOCAL_SECONDS))
    bends = np.abs(np.diff(np.pad(samples.astype(np.float64), far + 1, mode="edge"), n=2))
    windows = bends[np.clip(np.asarray(places)[:, None] + np.arange(2 * far), 0, len(bends) - 1)]
    is_near = np.abs(np.arange(2 * far) - far + 0.5) < near
    around = np.sqrt(np.square(windows[:, ~is_near]).mean(axis=1) + 1e-12)
    levels: np.ndarray = windows[:, is_near].max(axis=1) / around
    return levels


def pitch_jumps(samples: np.ndarray, places: np.ndarray, sampling_rate: int) -> np.ndarray:
    """Semitones between the 40 ms before and after each place, for the places with voice on both sides."""
    places = np.asarray(places)
    pitches = edge_features(samples, places, places, sampling_rate)[..., _PITCH_COLUMN]
    jumps = _SEMITONES * np.abs(pitches[:, 0] - pitches[:, 1])
    voiced: np.ndarray = jumps[~np.isnan(jumps)]
    return voiced


def window_features(samples: np.ndarray, places: np.ndarray, sampling_rate: int) -> np.ndarray:
    """What a detector sees of each place: log-mel levels of about 100 ms around it and their changes, (K, 360).

    The mean level of each window is removed, so that loudness alone gives nothing away.
    """
    frame, hop = round(_FRAME_SECONDS * sampling_rate), round(_HOP_SECONDS * sampling_rate)
    reach = (_WINDOW_FRAMES * hop + frame) // 2 + 1
    padded = np.pad(samples, reach + frame)
    offsets = (np.arange(_WINDOW_FRAMES) - (_WINDOW_FRAMES - 1) / 2) * hop - frame / 2
    starts = np.asarray(places)[:, None] + offsets.astype(int) + reach + frame
    windows = padded[np.clip(starts, 0, len(padded) - frame)[..., None] + np.arange(frame)]
    log_mels = np.log(frame_mels(windows, sampling_rate) + 1e-8)
    log_mels -= log_mels.mean(axis=(1, 2), keepdims=True)
    changes = np.abs(np.diff(log_mels, axis=1))
    features: np.ndarray = np.concatenate([log_mels, changes], axis=1).reshape(len(windows), -1)
    return features
