"""Units of utterances that follow a rule, as `units quantize` leaves them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np


def write_units(folder: Path, rows: dict[str, Sequence[int]], *, k: int = 6, **about: object) -> Path:
    """A folder of units without repetition; `about` changes what units.json says."""
    folder.mkdir(parents=True)
    shared = {"frames_per_second": 50.0}
    lines = [
        {"id": utt_id, "units": list(units), "runs": [1] * len(units), "num_frames": len(units)} | shared
        for utt_id, units in rows.items()
    ]
    (folder / "units.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    plain = {"codebook": "c0de", "k": k, "frames_per_second": 50.0, "first_centre_seconds": 0.0125}
    plain |= {"sampling_rate": 8000, "dedup": True}
    (folder / "units.json").write_text(json.dumps(plain | about))
    return folder


def counting_rows(num: int, *, k: int = 6, length: int = 12, prefix: str = "utt") -> dict[str, list[int]]:
    """Utterances that go up by one, or down by one, from anywhere: the second unit says how it goes on."""
    gen = np.random.default_rng(len(prefix))
    rows = {}
    for number in range(num):
        start, sign = int(gen.integers(k)), int(gen.choice([-1, 1]))
        rows[f"{prefix}-{number}"] = [(start + sign * step) % k for step in range(length)]
    return rows
