"""A corpus of tone words with exact times: speakers differ in pitch, recordings in level, over a quiet hiss."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from speechkit.audio.io import write_flac
from speechkit.cutpaste.assemble import run_inventory
from speechkit.cutpaste.config import InventoryConfig
from speechkit.cutpaste.inventory import Inventory, load_inventory
from speechkit.data.store import Word, make_cut, save_manifests

RATE = 8000
HISS = 0.002
WORDS = ("ba", "de", "gi", "po", "tu", "ka")
TEXTS = ("ba de gi", "po tu ka ba", "de po", "gi ka tu de", "ba po gi tu")


def tone(word: str, speaker: int, seconds: float) -> np.ndarray:
    """A harmonic sound whose colour is the word's and whose pitch is the speaker's."""
    time = np.arange(round(seconds * RATE)) / RATE
    pitch = 110 + 40 * speaker
    formant = 500 + 400 * WORDS.index(word)
    waves = [
        np.exp(-(((pitch * k - formant) / 300) ** 2)) * np.sin(2 * np.pi * pitch * k * time)
        for k in range(1, int(3500 / pitch))
    ]
    envelope = np.minimum(1, np.minimum(time, time[::-1]) / 0.02)
    return 0.2 * envelope * np.sum(waves, axis=0)


def make_paste_corpus(
    folder: Path, *, num_speakers: int = 2, texts: Sequence[str] = TEXTS, gap_seconds: float = 0.04
) -> Path:
    """Every speaker says every text; gaps of hiss between words, 0.12 s of it at both ends."""
    (folder / "audio").mkdir(parents=True)
    cuts = []
    for speaker in range(num_speakers):
        for number, text in enumerate(texts):
            utt_id = f"s{speaker}-t{number}"
            gen = np.random.default_rng([speaker, number])
            parts, words, position = [np.zeros(round(0.12 * RATE))], [], round(0.12 * RATE)
            for word in text.split():
                sound = tone(word, speaker, gen.uniform(0.15, 0.25))
                words.append(Word(word, position / RATE, len(sound) / RATE))
                parts += [sound, np.zeros(round(gap_seconds * RATE))]
                position += len(parts[-1]) + len(sound)
            parts.append(np.zeros(round(0.12 * RATE)))
            samples = np.concatenate(parts) * (0.6 + 0.2 * (number % 3))
            samples += HISS * gen.standard_normal(len(samples))
            path = folder / "audio" / f"{utt_id}.flac"
            write_flac(path, samples.astype(np.float32), RATE)
            cuts.append(
                make_cut(
                    utt_id, path, sampling_rate=RATE, num_samples=len(samples), text=text, speaker=f"s{speaker}",
                    tiers={"word": words},
                )
            )  # fmt: skip
    save_manifests(cuts, folder)
    return folder


def make_inventory(corpus: Path, out: Path, **options: object) -> Inventory:
    """The inventory of a corpus."""
    run_inventory(InventoryConfig(**options), cuts=corpus, out=out)  # type: ignore[arg-type]
    return load_inventory(out)
