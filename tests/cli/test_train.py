"""`speechkit train` and `speechkit decode`: from a config to hypotheses, and every mistake in plain words."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tone_corpus import CONFIG_YAML, make_tone_corpus


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `conf.yaml` and a corpus `tones`, made the current one."""
    (tmp_path / "conf.yaml").write_text(CONFIG_YAML)
    make_tone_corpus(tmp_path / "tones")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _train(run: Callable[..., object], *more: str) -> object:
    return run("train", "conf.yaml", "--train", "tones", "--out", "exp", "--set", "optim.num_steps=3", *more)


def test_train_and_decode_leave_whole_artifacts(place: Path, run_speechkit: Callable[..., object]) -> None:
    done = _train(run_speechkit, "--dev", "tones", "--allow-overlap")
    assert (done.exit_code, done.stdout) == (0, "exp\n")  # type: ignore[attr-defined]
    names = {
        "model.safetensors",
        "tokenizer",
        "train.jsonl",
        "summary.json",
        "config.yaml",
        "run.json",
        "log.txt",
        "training_set.safetensors",
    }
    assert {path.name for path in (place / "exp").iterdir()} == names
    assert _train(run_speechkit, "--dev", "tones", "--allow-overlap").stdout == "up to date: exp\nexp\n"  # type: ignore[attr-defined]
    done = run_speechkit("decode", "tones", "--exp", "exp", "--out", "hyp", "--json", "speed.json")
    assert (done.exit_code, done.stdout) == (0, "hyp/hyp.jsonl\n")  # type: ignore[attr-defined]
    lines = [json.loads(line) for line in (place / "hyp/hyp.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == [f"tone0-{i:03d}" for i in range(24)]
    assert set(lines[0]) == {"id", "text", "log_prob", "frames"}
    assert json.loads((place / "speed.json").read_text())["num_utterances"] == 24


def test_the_size_of_decoding_batches_does_not_change_the_texts(
    place: Path, run_speechkit: Callable[..., object]
) -> None:
    _train(run_speechkit, "--set", "optim.num_steps=100", "--set", "augment.freq_masks=0")
    for name, size in (("one", 1), ("many", 24)):
        run_speechkit("decode", "tones", "--exp", "exp", "--out", name, "--set", f"batch.max_utterances={size}")
    texts = [
        [json.loads(line)["text"] for line in (place / name / "hyp.jsonl").read_text().splitlines()]
        for name in ("one", "many")
    ]
    assert texts[0] == texts[1] and any(texts[0])


def test_show_config_prints_every_key_with_its_meaning(place: Path, run_speechkit: Callable[..., object]) -> None:
    shown = run_speechkit("train", "conf.yaml", "--show-config").stdout  # type: ignore[attr-defined]
    assert "num_steps: 24  # optimiser updates (default: 1000)" in shown
    assert not (place / "exp").exists()


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)


@pytest.mark.parametrize(
    "arguments, code, message",
    [
        (["train", "none.yaml", "--train", "tones", "--out", "e"], 2, "cannot read the config `none.yaml`"),
        (["train", "conf.yaml", "--out", "e"], 2, "option --train is missing"),
        (["train", "conf.yaml", "--train", "tones"], 2, "option --out is missing"),
        (["train", "conf.yaml", "--train", "gone", "--out", "e"], 1, "`gone` does not exist"),
        (["train", "conf.yaml", "--train", "tones", "--out", "e", "--set", "optm.lr=1"], 2, "did you mean `optim`"),
        (["train", "conf.yaml", "--train", "tones", "--out", "e", "--set", "optim.lr=fast"], 2, "optim.lr"),
        (["train", "conf.yaml", "--train", "tones", "--out", "e", "--set", "model.encoder.kind=x"], 2, "ds_conv"),
        (["train", "conf.yaml", "--train", "tones", "--out", "e", "--set", "model.encoder.kernel=8"], 2, "8 is even"),
        (["train", "conf.yaml", "--train", "tones", "--out", "e", "--set", "device=cuda"], 2, "no GPU that it can use"),
        (["train", "conf.yaml", "--train", "empty", "--out", "e"], 1, "holds no cuts"),
        (["train", "conf.yaml", "--train", "broken", "--out", "e"], 1, "it is truncated"),
        (
            ["train", "conf.yaml", "--train", "tones", "--out", "e", "--set", "features.sampling_rate=16000"],
            1,
            "below features.sampling_rate=16000 Hz",
        ),
        (["train", "conf.yaml", "--train", "tones", "--out", "tones/audio"], 1, "was not made by speechkit"),
        (["decode", "tones", "--exp", "gone", "--out", "e"], 1, "`gone` holds no trained model"),
        (["decode", "tones", "--exp", "exp", "--out", "e", "--method", "magic"], 2, "method"),
    ],
)
def test_mistakes_are_named_and_leave_nothing_behind(
    place: Path, run_speechkit: Callable[..., object], arguments: list[str], code: int, message: str
) -> None:
    for name in ("empty", "broken"):
        (place / name).mkdir()
    (place / "empty/cuts.jsonl.gz").write_bytes(gzip.compress(b""))
    (place / "broken/cuts.jsonl.gz").write_bytes((place / "tones/cuts.jsonl.gz").read_bytes()[:100])
    before = set(place.rglob("*"))
    done = run_speechkit(*arguments)
    assert done.exit_code == code  # type: ignore[attr-defined]
    assert message in done.stderr and "Traceback" not in done.stderr  # type: ignore[attr-defined]
    left = {path for path in set(place.rglob("*")) - before if "e.partial" not in str(path)}
    assert left == set()


def test_a_damaged_model_is_named(place: Path, run_speechkit: Callable[..., object]) -> None:
    _train(run_speechkit)
    weights = place / "exp/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:500])
    done = run_speechkit("decode", "tones", "--exp", "exp", "--out", "hyp")
    assert done.exit_code == 1 and "model.safetensors` does not fit its config" in done.stderr  # type: ignore[attr-defined]


def test_an_unfinished_training_says_how_to_go_on(place: Path, run_speechkit: Callable[..., object]) -> None:
    (place / "exp.partial").mkdir()
    done = run_speechkit("decode", "tones", "--exp", "exp", "--out", "hyp")
    assert "its training has not finished" in done.stderr and "hint: run the same" in done.stderr  # type: ignore[attr-defined]


def test_unreadable_audio_stops_training_with_its_name(place: Path, run_speechkit: Callable[..., object]) -> None:
    victim = place / "tones/audio/tone0-005.flac"
    victim.write_bytes(victim.read_bytes()[:200])
    done = _train(run_speechkit)
    assert done.exit_code == 1 and "tone0-005.flac" in done.stderr  # type: ignore[attr-defined]
    shutil.rmtree(place / "exp.partial")
