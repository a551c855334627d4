"""Audio files: what is read is what was written, and every bad file is named with its cure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from make import make_wav

from speechkit.audio.io import audio_info, read_audio, write_flac
from speechkit.errors import SpeechkitError


def test_flac_round_trip_keeps_16_bit_samples(tmp_path: Path) -> None:
    samples = np.linspace(-1.0, 1.0, 1000, dtype=np.float32)
    write_flac(tmp_path / "a.flac", samples, 8000)
    back, rate = read_audio(tmp_path / "a.flac")
    assert rate == 8000 and back.dtype == np.float32
    np.testing.assert_allclose(back, samples, atol=2 / 32768)


def test_the_same_samples_give_the_same_bytes(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 4000).astype(np.float32)
    for name in ("a.flac", "b.flac"):
        write_flac(tmp_path / name, samples, 16000)
    assert (tmp_path / "a.flac").read_bytes() == (tmp_path / "b.flac").read_bytes()


def test_a_part_of_a_file_is_that_part(tmp_path: Path) -> None:
    path = make_wav(tmp_path / "a.wav", 0.2)
    whole, _ = read_audio(path)
    part, _ = read_audio(path, start_sample=100, num_samples=50)
    np.testing.assert_array_equal(part, whole[100:150])


def test_the_first_channel_of_a_stereo_file_is_read(tmp_path: Path) -> None:
    stereo = np.stack([np.full(100, 0.25), np.full(100, -0.25)], axis=1)
    soundfile.write(tmp_path / "s.wav", stereo, 8000)
    assert audio_info(tmp_path / "s.wav").num_channels == 2
    samples, _ = read_audio(tmp_path / "s.wav")
    np.testing.assert_allclose(samples, 0.25, atol=1e-4)


@pytest.mark.parametrize(
    "content, reason",
    [(None, "does not exist"), (b"", "is empty (0 bytes)"), (b"not audio at all", "cannot read the audio file")],
)
def test_a_bad_file_is_named_with_the_reason(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "bad.wav"
    if content is not None:
        path.write_bytes(content)
    for action in (audio_info, read_audio):
        with pytest.raises(SpeechkitError) as caught:
            action(path)  # type: ignore[operator]
        assert reason in caught.value.what and str(path) in caught.value.what


def test_a_file_that_ends_early_is_called_truncated(tmp_path: Path) -> None:
    path = make_wav(tmp_path / "a.wav", 0.1)
    with pytest.raises(SpeechkitError, match=r"is truncated: 800 samples from sample 0, 900 needed"):
        read_audio(path, num_samples=900)


@pytest.mark.parametrize("bad", [1.5, float("nan")])
def test_samples_that_would_clip_are_refused_and_nothing_is_written(tmp_path: Path, bad: float) -> None:
    with pytest.raises(SpeechkitError, match="reach"):
        write_flac(tmp_path / "a.flac", np.array([0.0, bad], np.float32), 8000)
    assert not (tmp_path / "a.flac").exists()


def test_samples_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    samples = np.zeros(100, np.float32)
    samples[40] = np.nan
    soundfile.write(tmp_path / "a.wav", samples, 8000, subtype="FLOAT")
    with pytest.raises(SpeechkitError, match=r"a\.wav` holds samples that are not finite numbers"):
        read_audio(tmp_path / "a.wav")
