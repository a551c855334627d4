"""A corpus of tones that a tiny model learns in a second: each word is a pitch."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from speechkit.audio.io import write_flac
from speechkit.data.store import Word, make_cut, save_manifests

RATE = 8000
PITCH = {"low": 300, "mid": 900, "high": 2400}
WORD_SECONDS = 0.16


def make_tone_corpus(folder: Path, *, num_utterances: int = 24, seed: int = 0) -> Path:
    """Utterances of one to three tones with gaps, word times included."""
    gen = np.random.default_rng(seed)
    (folder / "audio").mkdir(parents=True)
    cuts = []
    for index in range(num_utterances):
        names = [str(name) for name in gen.choice(list(PITCH), size=gen.integers(1, 4))]
        pieces, words, position = [np.zeros(400)], [], 400 / RATE
        for name in names:
            time = np.arange(round(WORD_SECONDS * RATE)) / RATE
            pieces += [0.4 * np.sin(2 * np.pi * PITCH[name] * time), np.zeros(400)]
            words.append(Word(name, position, WORD_SECONDS))
            position += WORD_SECONDS + 400 / RATE
        samples = np.concatenate(pieces) + 0.003 * gen.standard_normal(sum(map(len, pieces)))
        utt_id = f"tone{seed}-{index:03d}"
        path = folder / "audio" / f"{utt_id}.flac"
        write_flac(path, samples.astype(np.float32), RATE)
        cuts.append(
            make_cut(
                utt_id, path, sampling_rate=RATE, num_samples=len(samples), text=" ".join(names),
                speaker="organ", tiers={"word": words},
            )
        )  # fmt: skip
    save_manifests(cuts, folder)
    return folder


CONFIG_YAML = """
model:
  kind: ctc
  encoder: {kind: ds_conv, dim: 16, num_blocks: 2, kernel: 5, subsampling: 4, subsampling_channels: 4}
tokenizer: {kind: word}
features: {sampling_rate: 8000, num_mels: 20}
augment: {speed: [0.9, 1.1], noise_prob: 0.5, freq_masks: 1, freq_mask_bands: 3}
batch: {max_seconds: 8, max_utterances: 8}
optim: {num_steps: 24, lr: 0.01, warmup_steps: 5}
checkpoint: {every_steps: 5}
average_decay: 0.8
dev_every_steps: 0
"""
