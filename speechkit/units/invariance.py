"""How far units stay the same when the audio is changed in ways that change no word: noise, speed, level.

Unit edit distance: Gat et al. 2022 (augmentation invariant discrete representation).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from speechkit import log
from speechkit.audio.noise import coloured_noise, mix_at_snr
from speechkit.audio.resample import change_speed
from speechkit.data.batch import Utterance
from speechkit.kernels.edit import COR, align_ids
from speechkit.rng import rng
from speechkit.units.codebook import Codebook
from speechkit.units.config import InvarianceConfig
from speechkit.units.extractor import Extractor, Floats
from speechkit.units.kmeans import Labels
from speechkit.units.sounds import samples_of
from speechkit.units.unit_file import merge_runs

Change = Callable[[Utterance, Floats], Floats]
_PINK = 1.0


def changes_of(config: InvarianceConfig) -> dict[str, Change]:
    """The changes by name."""

    def noise(snr_db: float) -> Change:
        def add(utt: Utterance, samples: Floats) -> Floats:
            gen = rng(config.seed, "noise", snr_db, utt.utt_id)
            return mix_at_snr(samples, coloured_noise(len(samples), _PINK, gen), snr_db)

        return add

    def gain(db: float) -> Change:
        return lambda _, samples: samples * np.float32(10.0 ** (db / 20.0))

    def speed(factor: float) -> Change:
        return lambda _, samples: change_speed(samples, factor)

    return {
        **{f"noise {snr_db:g} dB": noise(snr_db) for snr_db in config.noise_snr_db},
        **{f"speed {factor:g}": speed(factor) for factor in config.speeds},
        **{f"gain {db:+g} dB": gain(db) for db in config.gains_db},
    }


def measure(
    utterances: Sequence[Utterance], book: Codebook, extractor: Extractor, config: InvarianceConfig
) -> dict[str, Any]:
    """Equal units and unit edit distance under each change, over some utterances.

    `equal`: share of units, repetitions merged, that an alignment finds again. `unit_edit_percent`: substitutions,
    deletions and insertions by the number of units. `equal_frames`: where the length stays, the share of frames.
    """
    size = min(config.num_utterances, len(utterances))
    chosen = np.sort(rng(config.seed, "invariance").choice(len(utterances), size, replace=False))
    changes = changes_of(config)
    before: list[Labels] = []
    after: dict[str, list[Labels]] = {name: [] for name in changes}
    for number in log.track(chosen, "invariance"):
        utt = utterances[number]
        samples = samples_of(utt, extractor.sampling_rate)
        before.append(book.encode(extractor(samples)))
        for name, change in changes.items():
            after[name].append(book.encode(extractor(change(utt, samples))))
    return {"num_utterances": size, **{name: _compare(before, found, book.k) for name, found in after.items()}}


def _compare(before: list[Labels], after: list[Labels], k: int) -> dict[str, float]:
    (ref, ref_offsets), (hyp, hyp_offsets) = _joined(before), _joined(after)
    found = align_ids(ref, ref_offsets, hyp, hyp_offsets, vocab_size=k)
    num_equal = sum(int((found.ops_of(pair) == COR).sum()) for pair in range(len(before)))
    result = {
        "equal": round(num_equal / len(ref), 4),
        "unit_edit_percent": round(100 * int(found.counts.sum()) / len(ref), 2),
    }
    if all(len(a) == len(b) for a, b in zip(before, after, strict=True)):
        same = np.concatenate(before) == np.concatenate(after)
        result["equal_frames"] = round(float(same.mean()), 4)
    return result


def _joined(sequences: list[Labels]) -> tuple[Labels, np.ndarray]:
    merged = [merge_runs(labels_T)[0] for labels_T in sequences]
    return np.concatenate(merged).astype(np.int32), np.cumsum([0, *map(len, merged)])
