"""Character errors of two word sequences: words joined by one space, Unicode characters, distance only."""

from __future__ import annotations

import numba as nb
import numpy as np

from speechkit.kernels.edit_blocks import distance_long
from speechkit.kernels.edit_hirschberg import common_ends
from speechkit.kernels.numba_types import Ints, Words

NUM_CHARACTERS = 0x110000
MAX_BLOCKS = 8
_ONE = np.uint64(1)
_ZERO = np.uint64(0)
_FULL = np.uint64(0xFFFFFFFFFFFFFFFF)
_TOP = np.uint64(63)


@nb.njit(cache=True, nogil=True)
def decode(buffer: Ints, starts: Ints, ends: Ints, out: Ints) -> int:
    """Write the characters of the words buffer[starts[k]:ends[k]] (valid UTF-8) into `out`; returns how many."""
    size = 0
    for k in range(starts.size):
        if k > 0:
            out[size] = 0x20
            size += 1
        for at in range(starts[k], ends[k]):
            byte = np.int32(buffer[at])
            if byte & 0xC0 == 0x80:
                out[size - 1] = (out[size - 1] << 6) | (byte & 0x3F)
                continue
            lead = 0x7F if byte < 0x80 else 0x1F if byte < 0xE0 else 0x0F if byte < 0xF0 else 0x07
            out[size] = byte & lead
            size += 1
    return size


@nb.njit(cache=True, nogil=True)
def character_distance(a: Ints, b: Ints, local: Ints, masks: Words) -> int:
    """Edit distance of two character sequences.

    Args:
        local: -1 for each of NUM_CHARACTERS; masks: zeros (64 * MAX_BLOCKS, MAX_BLOCKS); both are left clean.
    """
    head, tail = common_ends(a, b)
    a = a[head : a.size - tail]
    b = b[head : b.size - tail]
    if a.size > b.size:
        a, b = b, a
    if a.size == 0:
        return b.size  # type: ignore[no-any-return, unused-ignore]
    num_blocks = (a.size + 63) >> 6
    if num_blocks > MAX_BLOCKS:
        long: int = distance_long(a, b, local)
        return long
    num = 0
    for i in range(a.size):
        if local[a[i]] < 0:
            local[a[i]] = num
            num += 1
        masks[local[a[i]], i >> 6] |= _ONE << np.uint64(i & 63)
    value = _all_blocks(a.size, b, local, masks)
    for i in range(a.size):
        if local[a[i]] >= 0:
            masks[local[a[i]], :num_blocks] = _ZERO
            local[a[i]] = -1
    return value  # type: ignore[no-any-return, unused-ignore]


@nb.njit(cache=True, nogil=True)
def _all_blocks(size: int, b: Ints, local: Ints, masks: Words) -> int:
    num_blocks = (size + 63) >> 6
    vp = np.full(MAX_BLOCKS, _FULL, np.uint64)
    vn = np.zeros(MAX_BLOCKS, np.uint64)
    last_bit = _ONE << np.uint64((size - 1) & 63)
    value = size
    for j in range(b.size):
        row = local[b[j]]
        carry_p = _ONE
        carry_n = _ZERO
        for k in range(num_blocks):
            x = (masks[row, k] if row >= 0 else _ZERO) | carry_n
            d0 = (((x & vp[k]) + vp[k]) ^ vp[k]) | x | vn[k]
            hp = vn[k] | ~(d0 | vp[k])
            hn = d0 & vp[k]
            if k == num_blocks - 1:
                value += int((hp & last_bit) != _ZERO) - int((hn & last_bit) != _ZERO)
            out_p = hp >> _TOP
            out_n = hn >> _TOP
            hp = (hp << _ONE) | carry_p
            vp[k] = (hn << _ONE) | carry_n | ~(d0 | hp)
            vn[k] = hp & d0
            carry_p = out_p
            carry_n = out_n
    return value
