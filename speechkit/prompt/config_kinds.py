"""Names to choose from on the command line; imports nothing, so that `--help` stays fast."""

from __future__ import annotations

from typing import Literal

VerbalizerKind = Literal["linear", "hidden", "freq", "random", "mi"]
MethodKind = Literal["prompt", "lora", "head", "full"]
UlmSource = Literal["gslm", "unit-mbart", "hf"]
