"""Can a join be heard or found? Clicks, pitch jumps, and a small classifier of joins against natural word boundaries.

All functions take samples and places in them: sample numbers of joins, or of natural boundaries between words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.optimize import minimize

from speechkit.cutpaste.edges import edge_features, frame_mels

_CLICK_SECONDS, _LOCAL_SECONDS = 0.002, 0.020
_WINDOW_FRAMES = 8  # of 25 ms, every 10 ms: about 100 ms around the place
_FRAME_SECONDS, _HOP_SECONDS = 0.025, 0.010
_PITCH_COLUMN = 13
_RIDGE = 3.0
_SEMITONES = 12.0 / np.log(2.0)
NUM_FOLDS = 5


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


def area_under_curve(positive: np.ndarray, negative: np.ndarray) -> float:
    """Chance that a positive scores above a negative; a tie counts one half (Mann-Whitney)."""
    ordered = np.sort(negative)
    below, upto = (np.searchsorted(ordered, positive, side=side) for side in ("left", "right"))
    return float((below + upto).mean() / (2.0 * len(negative)))


def detectability(joins: np.ndarray, natural: np.ndarray, join_groups: Sequence[str], groups: Sequence[str]) -> float:
    """Area under the curve of a logistic regression that tells joins from natural boundaries; 0.5: it cannot.

    Each utterance is scored by a model that has not seen it: five folds, drawn by the order of the sorted names.

    Args:
        joins, natural: features, (K, D) each.
        join_groups, groups: the utterance of each row.
    """
    rows = np.concatenate([joins, natural])
    labels = np.concatenate([np.ones(len(joins)), np.zeros(len(natural))])
    names = [f"join {name}" for name in join_groups] + [f"natural {name}" for name in groups]
    order = {name: number for number, name in enumerate(sorted(set(names)))}
    folds = np.array([order[name] % NUM_FOLDS for name in names])
    scores = np.zeros(len(rows))
    for fold in range(NUM_FOLDS):
        held = folds == fold
        if held.any() and 0 < labels[~held].sum() < (~held).sum():
            scores[held] = _fit(rows[~held], labels[~held])(rows[held])
    return area_under_curve(scores[labels == 1], scores[labels == 0])


def _fit(rows: np.ndarray, labels: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Log odds by ridge logistic regression on standardised features with balanced classes."""
    mean, scale = rows.mean(0), rows.std(0) + 1e-6
    features = np.hstack([(rows - mean) / scale, np.ones((len(rows), 1))])
    weight = np.where(labels == 1, 0.5 / labels.mean(), 0.5 / (1.0 - labels.mean()))
    signs = 2.0 * labels - 1.0

    def loss(vector: np.ndarray) -> tuple[float, np.ndarray]:
        margins = signs * (features @ vector)
        slopes = -weight * signs / (1.0 + np.exp(np.clip(margins, -50, 50)))
        damped = np.append(vector[:-1], 0.0) * _RIDGE
        value = float((weight * np.logaddexp(0.0, -margins)).sum() + 0.5 * damped @ vector)
        return value, features.T @ slopes + damped

    found = minimize(loss, np.zeros(features.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 200}).x
    return lambda others: (others - mean) / scale @ found[:-1] + found[-1]
