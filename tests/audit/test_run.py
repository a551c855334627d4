"""The whole audit of a small corpus of tones: every part is made, nothing is made twice, mistakes are named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from make import make_fsdd_clone

CONF = """
model: {encoder: {kind: ds_conv, dim: 32, num_blocks: 2, gated: false, subsampling_channels: 4}}
tokenizer: {kind: word}
features: {sampling_rate: 8000, num_mels: 20}
optim: {num_steps: 60, lr: 1.0e-2, warmup_steps: 5}
average_decay: 0.9
dev_every_steps: 0
"""
PARTS = ("aligned", "cuts", "folds", "model-0", "model-1", "log-probs-0", "log-probs-1", "scores", "audit")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from speechkit.config import load_config
    from speechkit.data.config import FsddStringsConfig
    from speechkit.data.corpora.fsdd_strings import prepare
    from speechkit.data.store import save_cuts

    folder = tmp_path_factory.mktemp("corpus")
    clone = make_fsdd_clone(folder / "fsdd", num_takes=2)
    options = ["num_strings=60", "min_words=2", "max_words=4", "speakers=jackson,theo", "takes=0-1", "take_blocks=2"]
    (folder / "strings").mkdir()
    cuts = prepare(clone, folder / "strings", load_config(FsddStringsConfig, None, options), num_jobs=1).cuts
    save_cuts(cuts, folder / "strings" / "cuts.jsonl.gz")
    (folder / "conf.yaml").write_text(CONF)
    return folder


@pytest.mark.slow
def test_an_audit_is_made_once_whatever_the_number_of_jobs(
    run_speechkit: Callable[..., Any], corpus: Path, tmp_path: Path
) -> None:
    faulty = tmp_path / "faulty"
    assert run_speechkit("audit", "inject", corpus / "strings", "--rate", 0.2, "--out", faulty).exit_code == 0
    options = ["--conf", corpus / "conf.yaml", "--folds", 2, "--by", "block", "--indicators", 40]
    for name, num_jobs in (("one", 1), ("two", 2)):
        done = run_speechkit("audit", "run", faulty, *options, "--nj", num_jobs, "--out", tmp_path / name)
        assert done.exit_code == 0, done.stderr
        assert done.stdout.splitlines()[-1] == str(tmp_path / name / "report.html")
        assert all((tmp_path / name / part).is_dir() for part in PARTS)
    one, two = ((tmp_path / name / "audit" / "audit.jsonl").read_bytes() for name in ("one", "two"))
    assert one == two
    assert len(one.splitlines()) == 60
    again = run_speechkit("audit", "run", faulty, *options, "--out", tmp_path / "one")
    assert again.stdout.count("up to date") == len(PARTS)
    measured = run_speechkit("audit", "eval", tmp_path / "one" / "audit", faulty, "--json", tmp_path / "eval.json")
    assert measured.exit_code == 0, measured.stderr
    result = orjson.loads((tmp_path / "eval.json").read_bytes())
    assert (result["utterances"], result["faulty"], result["not_scored"]) == (60, 12, 0)


def test_a_configuration_of_models_comes_from_a_file(
    run_speechkit: Callable[..., Any], corpus: Path, tmp_path: Path
) -> None:
    done = run_speechkit("audit", "run", corpus / "strings", "--set", "optim.num_steps=3", "--out", tmp_path / "a")
    assert (done.exit_code, "needs --conf" in done.stderr) == (2, True)
    assert not (tmp_path / "a").exists()


def test_the_default_model_fits_the_corpus(corpus: Path) -> None:
    from speechkit.audit.run import default_training
    from speechkit.data.store import load_cuts

    cuts = list(load_cuts(corpus / "strings"))
    config = default_training(cuts, folds=2)
    assert (config.tokenizer.kind, config.features.sampling_rate, config.features.num_mels) == ("word", 8000, 40)
    assert config.optim.num_steps == 300
    assert default_training(cuts * 400, folds=2).optim.num_steps > 500
    rare = default_training(cuts[:3], folds=2)
    assert (rare.tokenizer.kind, rare.model.encoder.subsampling) == ("char", 2)  # type: ignore[union-attr]
