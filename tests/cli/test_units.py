"""`speechkit units`: from a manifest to numbers, and what is told when options do not fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from speechkit.data.store import make_cut, save_cuts
from speechkit.rng import rng

SMALL = ("--set", "features.sampling_rate=8000", "--set", "max_passes=1", "--set", "final_passes=1")


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Five utterances of noise whose colour changes, without transcripts, in the folder `data`."""
    monkeypatch.chdir(tmp_path)
    cuts = []
    for number in range(5):
        samples = rng(0, "noise", number).standard_normal(4000) * 0.1
        samples[2000:] = np.cumsum(samples[2000:]) * 0.1
        path = tmp_path / "data" / f"n{number}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, np.clip(samples, -1, 1), 8000, subtype="PCM_16")
        cut = make_cut(f"n{number}", path, sampling_rate=8000, num_samples=4000, text="", speaker=f"s{number % 2}")
        cut.supervisions[0].text = None
        cuts.append(cut)
    save_cuts(cuts, tmp_path / "data" / "cuts.jsonl.gz")
    return tmp_path


def test_from_audio_without_transcripts_to_numbers(corpus: Path, run_speechkit: Callable[..., Any]) -> None:
    made = run_speechkit("units", "kmeans", "data", "--features", "logmel", "--k", 6, "--out", "km", *SMALL)
    assert made.exit_code == 0, made.stderr
    assert made.stdout == "km: 6 units of 120 values, 100 frames per second\n"
    assert "inertia" in made.stderr
    again = run_speechkit("units", "kmeans", "data", "--features", "logmel", "--k", 6, "--out", "km", *SMALL)
    assert again.stdout == "up to date: km\n"
    for words in (("--shard", "1/2"), ("--merge", "2")):
        done = run_speechkit("units", "quantize", "data", "--codebook", "km", "--out", "u", "--bpe-size", 12, *words)
        assert done.exit_code == 0, done.stderr
    assert done.stdout == "u/units.jsonl: 5 utterances\n"
    assert not Path("u.shards").exists()
    line = json.loads(Path("u/units.jsonl").read_text().splitlines()[0])
    assert list(line) == ["id", "units", "runs", "num_frames", "frames_per_second", "tokens"]
    told = run_speechkit(
        "units", "stats", "u", "--cuts", "data", "--against", "speaker", "--invariance", 2, "--codebook", "km",
        "--set", "speeds=[]", "--json", "s.json",
    )  # fmt: skip
    assert told.exit_code == 0, told.stderr
    assert told.stdout.startswith("5 utterances, 0.0 minutes, 255 frames, ")
    assert "gain +6 dB" in told.stdout
    found = json.loads(Path("s.json").read_text())
    assert found["against"]["speaker"]["num_labels"] == 2
    assert set(found["invariance"]) == {"num_utterances", "noise 20 dB", "noise 10 dB", "gain -6 dB", "gain +6 dB"}


def test_import_and_what_it_refuses(corpus: Path, run_speechkit: Callable[..., Any]) -> None:
    np.save("km.npy", np.eye(13, dtype=np.float32))
    options = ("--features", "mfcc", "--set", "features.normalize=none", "--set", "features.sampling_rate=8000")
    done = run_speechkit("units", "import", "km.npy", "--out", "km", *options, "--set", "features.deltas=0")
    assert done.exit_code == 0, done.stderr
    assert done.stdout == "km: 13 units of 13 values, from `array` of km.npy\n"
    assert run_speechkit("units", "quantize", "data", "--codebook", "km", "--out", "u").exit_code == 0
    refused = run_speechkit("units", "import", "km.npy", "--out", "km2", *options)
    assert refused.exit_code == 1
    assert refused.stderr.startswith("error: the centres have 13 values, frames of the features `mfcc` have 39\n")
    Path("km.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    code = run_speechkit("units", "import", "km.pkl", "--out", "km2", *options)
    assert code.exit_code == 1
    assert code.stderr.splitlines()[0] == (
        "error: `km.pkl` holds the name `os.system`, which is not read: loading it could run code"
    )


def test_options_that_do_not_fit_leave_with_2(corpus: Path, run_speechkit: Callable[..., Any]) -> None:
    for words, told in {
        ("kmeans", "data", "--out", "km", "--set", "features.layer=3"): "unknown key `features.layer`",
        ("kmeans", "data", "--out", "km", "--features", "ssl"): "hubert_fairseq_base_ls960.pth",
        ("kmeans", "data", "--out", "km", "--features", "wav"): "'wav' is not one of",
        ("kmeans", "data", "--out", "km", "--set", "init=middle"): "`init`",
    }.items():
        done = run_speechkit("units", *words)
        assert done.exit_code == 2, done.stderr
        assert told in done.stderr, done.stderr
    assert not Path("km").exists()


def test_the_config_of_each_kind_of_features_is_shown(run_speechkit: Callable[..., Any]) -> None:
    for kind, key in {"mfcc": "num_cepstra: 13", "logmel": "num_mels: 40", "ssl": "layer: 6", "hf": "folder:"}.items():
        command = "import" if kind == "ssl" else "kmeans"
        shown = run_speechkit("units", command, "x", "--features", kind, "--out", "y", "--show-config")
        assert shown.exit_code == 0, shown.stderr
        assert key in shown.stdout
