"""The small vocoder and `units resynth`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from speechkit.cli import main
from speechkit.config import build_config
from speechkit.data.store import load_cuts
from speechkit.errors import SpeechkitError
from speechkit.train import vocoder
from speechkit.train.config_vocoder import VocoderConfig
from speechkit.train.vocoder import distance_db, mel_of_units
from speechkit.units.config_vocoder import ResynthConfig
from speechkit.units.unit_file import load_units
from speechkit.units.vocoder import check_units, load_vocoder
from speechkit.units.vocoder_net import RunLengths, UnitToMel, VocoderShape

VOWELS = {"a": (700.0, 1200.0), "i": (300.0, 2300.0), "u": (320.0, 800.0)}  # formants of the corpus
SMALL = ["dim=32", "optim.num_steps=60", "optim.warmup_steps=3", "num_mels=32", "held_out=0.2", "num_blocks=2"]
Run = Callable[..., Any]


def speechkit(*args: object) -> None:
    with pytest.raises(SystemExit) as leaving:
        main([str(arg) for arg in args])
    assert not leaving.value.code


@pytest.fixture(scope="module")
def made(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Units of the three vowels, a vocoder for them, and audio of the units."""
    folder = tmp_path_factory.mktemp("vocoder")
    rate = ["--set", "features.sampling_rate=8000"]
    speechkit("units", "kmeans", corpus, "--k", 12, *rate, "--out", folder / "book")
    speechkit("units", "quantize", corpus, "--codebook", folder / "book", "--out", folder / "units")
    options = [part for change in SMALL for part in ("--set", change)]
    speechkit("units", "vocoder-train", folder / "units", "--cuts", corpus, *options, "--out", folder / "vocoder")
    arguments = ["--vocoder", folder / "vocoder", "--cuts", corpus]
    speechkit("units", "resynth", folder / "units", *arguments, "--out", folder / "spoken")
    return folder


