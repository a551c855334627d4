"""A corpus of three vowels of two voices, which units can tell apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from speechkit.data.store import Word, make_cut, save_cuts
from speechkit.rng import rng

RATE = 8000
VOWELS = {"a": (700.0, 1200.0), "i": (300.0, 2300.0), "u": (320.0, 800.0)}
SECONDS = 0.2  # of a vowel


def vowel(name: str, gen: np.random.Generator, seconds: float = SECONDS) -> np.ndarray:
    """Two tones and a little noise."""
    time = np.arange(round(seconds * RATE)) / RATE
    tones = sum(np.sin(2 * np.pi * hz * time) for hz in VOWELS[name])
    return np.asarray(0.2 * tones + 0.01 * gen.standard_normal(len(time)), dtype=np.float32)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve utterances of three vowels with word times, at 8 kHz."""
    folder = tmp_path_factory.mktemp("vowels")
    cuts = []
    for number in range(12):
        gen = rng(1, "vowels", number)
        names = [str(name) for name in gen.permutation(list(VOWELS))]
        samples = np.concatenate([vowel(name, gen) for name in names])
        path = folder / f"v{number:02d}.wav"
        soundfile.write(path, samples, RATE, subtype="PCM_16")
        words = [Word(name, SECONDS * place, SECONDS) for place, name in enumerate(names)]
        cut = make_cut(
            f"v{number:02d}", path, sampling_rate=RATE, num_samples=len(samples), text=" ".join(names),
            speaker=f"s{number % 2}", tiers={"word": words},
        )  # fmt: skip
        cuts.append(cut)
    save_cuts(cuts, folder / "cuts.jsonl.gz")
    return folder
