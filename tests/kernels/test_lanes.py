"""Bits of 64 bytes against numpy's comparisons."""

from __future__ import annotations

import numba as nb
import numpy as np

from speechkit.kernels import lanes

GEN = np.random.default_rng(0)
BYTES = GEN.integers(0, 256, 1024).astype(np.uint8)
OTHERS = np.where(GEN.random(1024) < 0.1, BYTES ^ 1, BYTES)


def bits(truths: np.ndarray) -> int:
    return sum(1 << k for k, truth in enumerate(truths.tolist()) if truth)


@nb.njit
def masks_of(data: np.ndarray, others: np.ndarray, at: int) -> tuple[np.uint64, ...]:
    return (
        lanes.spaces(data, at),
        lanes.line_feeds(data, at),
        lanes.nuls(data, at),
        lanes.not_ascii(data, at),
        lanes.continuations(data, at),
        lanes.unusual(data, at),
        lanes.differ(data, at, others, at),
        lanes.equal(data, at, np.uint8(65)),
        lanes.load8(data, at),
    )


def test_bits_of_bytes_say_what_numpy_says() -> None:
    for at in range(0, 960, 7):
        part = BYTES[at : at + 64]
        expected = [
            part <= 0x20,
            part == 10,
            part == 0,
            part >= 0x80,
            (part & 0xC0) == 0x80,
            (part < 0x20) | (part >= 0x80),
            part != OTHERS[at : at + 64],
            part == 65,
        ]
        found = masks_of(BYTES, OTHERS, at)
        assert [int(value) for value in found[:-1]] == [bits(truths) for truths in expected]
        assert int(found[-1]) == int.from_bytes(part[:8].tobytes(), "little")


@nb.njit
def masks_of_integers(ids: np.ndarray, keys: np.ndarray, at: int) -> tuple[np.uint64, ...]:
    return (
        lanes.equal(ids, at, np.int32(1)),
        lanes.differ(ids, at, ids, at + 1),
        lanes.equal(keys, at, np.uint64(1)),
    )


def test_bits_of_integers_say_what_numpy_says() -> None:
    ids = GEN.integers(0, 3, 200).astype(np.int32)
    keys = ids.astype(np.uint64)
    for at in range(180):
        found = [int(value) for value in masks_of_integers(ids, keys, at)]
        part = ids[at : at + 16]
        assert found == [bits(part == 1), bits(part != ids[at + 1 : at + 17]), bits(part[:8] == 1)]


@nb.njit
def counts_of(value: np.uint64) -> tuple[int, int, int]:
    return lanes.trailing_zeros(value), lanes.leading_zeros(value), lanes.count_ones(value)


def test_bits_are_counted() -> None:
    for value in (0, 1, 40, 1 << 63, (1 << 64) - 1):
        text = f"{value:064b}"
        trailing = 64 - len(text.rstrip("0"))
        assert counts_of(np.uint64(value)) == (trailing, 64 - len(text.lstrip("0")), text.count("1"))
