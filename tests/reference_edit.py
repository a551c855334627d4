"""Edit distance in plain Python with the whole matrix: slow, and easy to believe."""

from __future__ import annotations

from collections.abc import Sequence

COR, SUB, DEL, INS = 0, 1, 2, 3


def matrix(ref: Sequence[object], hyp: Sequence[object]) -> list[list[int]]:
    """Value of each cell (reference words, hypothesis words)."""
    cells = [list(range(len(hyp) + 1))]
    for i, word in enumerate(ref, start=1):
        cells.append([i])
        for j, other in enumerate(hyp, start=1):
            cells[i].append(min(cells[i - 1][j - 1] + (word != other), cells[i - 1][j] + 1, cells[i][j - 1] + 1))
    return cells


def kaldi_ops(ref: Sequence[object], hyp: Sequence[object]) -> list[int]:
    """From the end: insertion if it is optimal, else deletion, else diagonal."""
    cells = matrix(ref, hyp)
    i, j, ops = len(ref), len(hyp), []
    while i or j:
        if j and cells[i][j] == cells[i][j - 1] + 1:
            j -= 1
            ops.append(INS)
        elif i and cells[i][j] == cells[i - 1][j] + 1:
            i -= 1
            ops.append(DEL)
        else:
            i, j = i - 1, j - 1
            ops.append(SUB if ref[i] != hyp[j] else COR)
    return ops[::-1]


def rapidfuzz_ops(ref: Sequence[object], hyp: Sequence[object]) -> list[int]:
    """Without common ends; from the end: deletion, else an insertion that no diagonal can replace, else diagonal."""
    head = 0
    while head < min(len(ref), len(hyp)) and ref[head] == hyp[head]:
        head += 1
    tail = 0
    while tail < min(len(ref), len(hyp)) - head and ref[len(ref) - 1 - tail] == hyp[len(hyp) - 1 - tail]:
        tail += 1
    ref, hyp = ref[head : len(ref) - tail], hyp[head : len(hyp) - tail]
    cells = matrix(ref, hyp)
    i, j, ops = len(ref), len(hyp), [COR] * tail
    while i and j:
        if cells[i][j] == cells[i - 1][j] + 1:
            i -= 1
            ops.append(DEL)
        elif cells[i][j - 1] < cells[i - 1][j - 1]:
            j -= 1
            ops.append(INS)
        else:
            i, j = i - 1, j - 1
            ops.append(SUB if ref[i] != hyp[j] else COR)
    return [COR] * head + [INS] * j + [DEL] * i + ops[::-1]


def sclite_ops(ref: Sequence[object], hyp: Sequence[object]) -> list[int]:
    """Weights 4 (substitution) and 3; each cell prefers the diagonal, then the insertion, then the deletion."""
    cost = {(0, 0): 0}
    best: dict[tuple[int, int], int] = {}
    for i in range(len(ref) + 1):
        for j in range(0 if i else 1, len(hyp) + 1):
            choices = []
            if i and j:
                wrong = ref[i - 1] != hyp[j - 1]
                choices.append((cost[i - 1, j - 1] + 4 * wrong, 0, SUB if wrong else COR))
            if j:
                choices.append((cost[i, j - 1] + 3, 1, INS))
            if i:
                choices.append((cost[i - 1, j] + 3, 2, DEL))
            cost[i, j], _, best[i, j] = min(choices)
    i, j, ops = len(ref), len(hyp), []
    while i or j:
        op = best[i, j]
        i, j = i - (op != INS), j - (op != DEL)
        ops.append(op)
    return ops[::-1]
