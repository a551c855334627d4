"""Choice of snippets for a text: the cheapest chain of runs of 1-3 recorded words, by dynamic programming.

Hunt and Black 1996: a target cost for each snippet, a join cost for each pair of neighbours, none where the second
continues the first in the recording. Of many recordings of a word a stratified random part is looked at.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

Ints: TypeAlias = NDArray[np.int64]
Ints32: TypeAlias = NDArray[np.int32]
Floats: TypeAlias = NDArray[np.float32]

_LONGEST = 3


class Tables(NamedTuple):
    """An inventory as arrays.

    key (int64), speaker, token (int32): of each snippet, sorted by key and speaker (S,).  source, left, right, uses
    (int32), joined (bool), target (float32): of each token (N,).  edges: float32 (N, 2, 15), see `cutpaste.edges`.
    first_letter, last_letter: int32, of each word.  base: factor of the keys.
    """

    key: Ints
    speaker: Ints32
    token: Ints32
    source: Ints32
    left: Ints32
    right: Ints32
    uses: Ints32
    joined: NDArray[np.bool_]
    target: Floats
    edges: Floats
    first_letter: Ints32
    last_letter: Ints32
    base: int


class Weights(NamedTuple):
    """Costs as in `cutpaste.config.JoinConfig`; `candidates` and `chunks` limit the snippets looked at."""

    mfcc: float
    f0: float
    power: float
    source: float
    position: float
    context: float
    reuse: float
    temperature: float
    kept_source: float
    candidates: int
    chunks: int


@njit(cache=True, nogil=True, inline="always")
def _next_random(state: np.uint64) -> np.uint64:
    """The state after one step of a Weyl sequence."""
    return state + np.uint64(0x9E3779B97F4A7C15)


@njit(cache=True, nogil=True)
def _uniform(state: np.uint64) -> float:
    """A number in (0, 1) from a state (splitmix64)."""
    z = state
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return (float(z >> np.uint64(11)) + 0.5) / 9007199254740992.0


@njit(cache=True, nogil=True)
def _lower_bound(tables: Tables, key: int, speaker: int) -> int:
    """First snippet that does not come before (key, speaker)."""
    low, high = 0, len(tables.key)
    while low < high:
        mid = (low + high) // 2
        if tables.key[mid] < key or (tables.key[mid] == key and tables.speaker[mid] < speaker):
            low = mid + 1
        else:
            high = mid
    return low


@njit(cache=True, nogil=True)
def join_cost(tables: Tables, weights: Weights, before: int, after: int, pause: int) -> float:
    """Cost of token `after` following token `before` with a pause of so many samples between them."""
    if after == before + 1 and tables.joined[before] and pause == 0:
        return 0.0
    cost: float = 0.0 if tables.source[before] == tables.source[after] else weights.source
    if pause > 0:
        return cost
    left, right = tables.edges[before, 1], tables.edges[after, 0]
    # four sums side by side: a single one would wait for each addition, and their order is the same everywhere
    last = left[12] - right[12]
    sums = (last * last, np.float32(0.0), np.float32(0.0), np.float32(0.0))
    for d in range(0, 12, 4):
        a, b = left[d] - right[d], left[d + 1] - right[d + 1]
        c, e = left[d + 2] - right[d + 2], left[d + 3] - right[d + 3]
        sums = (sums[0] + a * a, sums[1] + b * b, sums[2] + c * c, sums[3] + e * e)
    cost += weights.mfcc * np.sqrt((sums[0] + sums[1] + sums[2] + sums[3]) / 13.0)
    is_voiced_left, is_voiced_right = left[13] == left[13], right[13] == right[13]
    if is_voiced_left and is_voiced_right:
        cost += weights.f0 * abs(left[13] - right[13])
    elif is_voiced_left or is_voiced_right:
        cost += 0.5 * weights.f0
    cost += weights.power * abs(left[14] - right[14])
    return cost


@njit(cache=True, nogil=True)
def _context_cost(words: Ints, place: int, neighbour: int, letters: Ints32) -> float:
    """1 where the letter beside a snippet is not the one it was recorded beside, `place` outside the text included."""
    now = letters[words[place]] if 0 <= place < len(words) else -1
    then = letters[neighbour] if neighbour >= 0 else -1
    return 0.0 if now == then else 1.0


@njit(cache=True, nogil=True)
def target_cost(tables: Tables, weights: Weights, words: Ints, span: tuple[int, int, int]) -> float:
    """Cost of saying words[first : first + size] with the run that begins at `token`; span holds these three."""
    first, size, token = span
    last = token + size - 1
    cost: float = 0.0
    for k in range(token, last + 1):
        cost += tables.target[k] + weights.reuse * np.log(1.0 + tables.uses[k])
    was_first, was_last = tables.left[token] < 0, tables.right[last] < 0
    if was_first != (first == 0) or was_last != (first + size == len(words)):
        cost += weights.position
    beside = _context_cost(words, first - 1, tables.left[token], tables.last_letter)
    beside += _context_cost(words, first + size, tables.right[last], tables.first_letter)
    cost += weights.context * 0.5 * beside
    return cost


@njit(cache=True, nogil=True)
def _collect(
    tables: Tables, weights: Weights, words: Ints, speaker: int, seed: int, kept_source: int
) -> tuple[Ints, NDArray[np.float64]]:
    """Nodes (first word, size, token) in the order of their first word, and their costs with the random part."""
    num_words = len(words)
    limit = num_words * (weights.candidates + 2 * weights.chunks + 3 * 64)
    nodes, costs = np.empty((limit, 3), np.int64), np.empty(limit, np.float64)
    count = 0
    state = np.uint64(seed)
    for first in range(num_words):
        key = 0
        for size in range(1, min(_LONGEST, num_words - first) + 1):
            key = 0
            for k in range(_LONGEST):
                key = key * tables.base + (words[first + k] + 1 if k < size else 0)
            low = _lower_bound(tables, key, speaker if speaker >= 0 else 0)
            high = _lower_bound(tables, key, speaker + 1) if speaker >= 0 else _lower_bound(tables, key + 1, 0)
            wanted = min(high - low, weights.candidates if size == 1 else weights.chunks)
            num_kept = 0
            for index in range(low, high if kept_source >= 0 else low):
                if tables.source[tables.token[index]] == kept_source and num_kept < 64:
                    nodes[count, 0], nodes[count, 1], nodes[count, 2] = first, size, tables.token[index]
                    costs[count] = target_cost(tables, weights, words, (first, size, tables.token[index]))
                    costs[count] -= weights.kept_source * size
                    count, num_kept = count + 1, num_kept + 1
            for k in range(wanted):
                state = _next_random(state)
                token = tables.token[low + int((k + _uniform(state)) * (high - low) / wanted)]
                state = _next_random(state)
                noise = -np.log(-np.log(_uniform(state)))
                nodes[count, 0], nodes[count, 1], nodes[count, 2] = first, size, token
                costs[count] = target_cost(tables, weights, words, (first, size, token)) - weights.temperature * noise
                count += 1
    return nodes[:count], costs[:count]


@njit(cache=True, nogil=True)
def choose(
    tables: Tables, weights: Weights, words: Ints, pauses: Ints, who: tuple[int, int, int]
) -> tuple[Ints, Ints, float]:
    """Snippets for a text.

    Args:
        words: word numbers, int64 (U,).  pauses: samples of the pause after each word, int64 (U,).
        who: speaker (-1: any), seed of the random part, and the source that is preferred where it fits (-1: none).
    Returns:
        first tokens (P,), sizes (P,), and the cost without the random part; nothing when a word can not be said.
    """
    speaker, seed, kept_source = who
    nodes, costs = _collect(tables, weights, words, speaker, seed, kept_source)
    num_words = len(words)
    head, link = np.full(num_words + 1, -1, np.int64), np.full(len(nodes), -1, np.int64)
    total, back = np.full(len(nodes), np.inf), np.full(len(nodes), -1, np.int64)
    for n in range(len(nodes)):
        first, size, token = nodes[n]
        cheapest = 0.0 if first == 0 else np.inf
        before = head[first]
        while before >= 0:
            if total[before] < cheapest:  # no join costs less than nothing
                last = nodes[before, 2] + nodes[before, 1] - 1
                cost = total[before] + join_cost(tables, weights, last, token, pauses[first - 1])
                if cost < cheapest:
                    cheapest, back[n] = cost, before
            before = link[before]
        if cheapest < np.inf:
            total[n] = cheapest + costs[n]
            link[n], head[first + size] = head[first + size], n
    best = head[num_words]
    n = best
    while n >= 0:
        if total[n] < total[best]:
            best = n
        n = link[n]
    if best < 0:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.inf
    chain: tuple[Ints, Ints, float] = _trace(tables, weights, words, pauses, (nodes, back, best))
    return chain


@njit(cache=True, nogil=True)
def _trace(
    tables: Tables, weights: Weights, words: Ints, pauses: Ints, search: tuple[Ints, Ints, int]
) -> tuple[Ints, Ints, float]:
    """The chain that ends in node `best`, in order, with its cost."""
    nodes, back, best = search
    count, n = 0, best
    while n >= 0:
        count, n = count + 1, back[n]
    tokens, sizes = np.empty(count, np.int64), np.empty(count, np.int64)
    cost, n, after = 0.0, best, -1
    for k in range(count - 1, -1, -1):
        first, size, token = nodes[n]
        tokens[k], sizes[k] = token, size
        cost += target_cost(tables, weights, words, (first, size, token))
        if after >= 0:
            cost += join_cost(tables, weights, token + size - 1, after, pauses[first + size - 1])
        after, n = token, back[n]
    return tokens, sizes, cost


def warm() -> None:
    """Compile the kernel, or load it from the cache."""
    one = np.zeros(1, np.int32)
    tables = Tables(
        np.array([4], np.int64), one, one, one, one, one, one, np.zeros(1, np.bool_), np.zeros(1, np.float32),
        np.zeros((1, 2, 15), np.float32), one, one, 2,
    )  # fmt: skip
    choose(tables, Weights(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1), np.zeros(1, np.int64), np.zeros(1, np.int64), (0, 0, -1))
