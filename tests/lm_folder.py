"""A small language model of units and units with a manifest, as folders."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from make import make_cut, make_wav
from safetensors.torch import save_file

from speechkit.data.store import save_cuts
from speechkit.models.config import UlmConfig
from speechkit.models.ulm import UnitLm, padded
from speechkit.models.ulm_folder import write_about

CODEBOOK = "c" * 64


def make_lm_folder(folder: Path, *, k: int, learned: Sequence[list[int]] = (), **fields: Any) -> Path:
    """A model that has learned these sequences of units by heart, if any."""
    folder.mkdir(parents=True)
    torch.manual_seed(1)
    sizes = {"dim": 16, "num_heads": 2, "num_layers": 2, "num_encoder_layers": 1, "ff_dim": 32, "dropout": 0.0}
    config = UlmConfig(**{**sizes, **fields})
    model = UnitLm(config, num_units=k)
    if learned:
        optimizer = torch.optim.Adam(model.parameters(), lr=2e-2)
        read = padded(learned)
        for _ in range(40):
            optimizer.zero_grad()
            (model.nats(*read).sum() / (read.lengths_B.sum() + len(learned))).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    save_file(model.state_dict(), str(folder / "model.safetensors"))
    (folder / "config.yaml").write_text(yaml.safe_dump({"model": config.model_dump(mode="json")}))
    write_about(folder, {"num_units": k, "codebook": CODEBOOK, "frames_per_second": 100.0, "dedup": True})
    return folder


def make_units_folder(folder: Path, rows: Sequence[tuple[str, list[int], str]], *, k: int) -> Path:
    """Units with ids and texts, and a manifest whose audio is one tone."""
    folder.mkdir(parents=True)
    tone = make_wav(folder / "tone.wav")
    lines = [
        json.dumps({"id": utt_id, "units": units, "runs": [2] * len(units), "num_frames": 2 * len(units)})
        for utt_id, units, _ in rows
    ]
    (folder / "units.jsonl").write_text("\n".join(lines) + "\n")
    about = {
        "codebook": CODEBOOK, "k": k, "frames_per_second": 100.0, "first_centre_seconds": 0.0, "sampling_rate": 8000,
        "dedup": True,
    }  # fmt: skip
    (folder / "units.json").write_text(json.dumps(about))
    save_cuts([make_cut(utt_id, tone, text=text) for utt_id, _, text in rows], folder / "cuts.jsonl.gz")
    return folder
