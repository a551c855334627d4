"""A manifest with everything the checks of whole sets look at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from speechkit.audio.measure import Measures
from speechkit.data.validate.columns import DataSet, Role
from speechkit.data.validate.config import ValidateConfig
from speechkit.data.validate.kinds import Finding

_NOT_MEASURED = Measures("not-measured")


@dataclass
class LoadedSet:
    """One of the manifests given together.

    Args:
        findings: of the first pass.
        rare_symbols: those of one utterance alone, and its row; empty when texts are not checked.
        measures: of the audio, by row; empty when audio is not opened.
    """

    data: DataSet
    index: int
    config: ValidateConfig
    findings: list[Finding] = field(default_factory=list)
    rare_symbols: dict[str, int] = field(default_factory=dict)
    measures: list[Measures] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.data)

    def at(self, kind: str, row: int, role: Role, detail: str = "") -> Finding:
        """A finding about an utterance."""
        return Finding(kind, self.index, row, self.data.where(row, role), self.data.ids[row], detail)

    def of_all(self, kind: str, role: Role, detail: str, *, utt_id: str = "-") -> Finding:
        """A finding about the set."""
        return Finding(kind, self.index, -1, str(self.data.files[role]), utt_id, detail)

    def measure(self, row: int) -> Measures:
        """What was measured of an utterance's audio; fault `not-measured` when nothing was."""
        return self.measures[row] if self.measures else _NOT_MEASURED

    def seconds(self) -> np.ndarray[Any, Any]:
        """Duration of each utterance: of its audio, else as declared; NaN when neither is known."""
        values: np.ndarray[Any, Any] = self.data["duration"].copy()
        for row, measures in enumerate(self.measures):
            if not measures.fault:
                values[row] = measures.num_samples / measures.rate
        return values

    def is_majority(self, count: int, total: int) -> bool:
        """True when what `count` of `total` utterances do is the rule of the set."""
        return total >= self.config.min_for_majority and count >= self.config.majority * total
