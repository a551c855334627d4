"""What the noise rate of an inspection would have been, had somebody with the truth at hand drawn it many times."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from speechkit.audit.config_verdict import DrawConfig, EstimateConfig
from speechkit.audit.estimate import count_decisions, draw_sample, estimate
from speechkit.audit.verdict import Decision, Verdict


def simulate_inspections(
    verdicts: Sequence[Verdict], wrong: Collection[str], *, num_draws: int, num_inspected: int = 100, seed: int = 0
) -> dict[str, Any]:
    """Spread and coverage of `audit estimate` over samples drawn with different seeds.

    Args:
        wrong: ids of the utterances whose transcript is wrong.
    Returns:
        Rates in percent: true, mean, sd, bias, coverage of the 95 % intervals and their mean width, and the sd that
        random samples of the same size have.
    """
    rates, covered, widths = [], [], []
    true = sum(verdict.id in wrong for verdict in verdicts) / len(verdicts)
    for number in range(num_draws):
        config = DrawConfig(draw=num_inspected, seed=seed * num_draws + number)
        drawn = draw_sample(verdicts, config)
        strata = {verdict.id: stratum for verdict, stratum in drawn}
        given = {name: Decision(name, "wrong" if name in wrong else "right") for name in strata}
        result = estimate(count_decisions(verdicts, strata, given), EstimateConfig(seed=config.seed))
        rates.append(result["rate"])
        covered.append(result["ci"][0] <= true <= result["ci"][1])
        widths.append(result["ci"][1] - result["ci"][0])
    share = min(num_inspected, len(verdicts)) / len(verdicts)
    random_sd = np.sqrt(true * (1 - true) / max(1, num_inspected) * (1 - share))
    return {
        "draws": num_draws,
        "inspected": num_inspected,
        **{
            name: round(100 * float(value), 2)
            for name, value in {
                "true": true,
                "mean": np.mean(rates),
                "bias": np.mean(rates) - true,
                "sd": np.std(rates),
                "coverage": np.mean(covered),
                "width": np.mean(widths),
                "sd_of_random_samples": random_sd,
            }.items()
        },
    }
