"""Names to choose from on the command line; imports nothing, so that `--help` stays fast."""

from __future__ import annotations

from typing import Literal

SelectMethod = Literal["gradmatch", "facility", "influence", "random"]
Mode = Literal["perm", "uniform", "ngram", "target-lm", "swap", "cover"]
Speakers = Literal["same", "any"]
