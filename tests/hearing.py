"""Models and log-probs to audit with, made in milliseconds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import yaml
from lhotse import MonoCut
from make import make_cut, make_wav
from safetensors.torch import save_file
from tone_corpus import CONFIG_YAML

from speechkit.artifact import write_json
from speechkit.audio.config import FeatureConfig
from speechkit.audit.logprobs import greedy_text
from speechkit.audit.score_file import write_rows
from speechkit.config import build_config
from speechkit.data.store import save_cuts
from speechkit.models.config import CtcConfig
from speechkit.models.table import make_model
from speechkit.text.tokenizer import Tokenizer, train_tokenizer

DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
STEP = 0.02


def char_tokenizer() -> Tokenizer:
    return train_tokenizer([" ".join(DIGITS)], kind="char")


def make_exp(folder: Path, tokenizer: Tokenizer) -> Path:
    """The files of `speechkit train` for a model that has learned nothing."""
    tree = yaml.safe_load(CONFIG_YAML)
    kept = {"model": tree["model"], "features": tree["features"]}
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(kept))
    features = build_config(FeatureConfig, tree["features"])
    torch.manual_seed(0)
    model = make_model(
        build_config(CtcConfig, tree["model"]), num_mels=features.num_mels, num_tokens=tokenizer.num_tokens
    )
    save_file(model.state_dict(), str(folder / "model.safetensors"))
    tokenizer.save(folder / "tokenizer")
    return folder


def say(tokenizer: Tokenizer, text: str, *, num_frames: int = 80, seed: int = 0, level: float = 7.0) -> np.ndarray:
    """Log-probs of a model that hears the text in spikes, spread evenly, with some noise; float16 as they are kept."""
    gen = np.random.default_rng(seed)
    tokens = tokenizer.encode(text)
    logits = gen.normal(size=(num_frames, tokenizer.num_tokens))
    labels_T = np.zeros(num_frames, np.int64)
    labels_T[np.linspace(2, num_frames - 3, len(tokens)).astype(int)] = tokens
    logits[range(num_frames), labels_T] += level
    return torch.from_numpy(logits).log_softmax(-1).numpy().astype(np.float16)


def make_log_probs(folder: Path, tokenizer: Tokenizer, spoken: Mapping[str, np.ndarray], *, seconds: float) -> Path:
    """The files of `audit logprobs` for cuts of one length."""
    folder.mkdir(parents=True)
    starts = np.cumsum([0, *map(len, spoken.values())]).tolist()
    np.save(folder / "log_probs.npy", np.concatenate(list(spoken.values())))
    rows = [
        {
            "id": utt_id,
            "start": start,
            "frames": len(values),
            "seconds": seconds,
            "hypothesis": greedy_text(values, tokenizer),
        }
        for (utt_id, values), start in zip(spoken.items(), starts[:-1], strict=True)
    ]
    write_rows(folder / "index.jsonl", rows)
    write_rows(folder / "left_out.jsonl", [])
    tokenizer.save(folder / "tokenizer")
    write_json(folder / "meta.json", {"step_seconds": STEP, "first_seconds": STEP / 2})
    return folder


def make_manifest(folder: Path, texts: Mapping[str, str], *, seconds: float = 0.5) -> Path:
    """Cuts with tones of one length; two speakers by turns."""
    cuts: list[MonoCut] = []
    for number, (utt_id, text) in enumerate(texts.items()):
        path = make_wav(folder / "audio" / f"{utt_id}.wav", seconds, frequency=300.0 + 40.0 * number)
        cuts.append(make_cut(utt_id, path, text=text, speaker=("anna", "bert")[number % 2]))
    save_cuts(cuts, folder / "cuts.jsonl.gz")
    return folder / "cuts.jsonl.gz"
