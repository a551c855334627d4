"""How good predicted values are: accuracy, exact slots, or errors of sequences by the edit distance of `score wer`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from speechkit.kernels.edit import align_words
from speechkit.prompt.config import TaskConfig
from speechkit.prompt.tasks import Values


@dataclass(frozen=True)
class Scores:
    """Numbers of one evaluation.

    Attributes:
        metric: `accuracy`, `exact` (all slots right), `cer` or `wer`; error rates count labels of sequences.
        value: in percent.
        num: utterances; num_exact: those predicted as they are.
    """

    metric: str
    value: float
    num: int
    num_exact: int

    @property
    def is_error(self) -> bool:
        """True when less is better."""
        return self.metric in ("cer", "wer")

    def line(self) -> str:
        """For the log."""
        exact = f", {100 * self.num_exact / self.num:.1f} % exact" if self.is_error else ""
        return f"{self.metric} {self.value:.2f} % of {self.num} utterances{exact}"

    def as_json(self) -> dict[str, Any]:
        """For summaries."""
        return {
            "metric": self.metric,
            "value": round(self.value, 4),
            "num_utterances": self.num,
            "num_exact": self.num_exact,
        }


def metric_of(config: TaskConfig) -> str:
    """The metric of a task."""
    sequence = "cer" if config.token == "char" else "wer"
    return {"classification": "accuracy", "slots": "exact", "sequence": sequence}[config.kind]


def score(config: TaskConfig, refs: Sequence[Values], hyps: Sequence[Values]) -> Scores:
    """Compare values in the same order; a value that the task does not know is simply never right."""
    num_exact = sum(ref == hyp for ref, hyp in zip(refs, hyps, strict=True))
    value = 100.0 * num_exact / max(1, len(refs))
    if config.kind == "sequence":
        value = 100.0 * float(align_words(refs, hyps).counts.sum()) / max(1, sum(map(len, refs)))
    return Scores(metric_of(config), value, len(refs), num_exact)
