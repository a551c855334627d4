"""The verdict that training left on its own model: only converged ones are compared."""

from __future__ import annotations

import json
from pathlib import Path

from speechkit.errors import CheckFailed, SpeechkitError

SUMMARY_FILE = "summary.json"


def check_converged(exp: Path) -> None:
    """Refuse a model that is still on the blank plateau.

    Args:
        exp: folder made by `speechkit train`.
    Raises:
        CheckFailed: the model has not converged, or training did not look (`convergence.num_utterances` was 0).
        SpeechkitError: the folder has no readable summary.
    """
    path = exp / SUMMARY_FILE
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SpeechkitError(f"cannot read `{path}`: {error}", expected="a folder made by `speechkit train`") from None
    if "converged" not in summary:
        raise CheckFailed(
            f"nobody knows whether `{exp}` has converged", hint="train it with convergence.num_utterances above 0"
        )
    if not summary["converged"]:
        raise CheckFailed(
            f"`{exp}` has not converged, so its scores say nothing about the data",
            where=f"greedy WER on its own training utterances: {summary['train_wer']} %",
            expected=str(summary["rule"]),
            hint="give it more optim.num_steps, a higher optim.lr, or word times for the frame loss",
        )
