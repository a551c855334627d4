"""What one pass over an audio file tells, and what it says about broken ones."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import soundfile
from make import make_broken_audio, make_wav

from speechkit.audio import measure
from speechkit.audio.measure import measure_file

RATE = 8000


def write(path: Path, samples: np.ndarray, *, rate: int = RATE, subtype: str = "PCM_16") -> Path:
    soundfile.write(path, samples, rate, subtype=subtype)
    return path


def noise(seconds: float, *, scale: float = 0.2, seed: int = 0) -> np.ndarray:
    return scale * np.random.default_rng(seed).standard_normal(round(seconds * RATE)).clip(-4, 4)


def test_measures_are_those_of_the_samples(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", noise(1.5))
    pcm, _ = soundfile.read(path, dtype="int16")
    (found,) = measure_file(path)
    assert (found.fault, found.rate, found.num_channels) == ("", RATE, 1)
    assert (found.num_samples, found.file_samples) == (12000, 12000)
    assert (found.low, found.high) == (pcm.min() / 32768, pcm.max() / 32768)
    assert found.mean == pytest.approx(pcm.mean() / 32768)
    assert found.digest == hashlib.md5(pcm.tobytes()).hexdigest()
    assert found.peak == max(found.high, -found.low)


def test_wav_and_flac_of_the_same_samples_have_the_same_digest(tmp_path: Path) -> None:
    pcm = np.round(noise(0.3) * 32767).astype(np.int16)  # from floats, the two formats round differently
    wav, flac = (write(tmp_path / f"a.{kind}", pcm) for kind in ("wav", "flac"))
    assert measure_file(wav)[0].digest == measure_file(flac)[0].digest
    other = write(tmp_path / "b.wav", noise(0.3, seed=1))
    assert measure_file(other)[0].digest != measure_file(wav)[0].digest


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_levels_do_not_depend_on_the_sample_type(subtype: str, tmp_path: Path) -> None:
    samples = np.linspace(-0.5, 0.25, 4001)
    (found,) = measure_file(write(tmp_path / "a.wav", samples, subtype=subtype))
    assert (found.low, found.high, found.mean) == pytest.approx((-0.5, 0.25, -0.125), abs=0.01)


def test_parts_are_measured_each_for_itself_also_across_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "_BLOCK_SAMPLES", 1000)
    samples = np.concatenate([np.zeros(4000), noise(0.5), 0.5 + np.zeros(4000)])
    path = write(tmp_path / "a.flac", samples)
    silent, loud, constant, outside = measure_file(path, [(0, 0.5), (0.45, 1.0), (1.0, 9.0), (3.0, 4.0)])
    assert silent.peak == 0 and silent.num_samples == 4000
    assert loud.num_samples == 4400 and loud.file_samples == 12000
    assert constant.mean == pytest.approx(0.5, abs=1e-4) and constant.num_samples == 4000
    assert outside.fault == "no-samples" and outside.file_samples == 12000
    cut = soundfile.read(path, start=3600, stop=8000, dtype="int16")[0]
    assert loud.digest == hashlib.md5(cut.tobytes()).hexdigest()


def test_flat_tops_are_counted_at_any_level_but_not_in_quiet_audio(tmp_path: Path) -> None:
    loud = (10 * noise(0.5)).clip(-1, 1)
    pcm = np.round(loud * 32767).astype(np.int16)
    tops = sum(_run_samples(pcm == extreme) for extreme in (pcm.min(), pcm.max()))
    (full,) = measure_file(write(tmp_path / "a.wav", loud))
    (scaled,) = measure_file(write(tmp_path / "b.wav", 0.3 * loud))
    (quiet,) = measure_file(write(tmp_path / "c.wav", 0.01 * loud))
    assert full.clipped == scaled.clipped == tops > 500
    assert full.clip_runs == scaled.clip_runs > 100
    assert quiet.clipped == 0
    assert measure_file(write(tmp_path / "d.wav", noise(0.5)))[0].clipped == 0


def _run_samples(flags: np.ndarray) -> int:
    runs, length = 0, 0
    for flag in [*flags.tolist(), False]:
        if not flag:
            runs += length if length >= 3 else 0
        length = length + 1 if flag else 0
    return runs


def test_the_longest_run_of_zeros_is_found(tmp_path: Path) -> None:
    samples = noise(3.0)
    samples[samples == 0] = 0.01
    samples[8000:17000] = 0
    samples[20000:20900] = 0
    (found,) = measure_file(write(tmp_path / "a.flac", samples))
    assert found.gap == pytest.approx(9000, abs=2)
    assert measure_file(write(tmp_path / "b.flac", noise(1.0)))[0].gap == 0


def test_the_first_channel_counts_and_all_are_in_the_digest(tmp_path: Path) -> None:
    stereo = np.stack([noise(0.2), noise(0.2, seed=1)], axis=1)
    (found,) = measure_file(write(tmp_path / "a.wav", stereo))
    (left,) = measure_file(write(tmp_path / "b.wav", stereo[:, 0]))
    assert (found.num_channels, found.num_samples) == (2, left.num_samples)
    assert (found.low, found.high) == (left.low, left.high)
    assert found.digest != left.digest


def test_every_broken_file_has_its_fault(tmp_path: Path) -> None:
    broken = make_broken_audio(tmp_path)
    faults = {name: measure_file(path)[0].fault for name, path in broken.items()}
    assert faults == {
        "zero_bytes": "empty",
        "truncated": "damaged",
        "not_audio": "unreadable",
        "missing": "missing",
        "no_samples": "no-samples",
    }
    assert [m.fault for m in measure_file(tmp_path / "nowhere.wav", [(0, 1), (1, 2)])] == ["missing", "missing"]
    assert measure_file(tmp_path)[0].fault == "missing"


@pytest.mark.parametrize("name", ["samples.raw", "page.mp3", "noise.wav"])
def test_what_is_no_audio_is_unreadable_whatever_its_name(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"<html>" * 500)
    assert measure_file(tmp_path / name)[0][:2] == ("unreadable", "format not recognised")


def test_a_wav_file_that_lacks_the_end_of_its_samples_is_truncated(tmp_path: Path) -> None:
    path = make_wav(tmp_path / "a.wav", 1.0)
    data = path.read_bytes()
    path.write_bytes(data[:-1000])
    assert measure_file(path)[0][:2] == ("truncated", "15000 of 16000 bytes of samples are there")
    path.write_bytes(data[:40] + b"\xff\xff\xff\xff" + data[44:])  # written into a pipe
    assert measure_file(path)[0].fault == ""


def test_one_flipped_bit_in_a_flac_file_is_seen(tmp_path: Path) -> None:
    path = write(tmp_path / "a.flac", noise(0.5))
    data = bytearray(path.read_bytes())
    missed = []
    for place in range(100, len(data), 97):
        changed = bytearray(data)
        changed[place] ^= 4
        path.write_bytes(bytes(changed))
        if measure_file(path)[0].fault != "damaged":
            missed.append(place)
    assert missed == []


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers_are_a_fault(bad: float, tmp_path: Path) -> None:
    samples = noise(0.2)
    samples[77] = bad
    samples[78] = -bad
    assert measure_file(write(tmp_path / "a.wav", samples, subtype="FLOAT"))[0].fault == "not-finite"
