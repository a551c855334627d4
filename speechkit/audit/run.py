"""`speechkit audit run`: from a manifest to the page of suspicious transcripts, one artifact after the other.

Folder: aligned/ and cuts/ (word times), folds/, model-K/, log-probs-K/, scores/, audit/ and report.html.  What is up to
date is not made again, so a run that was stopped goes on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from speechkit import log
from speechkit.align import forced
from speechkit.align.config import AlignConfig
from speechkit.artifact import lease, make_artifact
from speechkit.audit import folds, logprobs_run, score_run
from speechkit.audit.calibrate import MIN_UTTERANCES, run_calibrate
from speechkit.audit.config_evidence import LogProbsConfig, ScoreConfig
from speechkit.audit.config_run import RunConfig
from speechkit.audit.config_truth import FoldsConfig
from speechkit.audit.config_verdict import CalibrateConfig, ReportConfig
from speechkit.audit.report import run_report
from speechkit.config import build_config
from speechkit.data.store import CUTS_FILE, load_cuts, save_cuts, text_of, tiers_of, with_tiers
from speechkit.data.stream import manifest_path
from speechkit.errors import SpeechkitError
from speechkit.train import loop
from speechkit.train.config import TrainConfig

if TYPE_CHECKING:
    from lhotse import MonoCut

REPORT_FILE = "report.html"
_WORDS_TIER = "word"
_MAX_UNALIGNED = "20%"  # what can not be aligned is audited all the same
_RATES = (8000, 16000)
_EPOCHS, _BATCH_SECONDS, _MIN_STEPS = 22, 100, 300
_FEW_WORDS = 200  # a corpus of so few different words gets a token for each


def run(
    config: RunConfig, *, cuts: Path, out: Path, train: TrainConfig | None = None, extra: Sequence[Path] = (),
    num_jobs: int = 1, force: bool = False,
) -> Path:  # fmt: skip
    """Audit a manifest.

    Args:
        train: configuration of the models; without one it is chosen by the size of the corpus.
        extra: manifests that every model is trained on besides its folds, such as synthetic voices.
        num_jobs: models trained at once, and processes of the other steps; the result does not depend on it.
    Returns:
        The page.
    """
    manifest = manifest_path(cuts)
    loaded = list(load_cuts(manifest))
    fold_config = build_config(FoldsConfig, {"folds": config.folds, "by": config.by, "seed": config.seed})
    score_config = build_config(ScoreConfig, {"lexicon": config.lexicon})
    verdict = build_config(CalibrateConfig, {"indicators": config.indicators, "seed": config.seed})
    _check_early(config, loaded)
    train = train or default_training(loaded, folds=config.folds)
    out.mkdir(parents=True, exist_ok=True)
    with lease(out):
        source = _with_word_times(config, manifest, loaded, out, num_jobs=num_jobs, force=force)
        folds.run(fold_config, cuts=source, out=out / "folds", num_threads=num_jobs, force=force)
        train = build_config(TrainConfig, {**train.model_dump(), "seed": config.seed})
        jobs = [_Fold(train, list(extra), out, number, force) for number in range(config.folds)]
        if num_jobs == 1:
            parts = [job() for job in jobs]
        else:
            with ProcessPoolExecutor(min(num_jobs, len(jobs)), mp_context=get_context("spawn")) as pool:
                parts = list(pool.map(_call, jobs))
        score_run.run(score_config, cuts=source, log_probs=parts, out=out / "scores", num_jobs=num_jobs, force=force)
        run_calibrate(verdict, scores=out / "scores", out=out / "audit", force=force)
        page = out / REPORT_FILE
        run_report(out / "audit", page, ReportConfig(top=config.top), cuts=source)
    return page


def _check_early(config: RunConfig, cuts: Sequence[MonoCut]) -> None:
    """Say before the models are trained what would fail after it."""
    if config.lexicon not in ("auto", "none") and not Path(config.lexicon).is_file():
        raise SpeechkitError(f"the lexicon `{config.lexicon}` does not exist", expected="a word on each line")
    for name in set(config.by) - {"text", "duplicate"}:
        supervisions = [supervision for cut in cuts for supervision in cut.supervisions]
        if not any(getattr(own, name, None) or (own.custom or {}).get(name) for own in supervisions):
            fields = sorted({key for own in supervisions for key in (own.custom or {})})
            known = ", ".join(["text", "duplicate", "speaker", "recording", *fields])
            if name != "recording":
                raise SpeechkitError(f"no utterance has the field `{name}` of --by", expected=known)
    if len(cuts) < MIN_UTTERANCES:
        raise SpeechkitError(f"an audit needs {MIN_UTTERANCES} utterances, here are {len(cuts)}")


class _Fold:
    """Training on all folds but one, and the log-probs of that one; picklable."""

    def __init__(self, train: TrainConfig, extra: list[Path], out: Path, number: int, force: bool) -> None:
        self.train, self.extra, self.out, self.number, self.force = train, extra, out, number, force

    def __call__(self) -> Path:
        model, part = self.out / f"model-{self.number}", self.out / f"log-probs-{self.number}"
        fold = self.out / "folds" / f"fold-{self.number}"
        loop.run(self.train, train=[fold / "train.jsonl.gz", *self.extra], dev=None, out=model, force=self.force)
        logprobs_run.run(LogProbsConfig(), cuts=fold / "test.jsonl.gz", exp=model, out=part, force=self.force)
        return part


def _call(job: _Fold) -> Path:
    log.setup()
    return job()


def _with_word_times(
    config: RunConfig, manifest: Path, loaded: Sequence[MonoCut], out: Path, *, num_jobs: int, force: bool
) -> Path:
    """The manifest, or a copy of it with the word times that were found."""
    if not config.align or all(tiers_of(cut).get(_WORDS_TIER) for cut in loaded):
        return manifest
    aligned, timed = out / "aligned", out / "cuts"
    forced.run(AlignConfig(max_bad=_MAX_UNALIGNED), cuts=manifest, out=aligned, num_jobs=num_jobs, force=force)

    def build(folder: Path) -> None:
        found = {cut.id: tiers_of(cut) for cut in load_cuts(aligned)}
        timed = [with_tiers(cut, {_WORDS_TIER: [], **found.get(cut.id, {})}) for cut in loaded]
        save_cuts(timed, folder / CUTS_FILE)

    inputs = {"cuts": manifest, "aligned": aligned / CUTS_FILE}
    make_artifact(timed, command="audit run: word times", config=config, inputs=inputs, build=build, force=force)
    return timed / CUTS_FILE


def default_training(cuts: Sequence[MonoCut], *, folds: int) -> TrainConfig:
    """A small CTC model, trained for as many epochs whatever the size of the corpus."""
    words = Counter(word for cut in cuts for word in text_of(cut).split())
    slowest = min((cut.recording.sampling_rate for cut in cuts), default=_RATES[-1])
    rate = max([known for known in _RATES if known <= slowest], default=slowest)
    seconds = sum(cut.duration for cut in cuts) * (folds - 1) / folds
    is_closed = len(words) <= _FEW_WORDS and min(words.values(), default=0) >= folds
    tree = {
        "model": {
            "encoder": {
                "kind": "ds_conv", "dim": 96, "num_blocks": 8, "gated": False, "subsampling": 4 if is_closed else 2,
                "subsampling_channels": 16, "dropout": 0.1,
            },
        },
        "tokenizer": {"kind": "word" if is_closed else "char"},
        "features": {"sampling_rate": rate, "num_mels": 40 if rate == _RATES[0] else 80},
        "augment": {"freq_masks": 2, "time_masks": 2},
        "batch": {"max_seconds": 110, "max_utterances": 32, "pool_size": 1000},
        "optim": {"num_steps": max(_MIN_STEPS, round(_EPOCHS * seconds / _BATCH_SECONDS)), "lr": 3e-3},
        "average_decay": 0.98,
        "dev_every_steps": 0,
    }  # fmt: skip
    return build_config(TrainConfig, tree)