def test_an_interrupted_training_goes_on_to_the_same_bytes(
    made: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = build_config(
        VocoderConfig,
        {
            "dim": 16,
            "num_mels": 32,
            "num_blocks": 1,
            "optim": {"num_steps": 12, "warmup_steps": 2},
            "checkpoint": {"every_steps": 4},
        },
    )
    vocoder.run(small, units=made / "units", cuts=corpus, out=tmp_path / "whole")
    calls = []
    make_batch = vocoder.VocoderMaterial.make_batch

    def stop(*args: Any) -> Any:
        calls.append(args)
        if len(calls) == 7:
            raise KeyboardInterrupt
        return make_batch(*args)

    monkeypatch.setattr(vocoder.VocoderMaterial, "make_batch", stop)
    with pytest.raises(KeyboardInterrupt):
        vocoder.run(small, units=made / "units", cuts=corpus, out=tmp_path / "out")
    vocoder.run(small, units=made / "units", cuts=corpus, out=tmp_path / "out")
    assert len(calls) < 7 + 12
    for name in ("vocoder.json", "model.safetensors"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_bands_of_held_out_utterances_come_closer_than_their_mean(made: Path) -> None:
    measured = load_vocoder(made / "vocoder").about.measured
    assert measured["copy_db"] < measured["audio_db"] < 0.6 * measured["mean_db"]
    assert measured["bands_db"] < 0.5 * measured["mean_db"]
    assert 0.5 < measured["duration_ratio"] < 1.5


def test_audio_sounds_like_the_original_and_the_manifest_says_whose_it_is(made: Path, corpus: Path) -> None:
    originals = {cut.id: cut for cut in load_cuts(corpus)}
    spoken = {cut.id: cut for cut in load_cuts(made / "spoken")}
    assert spoken.keys() == originals.keys()
    for utt_id, cut in spoken.items():
        own, given = cut.supervisions[0], originals[utt_id].supervisions[0]
        assert (own.text, own.speaker) == (given.text, given.speaker)
        assert abs(cut.duration - originals[utt_id].duration) < 0.011
    for utt_id in ("v00", "v01"):
        samples, rate = soundfile.read(spoken[utt_id].recording.sources[0].source)
        spectra = np.abs(np.fft.rfft(samples[: 3 * 1600].reshape(3, 1600), axis=1))
        peaks = spectra.argmax(1) * rate / 1600
        for peak, vowel in zip(peaks.tolist(), originals[utt_id].supervisions[0].text.split(), strict=True):
            assert min(abs(peak - formant) for formant in VOWELS[vowel]) < 60


def test_any_number_of_threads_gives_the_same_bytes(made: Path, corpus: Path, tmp_path: Path) -> None:
    arguments = ["--vocoder", made / "vocoder", "--cuts", corpus, "--nj", 3]
    speechkit("units", "resynth", made / "units", *arguments, "--out", tmp_path / "spoken")
    for path in sorted((made / "spoken").rglob("*.flac")):
        assert path.read_bytes() == (tmp_path / "spoken" / path.relative_to(made / "spoken")).read_bytes()


def test_units_without_run_lengths_need_predicted_ones(made: Path, tmp_path: Path, run_speechkit: Run) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(made / "units", bare)
    about = json.loads((bare / "units.json").read_text())
    (bare / "units.json").write_text(json.dumps({**about, "has_runs": False}))
    rows = [json.loads(line) for line in (bare / "units.jsonl").read_text().splitlines()]
    lines = [{"id": row["id"], "units": row["units"], "num_frames": len(row["units"])} for row in rows]
    (bare / "units.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    options = ["--vocoder", made / "vocoder", "--out", tmp_path / "spoken"]
    result = run_speechkit("units", "resynth", bare, *options)
    assert result.exit_code == 1
    assert "have no run lengths" in result.stderr
    assert run_speechkit("units", "resynth", bare, *options, "--durations", "predicted").exit_code == 0
    vocoder, units = load_vocoder(made / "vocoder"), load_units(bare)
    for number, cut in enumerate(load_cuts(tmp_path / "spoken")):
        frames = vocoder.run_lengths(units.frames(number)).sum()
        assert abs(cut.duration * 100 - frames) < 1


def test_wrong_inputs_are_named(made: Path, tmp_path: Path, run_speechkit: Run) -> None:
    def resynth(units: Path, *options: object) -> tuple[int, str]:
        result = run_speechkit("units", "resynth", units, "--out", tmp_path / "out", *options)
        assert "Traceback" not in result.stderr
        return result.exit_code, result.stderr

    vocoder = ["--vocoder", made / "vocoder"]
    code, message = resynth(made / "units", *vocoder, "--speaker", "bob")
    assert code == 2
    assert "no voice `bob`" in message
    assert "s0 s1" in message
    if not torch.cuda.is_available():
        assert "finds no GPU" in resynth(made / "units", *vocoder, "--device", "cuda")[1]
    assert "is missing" in resynth(made / "units", "--vocoder", made / "units")[1]
    other = tmp_path / "other"
    shutil.copytree(made / "units", other)
    about = json.loads((other / "units.json").read_text())
    (other / "units.json").write_text(json.dumps({**about, "codebook": "0" * 64}))
    assert "another codebook" in resynth(other, *vocoder)[1]
    broken = tmp_path / "broken"
    shutil.copytree(made / "vocoder", broken)
    (broken / "model.safetensors").write_bytes(b"nothing")
    assert "is no vocoder" in resynth(made / "units", "--vocoder", broken)[1]
    (broken / "vocoder.json").write_text('{"kind": "tape"}')
    assert "is no vocoder" in resynth(made / "units", "--vocoder", broken)[1]


def test_a_manifest_without_the_utterances_is_refused(
    made: Path, corpus: Path, tmp_path: Path, run_speechkit: Run
) -> None:
    from speechkit.data.store import save_cuts

    save_cuts(list(load_cuts(corpus))[:5], tmp_path / "cuts.jsonl.gz")
    for command in (["vocoder-train"], ["resynth", "--vocoder", made / "vocoder"]):
        name, *options = command
        arguments = [made / "units", *options, "--cuts", tmp_path / "cuts.jsonl.gz", "--out", tmp_path / "out"]
        result = run_speechkit("units", name, *arguments)
        assert result.exit_code == 1
        assert "lacks 7 utterances" in result.stderr


def test_a_vocoder_for_other_units_is_refused(made: Path) -> None:
    about = load_vocoder(made / "vocoder").about
    check_units(about, k=12, codebook=about.codebook, frames_per_second=100.0)
    with pytest.raises(SpeechkitError, match="knows 12 units, the codebook has 13"):
        check_units(about, k=13, codebook=None, frames_per_second=100.0)
    with pytest.raises(SpeechkitError, match="100 units per second, these are 50"):
        check_units(about, k=12, codebook=None, frames_per_second=50.0)


def test_a_padded_utterance_gives_what_it_gives_alone() -> None:
    torch.manual_seed(1)
    shape = VocoderShape(k=5, dim=16, num_blocks=3, kernel=3, num_mels=4, frames_per_unit=2, num_speakers=2)
    net = UnitToMel(shape).eval()
    units = [np.array(own, np.int32) for own in ([0, 4, 1], [2], [3, 0, 1, 2])]
    runs = [np.array(own, np.int32) for own in ([2, 1, 3], [1], [4, 1, 1, 7])]
    speakers = torch.tensor([0, 1, 2])
    together = net(RunLengths.of(units, runs), speakers)
    for row, (own, lengths) in enumerate(zip(units, runs, strict=True)):
        alone = net(RunLengths.of([own], [lengths]), speakers[row : row + 1])[0]
        assert len(alone) == 2 * lengths.sum()
        torch.testing.assert_close(together[row, : len(alone)], alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("rate", "per_second", "centre", "many", "first", "hop"),
    [(8000, 100.0, 0.0, 1, 0, 80), (16000, 50.0, 0.0125, 2, 120, 160), (16000, 25.0, 0.02, 4, 80, 160)],
)
def test_frames_of_bands_divide_units_evenly(
    made: Path, rate: int, per_second: float, centre: float, many: int, first: int, hop: int
) -> None:
    units = load_units(made / "units")
    units.about.update(sampling_rate=rate, frames_per_second=per_second, first_centre_seconds=centre)
    features, times = mel_of_units(units, build_config(VocoderConfig, {}))
    assert (times.frames_per_unit, times.first_sample, features.hop_samples) == (many, first, hop)


def test_the_distance_is_in_db() -> None:
    assert distance_db(torch.log(torch.tensor([[10.0, 1.0]])), torch.zeros(1, 2)) == pytest.approx(5.0)


def test_the_seed_decides_the_phases(made: Path) -> None:
    vocoder, frames = load_vocoder(made / "vocoder"), load_units(made / "units").frames(0)
    one, same, other = (vocoder("a", frames, ResynthConfig(seed=seed, iterations=2)) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
