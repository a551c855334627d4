"""Choosing a few candidates whose gradients, features or coverage stand for a target set.

`match_gradients` is orthogonal matching pursuit on gradient features (GRAD-MATCH, Killamsetty et al. 2021; for
speech, partitioned: PGM, Mittal et al. 2022); `facility_location` is the greedy cover of CRAIG (Mirzasoleiman et
al. 2020); `influence` ranks by the first-order effect on the target loss (TracIn, Pruthi et al. 2020).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular
from scipy.optimize import nnls

from speechkit.errors import ConfigError


@dataclass(frozen=True)
class Selection:
    """`rows` of the candidates in the order of choice, their `weights` >= 0, and the relative `residual` left."""

    rows: list[int]
    weights: np.ndarray
    residual: float


def match_gradients(
    candidates_ND: np.ndarray,
    target_D: np.ndarray,
    num: int,
    *,
    ridge: float = 0.5,
    penalty_N: np.ndarray | None = None,
) -> Selection:
    """Rows whose non-negative combination comes nearest to the target gradient, one new row per step.

    Minimises |target - sum_i x_i g_i|^2 + ridge * scale * |x|^2 over x >= 0, where scale is the mean squared norm of
    the candidates; the new row is the one that alone lowers this most. The factor of the chosen rows grows by a row
    per step, so that a step costs O(N D + K^2) and the non-negative least squares over K unknowns.

    Args:
        candidates_ND: float, one gradient a row.
        penalty_N: subtracted from the fit of a row to the residual, in units of the best fit at the start; a join
            cost, for example.

    Raises:
        ConfigError: more rows are asked for than there are.
    """
    _check(candidates_ND, num)
    grads_ND = np.asarray(candidates_ND, np.float64)
    target_D = np.asarray(target_D, np.float64)
    fit_N = grads_ND @ target_D
    power_N = np.einsum("nd,nd->n", grads_ND, grads_ND)
    damping = ridge * float(np.mean(power_N))
    length_N = np.sqrt(np.maximum(power_N + damping, 1e-30))
    cost_N = np.zeros(len(grads_ND)) if penalty_N is None else penalty_N * float(np.abs(fit_N / length_N).max())
    columns_NK = np.empty((len(grads_ND), num))  # inner products with the chosen rows
    factor_KK = np.zeros((num, num))
    half_K = np.empty(num)  # factor^-1 of the chosen rows' fit
    rows: list[int] = []
    weights_K = np.zeros(0)
    free_N = np.ones(len(grads_ND), bool)
    for step in range(num):
        gain_N = (fit_N - columns_NK[:, :step] @ weights_K) / length_N - cost_N
        row = int(np.argmax(np.where(free_N, gain_N, -np.inf)))
        free_N[row] = False
        columns_NK[:, step] = grads_ND @ grads_ND[row]
        known_K = solve_triangular(factor_KK[:step, :step], columns_NK[rows, step], lower=True) if rows else np.zeros(0)
        rows.append(row)
        rest = columns_NK[row, step] + damping - known_K @ known_K
        factor_KK[step, :step], factor_KK[step, step] = known_K, np.sqrt(max(rest, 1e-12))
        half_K[step] = (fit_N[row] - known_K @ half_K[:step]) / factor_KK[step, step]
        weights_K, _ = nnls(factor_KK[: step + 1, : step + 1].T, half_K[: step + 1])
    left_D = target_D - grads_ND[rows].T @ weights_K
    return Selection(rows, weights_K, _norm(left_D) / max(_norm(target_D), 1e-30))


def match_partitions(
    candidates_ND: np.ndarray,
    targets_MD: np.ndarray,
    num: int,
    *,
    partitions: int,
    ridge: float = 0.5,
    penalty_N: np.ndarray | None = None,
) -> Selection:
    """`match_gradients` against the mean of each group of target rows in turn; no row is chosen twice.

    Groups are target rows m, m + partitions, ...; each gets an equal part of `num`.
    """
    _check(candidates_ND, num)
    groups = min(partitions, len(targets_MD), num)
    free = np.arange(len(candidates_ND))
    rows: list[int] = []
    weights: list[np.ndarray] = []
    for group in range(groups):
        share = num * (group + 1) // groups - num * group // groups
        penalty = None if penalty_N is None else penalty_N[free]
        target_D = targets_MD[group::groups].mean(0)
        found = match_gradients(candidates_ND[free], target_D, share, ridge=ridge, penalty_N=penalty)
        rows += [int(row) for row in free[found.rows]]
        weights.append(found.weights)
        free = np.delete(free, found.rows)
    weights_K = np.concatenate(weights) / groups
    target_D = targets_MD.mean(0)
    left_D = target_D - candidates_ND[rows].T @ weights_K
    return Selection(rows, weights_K, _norm(left_D) / max(_norm(target_D), 1e-30))


def facility_location(candidates_ND: np.ndarray, targets_MD: np.ndarray, num: int) -> Selection:
    """Greedy rows so that each target row has a chosen row with a high cosine to it.

    When no row brings a target nearer any more, the cover starts again with the rows that are left.
    """
    _check(candidates_ND, num)
    similar_NM = np.maximum(_unit(candidates_ND) @ _unit(targets_MD).T, 0.0)
    free_N = np.ones(len(similar_NM), bool)
    best_M = np.zeros(similar_NM.shape[1])
    rows: list[int] = []
    while len(rows) < num:
        gain_N = np.where(free_N, np.maximum(similar_NM - best_M, 0.0).sum(1), -np.inf)
        row = int(np.argmax(gain_N))
        if gain_N[row] <= 0 and best_M.any():
            best_M[:] = 0.0
            continue
        rows.append(row)
        free_N[row] = False
        best_M = np.maximum(best_M, similar_NM[row])
    covered = similar_NM[rows].max(0).mean() if rows else 0.0
    return Selection(rows, np.ones(num), float(1.0 - covered))


def influence(candidates_ND: np.ndarray, target_D: np.ndarray, num: int) -> Selection:
    """The rows with the largest inner product with the target gradient, largest first."""
    _check(candidates_ND, num)
    score_N = candidates_ND @ target_D
    rows = [int(row) for row in np.argsort(-score_N, kind="stable")[:num]]
    mean_D = candidates_ND[rows].mean(0) if rows else np.zeros_like(target_D)
    cosine = float(_unit(mean_D[None])[0] @ _unit(target_D[None])[0])
    return Selection(rows, np.ones(num), float(np.sqrt(max(0.0, 1.0 - cosine**2))))


def _unit(rows_ND: np.ndarray) -> np.ndarray:
    return rows_ND / np.maximum(np.linalg.norm(rows_ND, axis=1, keepdims=True), 1e-30)  # type: ignore[no-any-return]


def _check(candidates_ND: np.ndarray, num: int) -> None:
    if num > len(candidates_ND):
        raise ConfigError(
            f"{num} utterances are to be chosen from {len(candidates_ND)} candidates",
            hint="make the pool larger, or ask for fewer",
        )


def _norm(vector_D: np.ndarray) -> float:
    return float(np.linalg.norm(vector_D))
