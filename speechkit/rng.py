"""Randomness by name, never by order: the same (seed, names) give the same numbers anywhere.

Worker number, batch order and `--nj` must not appear among the names.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def derive_seed(seed: int, *names: object, bits: int = 128) -> int:
    """A `bits`-bit seed from a base seed and names such as an utterance id and an epoch (BLAKE2b)."""
    # the separator is escaped inside names, so that ("a", "b") never equals a single name
    escaped = [str(name).replace("\x1e", "\x1e0").replace("\x1f", "\x1e1") for name in names]
    text = "\x1f".join([str(int(seed)), *escaped])
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return int.from_bytes(digest, "big") >> (128 - bits)


def rng(seed: int, *names: object) -> np.random.Generator:
    """A numpy generator for these names: `rng(seed, "speed", epoch, utt_id)`."""
    import numpy as np

    return np.random.Generator(np.random.PCG64(derive_seed(seed, *names)))
