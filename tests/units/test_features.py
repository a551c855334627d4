"""Frames: slopes, cepstra, times, layers of self-supervised models and what is refused."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torchaudio

from speechkit.audio.features import log_mel_of_recording
from speechkit.errors import ConfigError, SpeechkitError
from speechkit.units.config import HfConfig, LogMelConfig, MfccConfig, SslConfig
from speechkit.units.extractor import FrameTimes
from speechkit.units.features import make_extractor, slopes

TINY = {
    "extractor_mode": "group_norm",
    "extractor_conv_layer_config": [(8, 10, 5), (8, 3, 2)],
    "extractor_conv_bias": False,
    "encoder_embed_dim": 16,
    "encoder_projection_dropout": 0.0,
    "encoder_pos_conv_kernel": 8,
    "encoder_pos_conv_groups": 4,
    "encoder_num_layers": 3,
    "encoder_num_heads": 2,
    "encoder_attention_dropout": 0.0,
    "encoder_ff_interm_features": 16,
    "encoder_ff_interm_dropout": 0.0,
    "encoder_dropout": 0.0,
    "encoder_layer_norm_first": False,
    "encoder_layer_drop": 0.0,
    "aux_num_out": None,
}


def test_slopes_follow_the_regression_formula() -> None:
    frames = np.random.default_rng(0).standard_normal((7, 3)).astype(np.float32)
    found = slopes(frames)
    for t in range(7):
        at = [frames[min(6, max(0, t + step))] for step in range(-2, 3)]
        expected = (at[3] - at[1] + 2 * (at[4] - at[0])) / 10
        assert np.allclose(found[t], expected, atol=1e-6)


def test_cepstra_are_an_orthonormal_transform_of_log_mel_bands() -> None:
    samples = np.random.default_rng(0).standard_normal(1600).astype(np.float32) * 0.1
    config = MfccConfig(sampling_rate=8000, num_mels=20, num_cepstra=20, deltas=0, normalize="none")
    cepstra = make_extractor(config)(samples)
    mels = log_mel_of_recording(torch.from_numpy(samples), config.mel()).numpy()
    assert np.allclose(np.square(cepstra).sum(1), np.square(mels).sum(1), rtol=1e-4)
    assert np.allclose(cepstra[:, 0], mels.sum(1) / np.sqrt(20), rtol=1e-4)


@pytest.mark.parametrize("deltas, dim", [(0, 13), (1, 26), (2, 39)])
def test_an_extractor_says_how_many_values_a_frame_has(deltas: int, dim: int) -> None:
    extractor = make_extractor(MfccConfig(sampling_rate=8000, deltas=deltas))
    assert extractor.dim == dim == extractor(np.zeros(800, np.float32)).shape[1]


def test_a_click_shows_in_the_frame_of_its_time() -> None:
    samples = np.zeros(8000, np.float32)
    samples[4000] = 1.0
    extractor = make_extractor(LogMelConfig(sampling_rate=8000, deltas=0, normalize="none"))
    loudest = int(extractor(samples).sum(1).argmax())
    assert abs(loudest - extractor.times.frame_of(0.5)) <= 1
    assert extractor.times == FrameTimes(100.0, 0.0)


def test_normalising_by_utterance_gives_zero_mean_and_unit_deviation() -> None:
    samples = np.random.default_rng(0).standard_normal(4000).astype(np.float32)
    frames = make_extractor(LogMelConfig(sampling_rate=8000, deltas=1, normalize="utterance"))(samples)
    assert np.allclose(frames.mean(0), 0, atol=1e-4)
    assert np.allclose(frames.std(0), 1, atol=0.05)


def test_more_cepstra_than_bands_are_refused() -> None:
    with pytest.raises(ValueError, match="above num_mels"):
        MfccConfig(num_mels=10, num_cepstra=12)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A pipeline TINY in torchaudio with random weights; the file of its weights."""
    levels = {"TINY": False, "TINY_LEVELLED": True}
    for name, is_levelled in levels.items():
        bundle = torchaudio.pipelines.Wav2Vec2Bundle("tiny.pth", TINY, 16000, is_levelled, "Wav2Vec2")
        monkeypatch.setattr(torchaudio.pipelines, name, bundle, raising=False)
    torch.manual_seed(0)
    torch.save(torchaudio.models.wav2vec2_model(**TINY).state_dict(), tmp_path / "tiny.pth")
    return tmp_path / "tiny.pth"


