"""Array types of the kernels: fixed dtypes, because another dtype or a read-only array compiles anew."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Ints: TypeAlias = npt.NDArray[Any]
Ops: TypeAlias = npt.NDArray[np.int8]
Words: TypeAlias = npt.NDArray[np.uint64]
Pairs: TypeAlias = tuple[Ints, Ints, Ints, Ints]  # ids and offsets of the references, then of the hypotheses
Results: TypeAlias = tuple[Ints, Ints, Ints]  # counts, operations, where the operations of each pair start
