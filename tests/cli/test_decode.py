"""`speechkit decode` with an attention model: outputs, methods, joint scores, and choices that do not fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tone_corpus import CONFIG_YAML, make_tone_corpus

from speechkit.config import load_config
from speechkit.train import loop
from speechkit.train.config import TrainConfig

AED = (
    "model={kind: aed, encoder: {kind: conv_blstm, dim: 16, stack: 2, stride: 2}, "
    "decoder: {dim: 16, embedding_dim: 8, attention_dim: 16, location_channels: 4, location_kernel: 5}}"
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the corpus `tones`, an attention model `aed` and a CTC model `ctc`, both hardly trained."""
    place = tmp_path_factory.mktemp("decode")
    make_tone_corpus(place / "tones", num_utterances=8)
    (place / "conf.yaml").write_text(CONFIG_YAML)
    for name, overrides in (("aed", [AED]), ("ctc", [])):
        config = load_config(TrainConfig, place / "conf.yaml", ["optim.num_steps=6", *overrides])
        loop.run(config, train=[place / "tones"], dev=None, out=place / name)
    return place


def _hyps(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "hyp.jsonl").read_text().splitlines()]


def test_outputs_and_methods_of_an_attention_model(
    trained: Path, tmp_path: Path, run_speechkit: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained)
    ways = {
        "main": [],
        "attention": ["--head", "attention"],
        "ctc": ["--head", "ctc"],
        "one": ["--method", "beam", "--beam", "1"],
        "beam": ["--method", "beam", "--beam", "3"],
        "joint": ["--method", "beam", "--beam", "3", "--ctc-weight", "0.5"],
    }
    found = {}
    for name, options in ways.items():
        out = tmp_path / name
        done = run_speechkit("decode", "tones", "--exp", "aed", "--out", out, *options)
        assert done.exit_code == 0, done.stderr  # type: ignore[attr-defined]
        found[name] = _hyps(out)
    assert {hyp["id"] for hyp in found["beam"]} == {f"tone0-{i:03d}" for i in range(8)}
    assert found["main"] == found["attention"] == found["one"]
    assert found["ctc"] != found["main"]
    log_probs = {name: sum(float(str(hyp["log_prob"])) for hyp in hyps) for name, hyps in found.items()}
    assert log_probs["joint"] != log_probs["beam"]
    summary = json.loads((tmp_path / "beam/summary.json").read_text())
    assert summary["num_cut"] >= 0 and summary["num_utterances"] == 8


@pytest.mark.parametrize(
    "exp, options, code, message",
    [
        ("ctc", ["--head", "attention"], 2, "the model has no output `attention`"),
        ("ctc", ["--method", "beam"], 2, "there is no method `beam` for the output `ctc`"),
        ("aed", ["--head", "ctc", "--method", "beam"], 2, "expected: method: greedy"),
        ("aed", ["--head", "rnnt"], 2, "head"),
        ("aed", ["--ctc-weight", "0.3"], 2, "beam.ctc_weight 0.3 needs method beam"),
        ("aed", ["--method", "beam", "--beam", "0"], 2, "beam.size"),
        ("aed", ["--require-converged"], 3, "`aed` has not converged"),
    ],
)
def test_choices_that_do_not_fit_are_named_and_leave_nothing(
    trained: Path, run_speechkit: Callable[..., object], monkeypatch: pytest.MonkeyPatch, exp: str,
    options: list[str], code: int, message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(trained)
    done = run_speechkit("decode", "tones", "--exp", exp, "--out", "no", *options)
    assert (done.exit_code, "Traceback" in done.stderr) == (code, False)  # type: ignore[attr-defined]
    assert message in done.stderr  # type: ignore[attr-defined]
    assert not list(trained.glob("no*"))
