"""The pasting kernel against a slow reference, and what a crossfade must keep."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from speechkit.kernels.paste import paste

Row = tuple[int, int, int, int, int, int]  # the last is the length of the fade at its end


def place_of(row: Row, offset: int) -> int | None:
    """Where in the pool a stretch is at `offset` samples from its start, or None outside its recording."""
    start, _, low, high, room, _ = row
    if room:
        walk = [*range(room), *range(room - 2, 0, -1)] or [0]
        return low + walk[(start + offset) % len(walk)]
    return start + offset if low <= start + offset < high else None


def slow_paste(pool: np.ndarray, rows: list[Row], gains: np.ndarray, fade: np.ndarray) -> np.ndarray:
    """Sum of all stretches, each with a weight for every sample."""
    sizes = [row[1] for row in rows]
    out = np.zeros(sum(sizes))
    position = 0
    for k, row in enumerate(rows):
        left = min(rows[k - 1][5], sizes[k], sizes[k - 1]) // 2 if k else 0
        right = min(row[5], sizes[k], sizes[k + 1]) // 2 if k + 1 < len(rows) else 0
        for offset in range(-left, sizes[k] + right):
            weight = 1.0
            if offset < left:
                weight = fade[(2 * (offset + left) + 1) * len(fade) // (4 * left)]
            elif offset >= sizes[k] - right:
                weight = fade[len(fade) - 1 - (2 * (offset - sizes[k] + right) + 1) * len(fade) // (4 * right)]
            place = place_of(row, offset)
            if place is not None:
                out[position + offset] += weight * gains[k] * pool[place]
        position += sizes[k]
    return out


@st.composite
def stretches(draw: st.DrawFn) -> tuple[list[Row], int]:
    rows = []
    width = draw(st.sampled_from([0, 2, 8, 20]))
    for _ in range(draw(st.integers(1, 6))):
        low, fade = draw(st.integers(0, 100)), draw(st.integers(0, width))
        high = low + draw(st.integers(1, 80))
        if draw(st.booleans()):
            rows.append((draw(st.integers(0, 50)), draw(st.integers(1, 60)), low, high, high - low, fade))
        else:
            start = draw(st.integers(low, high - 1))
            rows.append((start, draw(st.integers(1, high - start)), low, high, 0, fade))
    return rows, width


@settings(max_examples=60, deadline=None)
@given(stretches(), st.integers(0, 2**32 - 1))
def test_kernel_equals_the_slow_reference(case: tuple[list[Row], int], seed: int) -> None:
    rows, width = case
    gen = np.random.default_rng(seed)
    pool = gen.integers(-32768, 32768, 200).astype(np.int16)
    gains = gen.uniform(0.5, 2, len(rows)).astype(np.float32)
    fade = np.sin((np.arange(width) + 0.5) * np.pi / 2 / max(1, width)).astype(np.float32)
    out = np.full(sum(row[1] for row in rows), np.nan, np.float32)
    paste(pool, np.array(rows, np.int64), gains, fade, out, (0, len(rows)))
    assert np.allclose(out, slow_paste(pool, rows, gains, fade), rtol=1e-4, atol=0.1)


def test_only_the_rows_within_the_bounds_are_rendered() -> None:
    pool = np.arange(100, dtype=np.int16)
    rows = np.array([[0, 10, 0, 100, 0, 0], [50, 5, 0, 100, 0, 0], [70, 10, 0, 100, 0, 0]], np.int64)
    out = np.zeros(5, np.float32)
    paste(pool, rows, np.ones(3, np.float32), np.zeros(0, np.float32), out, (1, 2))
    assert out.tolist() == [50, 51, 52, 53, 54]


def test_an_equal_power_fade_keeps_the_power_of_different_sounds() -> None:
    gen = np.random.default_rng(0)
    pool = (3000 * gen.standard_normal(200_000)).clip(-32768, 32767).astype(np.int16)
    width = 400
    fade = np.sin((np.arange(width) + 0.5) * np.pi / 2 / width).astype(np.float32)
    joins = []
    for _ in range(200):
        first, second = gen.integers(500, 190_000, 2)
        rows = np.array([[first, 1000, 0, len(pool), 0, width], [second, 1000, 0, len(pool), 0, 0]], np.int64)
        out = np.zeros(2000, np.float32)
        paste(pool, rows, np.ones(2, np.float32), fade, out, (0, 2))
        joins.append(out[800:1200])
    power = np.mean(np.square(joins), axis=0).reshape(8, -1).mean(axis=1)
    assert np.allclose(power / 3000**2, 1, atol=0.1)


def test_room_tone_runs_back_and_forth_without_a_seam() -> None:
    pool = (1000 * np.sin(np.arange(40) / 6)).astype(np.int16)
    row = np.array([[35, 500, 0, 40, 40, 0]], np.int64)
    out = np.zeros(500, np.float32)
    paste(pool, row, np.ones(1, np.float32), np.zeros(0, np.float32), out, (0, 1))
    assert np.abs(np.diff(out)).max() <= np.abs(np.diff(pool.astype(float))).max()