@pytest.mark.parametrize("pipeline", ["TINY", "TINY_LEVELLED"])
def test_a_layer_is_what_torchaudio_gives(tiny: Path, pipeline: str) -> None:
    samples = np.random.default_rng(0).standard_normal(3001).astype(np.float32) * 0.1 + 0.2
    extractor = make_extractor(SslConfig(pipeline=pipeline, layer=2, checkpoint=str(tiny)))
    model = torchaudio.models.wav2vec2_model(**TINY)
    model.load_state_dict(torch.load(tiny, weights_only=True))
    wave = torch.from_numpy(samples)
    if pipeline == "TINY_LEVELLED":
        wave = torch.nn.functional.layer_norm(wave, wave.shape)
    with torch.inference_mode():
        expected = model.eval().extract_features(wave[None])[0][1][0].numpy()
    found = extractor(samples)
    assert found.shape == expected.shape == (len(expected), extractor.dim)
    assert np.allclose(found, expected, atol=1e-6)
    # kernels 10 and 3, strides 5 and 2: a field of 20 samples every 10
    assert extractor.times == FrameTimes(1600.0, 10 / 16000)


def test_chunks_of_long_audio_have_all_the_frames(tiny: Path) -> None:
    samples = np.random.default_rng(0).standard_normal(20_000).astype(np.float32) * 0.1
    whole, chunked = (
        make_extractor(SslConfig(pipeline="TINY", layer=1, checkpoint=str(tiny), chunk_seconds=seconds))(samples)
        for seconds in (60, 1)
    )
    assert len(whole) == len(chunked) == (20_000 - 20) // 10 + 1
    assert not np.array_equal(whole, chunked)  # the second is cut, so it tells chunks from the whole


def test_audio_of_less_than_a_frame_is_refused(tiny: Path) -> None:
    with pytest.raises(SpeechkitError, match="too few for one frame"):
        make_extractor(SslConfig(pipeline="TINY", layer=1, checkpoint=str(tiny)))(np.zeros(19, np.float32))


def test_unknown_pipelines_layers_and_missing_weights_are_named(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no pipeline `HUBERT`") as unknown:
        make_extractor(SslConfig(pipeline="HUBERT"))
    assert "HUBERT_BASE" in unknown.value.expected
    with pytest.raises(ConfigError, match=r"hubert_fairseq_base_ls960\.pth"):
        make_extractor(SslConfig())
    with pytest.raises(ConfigError, match="has 3 layers, not 6"):
        make_extractor(SslConfig(pipeline="TINY", checkpoint=str(tiny)))
    with pytest.raises(SpeechkitError, match="does not exist"):
        make_extractor(SslConfig(pipeline="TINY", layer=1, checkpoint=str(tmp_path / "none.pth")))


def test_weights_of_another_model_and_pickled_code_are_refused(tiny: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.pth"
    torch.save({"encoder.weight": torch.zeros(2)}, other)
    with pytest.raises(SpeechkitError, match="does not hold the weights of TINY"):
        make_extractor(SslConfig(pipeline="TINY", layer=1, checkpoint=str(other)))
    other.write_bytes(pickle.dumps({"x": Path}, protocol=2))
    with pytest.raises(SpeechkitError, match="no checkpoint of tensors alone"):
        make_extractor(SslConfig(pipeline="TINY", layer=1, checkpoint=str(other)))


def test_without_transformers_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ConfigError, match=r"\[hf\]"):
        make_extractor(HfConfig(folder=str(tmp_path)))


def test_a_local_model_folder_gives_the_layers_of_transformers(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    small = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    conv = {"conv_dim": (8, 8), "conv_kernel": (10, 3), "conv_stride": (5, 2), "num_feat_extract_layers": 2}
    model = transformers.HubertModel(transformers.HubertConfig(**small, **conv, num_conv_pos_embeddings=8)).eval()
    model.save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text('{"sampling_rate": 16000, "do_normalize": false}')
    samples = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    extractor = make_extractor(HfConfig(folder=str(tmp_path), layer=1))
    with torch.inference_mode():
        expected = model(torch.from_numpy(samples)[None], output_hidden_states=True).hidden_states[1][0].numpy()
    assert np.allclose(extractor(samples), expected, atol=1e-5)
    assert extractor.times == FrameTimes(1600.0, 10 / 16000)
