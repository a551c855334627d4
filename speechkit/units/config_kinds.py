"""Names to choose from on the command line; imports nothing, so that `--help` stays fast."""

from __future__ import annotations

from typing import Literal

FeatureKind = Literal["logmel", "mfcc", "ssl", "hf"]
