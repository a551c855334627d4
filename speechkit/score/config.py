"""Options of `speechkit score`; imports nothing heavy."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from speechkit.config import Config

Ties = Literal["kaldi", "rapidfuzz", "sclite"]


class ScoringConfig(Config):
    """How hypotheses are counted against references, whatever is made of the counts."""

    ties: Ties = Field("kaldi", description="which of the equally good alignments is reported")
    missing: Literal["error", "delete", "skip"] = Field("error", description="a reference without hypothesis")
    ref_format: str = Field("auto", description="format of REF")
    hyp_format: str = Field("auto", description="format of HYP")
    normalize: Path | None = Field(None, description="rule file applied to both sides")
    case: Literal["keep", "ascii", "unicode"] = Field("keep", description="letters made small on both sides")
    markup: Literal["auto", "none", "nist"] = Field(
        "auto",
        description="nist: alternatives `{ a / b }`, `@`, tags; auto: for STM, CTM and rules with alternatives",
    )
    unit: Literal["word", "char", "mixed"] = Field(
        "word", description="what is counted; mixed: words of ASCII letters, single other characters"
    )
    fragments: bool = Field(False, description="with nist: `part-` matches a word that begins with it")
    optional: bool = Field(False, description="with nist: `(word)` may be left out")
    allow_overlap: bool = Field(False, description="score although the utterances overlap with the training data")
    compounds: bool = Field(False, description="words split or joined differently are no errors")


class WerConfig(ScoringConfig):
    """What `score wer` counts and reports."""

    by: tuple[str, ...] = Field((), description="fields to group by, such as speaker")
    ci_level: float = Field(0.95, gt=0, lt=1, description="level of the printed intervals")
    num_replicates: int = Field(1000, ge=100, le=10_000_000, description="bootstrap samples")
    seed: int = Field(0, description="seed of the bootstrap")
    train_text: Path | None = Field(None, description="texts the model was trained on")
    by_time: bool = Field(False, description="CTM against CTM: align by the times of the words")
    words: Path | None = Field(None, description="words of interest: biased and unbiased WER")
    nbest: Path | None = Field(None, description="n-best lists: oracle WER")


Test = Literal["mapsswe", "bootstrap", "mcnemar", "sign", "wilcoxon"]


class CompareConfig(ScoringConfig):
    """What `score compare` tests."""

    missing: Literal["error", "delete"] = Field("error", description="a reference without hypothesis")
    tests: tuple[Test, ...] = Field(("mapsswe", "bootstrap", "mcnemar", "sign", "wilcoxon"), description="tests to run")
    by: str = Field("", description="unit of the sign, Wilcoxon and second bootstrap test, such as speaker")
    alpha: float = Field(0.05, gt=0, lt=1, description="a corrected probability below it counts as a difference")
    ci_level: float = Field(0.95, gt=0, lt=1, description="level of the intervals")
    num_replicates: int = Field(10_000, ge=100, le=10_000_000, description="bootstrap samples")
    seed: int = Field(0, description="seed of the bootstrap")


Metrics = Literal[
    "cpwer",
    "orcwer",
    "mimower",
    "dicpwer",
    "greedy-orcwer",
    "tcpwer",
    "tcorcwer",
    "tcmimower",
    "ditcpwer",
    "greedy-tcorcwer",
]


class MultiConfig(Config):
    """What `score multi` counts."""

    metrics: tuple[Metrics, ...] = Field(("cpwer",), description="error rates of conversations")
    collar_seconds: float = Field(5.0, ge=0, description="tc metrics: how far a word may be from its time")
    missing: Literal["error", "delete", "skip"] = Field("error", description="a session without hypothesis")
    normalize: Path | None = Field(None, description="rule file applied to both sides")
    case: Literal["keep", "ascii", "unicode"] = Field("keep", description="letters made small on both sides")
    ci_level: float = Field(0.95, gt=0, lt=1, description="level of the printed intervals")
    num_replicates: int = Field(1000, ge=100, le=10_000_000, description="bootstrap samples")
    seed: int = Field(0, description="seed of the bootstrap")
