"""Layers of self-supervised models: torchaudio's pipelines with a checkpoint file given; nothing is downloaded."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from speechkit.errors import ConfigError, SpeechkitError
from speechkit.fingerprint import fingerprint
from speechkit.units.config import NeuralConfig, SslConfig
from speechkit.units.extractor import Extractor, Floats, FrameTimes

_URL = "https://download.pytorch.org/torchaudio/models/"


def torchaudio_extractor(config: SslConfig) -> Extractor:
    """Output of a transformer layer of a torchaudio pipeline.

    Raises:
        ConfigError: no such pipeline or layer, or no checkpoint; SpeechkitError: a checkpoint that does not fit.
    """
    import torchaudio

    bundle = getattr(torchaudio.pipelines, config.pipeline, None)
    if not isinstance(bundle, torchaudio.pipelines.Wav2Vec2Bundle):
        names = [n for n, b in vars(torchaudio.pipelines).items() if isinstance(b, torchaudio.pipelines.Wav2Vec2Bundle)]
        raise ConfigError(f"there is no pipeline `{config.pipeline}`", expected=", ".join(sorted(names)))
    if config.checkpoint is None:
        path = bundle._path if bundle._path.startswith("https") else _URL + bundle._path
        raise ConfigError(
            f"pipeline {config.pipeline} needs its weights; nothing is downloaded on its own",
            hint=f"fetch {path} and give --set features.checkpoint=FILE",
        )
    checkpoint = Path(config.checkpoint)
    model = _load(bundle, checkpoint, config)
    convolutions = [(layer.conv.kernel_size[0], layer.conv.stride[0]) for layer in model.feature_extractor.conv_layers]

    def encode(samples_1S: Tensor) -> Tensor:
        layers, _ = model.extract_features(samples_1S, num_layers=config.layer)
        return layers[-1][0]  # type: ignore[no-any-return]

    return neural_extractor(
        config,
        encode,
        sampling_rate=round(bundle.sample_rate),
        dim=model.encoder.transformer.layers[0].attention.embed_dim,
        convolutions=convolutions,
        levels_samples=bundle._normalize_waveform,
        model_print=fingerprint(checkpoint),
    )


def _load(bundle: Any, checkpoint: Path, config: SslConfig) -> Any:
    import torchaudio

    num_layers = int(bundle._params["encoder_num_layers"])
    if config.layer > num_layers:
        raise ConfigError(f"pipeline {config.pipeline} has {num_layers} layers, not {config.layer}")
    if not checkpoint.is_file():
        raise SpeechkitError(f"checkpoint `{checkpoint}` does not exist")
    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError):
        raise SpeechkitError(f"`{checkpoint}` is no checkpoint of tensors alone", expected="a state dict") from None
    make = torchaudio.models.wavlm_model if bundle._model_type == "WavLM" else torchaudio.models.wav2vec2_model
    model = make(**{**bundle._params, "aux_num_out": None})  # the output layer of recognisers is of no use here
    try:
        model.load_state_dict({name: value for name, value in state.items() if not name.startswith("aux.")})
    except (RuntimeError, AttributeError) as error:
        lines = [line.strip() for line in str(error).splitlines()]
        raise SpeechkitError(
            f"`{checkpoint}` does not hold the weights of {config.pipeline}",
            where=[line for line in lines[1:] if line] or lines,
        ) from None
    return model.eval().to(config.device)


def neural_extractor(
    config: NeuralConfig,
    encode: Callable[[Tensor], Tensor],
    *,
    sampling_rate: int,
    dim: int,
    convolutions: Sequence[tuple[int, int]],
    levels_samples: bool,
    model_print: str,
) -> Extractor:
    """An extractor around a model that reads samples through strided convolutions.

    Args:
        encode: samples (1, S) -> frames (T, dim).
        convolutions: kernel and stride of each, from which the times of frames follow.
        levels_samples: samples are brought to zero mean and unit variance first.
    """
    stride, field = 1, 1
    for kernel, step in convolutions:
        field += (kernel - 1) * stride
        stride *= step
    chunk_frames = max(1, round(config.chunk_seconds * sampling_rate / stride))

    def extract(samples_S: Floats) -> Floats:
        wave_S = torch.from_numpy(samples_S).to(config.device)
        if levels_samples:
            wave_S = torch.nn.functional.layer_norm(wave_S, wave_S.shape)
        num_frames = (len(wave_S) - field) // stride + 1
        if num_frames < 1:
            return np.empty((0, dim), np.float32)
        parts = []
        with torch.inference_mode():
            for first in range(0, num_frames, chunk_frames):
                last = min(num_frames, first + chunk_frames) - 1
                frames_TD = encode(wave_S[None, first * stride : last * stride + field])
                parts.append(frames_TD.float().cpu().numpy())
        return np.concatenate(parts)

    return Extractor(
        sampling_rate=sampling_rate,
        dim=dim,
        times=FrameTimes(sampling_rate / stride, field / 2 / sampling_rate),
        extract=extract,
        model_print=model_print,
        upsamples=config.upsample,
        is_normalized=config.normalize == "utterance",
    )
