"""The verdict on a finished model, and what refuses one that has not converged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from speechkit.config import load_config
from speechkit.errors import CheckFailed, SpeechkitError
from speechkit.models.converged import check_converged
from speechkit.train import convergence, loop
from speechkit.train.config import TrainConfig


def _train(conf: Path, tones: Path, out: Path, *overrides: str) -> dict[str, object]:
    loop.run(load_config(TrainConfig, conf, overrides), train=[tones], dev=None, out=out)
    summary: dict[str, object] = json.loads((out / "summary.json").read_text())
    return summary


def test_a_model_after_three_steps_has_not_converged(conf: Path, tones: Path, tmp_path: Path) -> None:
    summary = _train(conf, tones, tmp_path / "a", "optim.num_steps=3")
    assert summary["converged"] is False and float(str(summary["train_wer"])) > 30
    assert summary["rule"] == "greedy WER on 24 training utterances <= 30 %"
    assert "not converged: greedy WER" in (tmp_path / "a/log.txt").read_text()
    with pytest.raises(CheckFailed, match="has not converged") as caught:
        check_converged(tmp_path / "a")
    assert caught.value.exit_code == 3 and f"{summary['train_wer']} %" in caught.value.where[0]


def test_a_model_that_has_learned_its_corpus_has_converged(conf: Path, tones: Path, tmp_path: Path) -> None:
    summary = _train(
        conf, tones, tmp_path / "a", "optim.num_steps=60", "augment.freq_masks=0", "convergence.max_wer=60"
    )
    assert summary["converged"] is True and float(str(summary["train_wer"])) < 60
    check_converged(tmp_path / "a")


@pytest.mark.parametrize(("wer", "verdict"), [(12.0, True), (12.01, False)])
def test_the_verdict_follows_the_threshold_and_the_sample_its_size(
    conf: Path, monkeypatch: pytest.MonkeyPatch, wer: float, verdict: bool
) -> None:
    looked_at: list[list[int]] = []

    def look(_model: object, utterances: list[int], *_: object) -> dict[str, float]:
        looked_at.append(utterances)
        return {"wer": wer}

    monkeypatch.setattr(convergence, "evaluate", look)
    config = load_config(TrainConfig, conf, ["convergence.max_wer=12", "convergence.num_utterances=5"])
    for _ in range(2):
        result = convergence.measure_convergence(None, list(range(50)), None, config, None)  # type: ignore[arg-type]
        assert result == {
            "converged": verdict,
            "rule": "greedy WER on 5 training utterances <= 12 %",
            "train_wer": round(wer, 2),
        }
    assert looked_at[0] == looked_at[1] and len(set(looked_at[0])) == 5


def test_a_model_nobody_looked_at_is_refused(conf: Path, tones: Path, tmp_path: Path) -> None:
    summary = _train(conf, tones, tmp_path / "a", "optim.num_steps=3", "convergence.num_utterances=0")
    assert "converged" not in summary
    with pytest.raises(CheckFailed, match="nobody knows whether"):
        check_converged(tmp_path / "a")
    with pytest.raises(SpeechkitError, match="cannot read"):
        check_converged(tmp_path / "gone")
