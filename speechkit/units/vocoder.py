"""What turns units into audio: the small network of `units vocoder-train`, or a unit HiFi-GAN.

Folder: `vocoder.json` (kind, size, units, rates, speakers, what was measured) and `model.safetensors`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import safetensors
import torch
from pydantic import Field
from safetensors.torch import load_file
from torch import Tensor, nn

from speechkit.audio.config import FeatureConfig
from speechkit.audio.invert import audio_of_log_mel
from speechkit.config import Config, build_config
from speechkit.errors import ConfigError, SpeechkitError
from speechkit.rng import derive_seed
from speechkit.units.config_vocoder import ResynthConfig
from speechkit.units.extractor import Floats
from speechkit.units.hifigan import CodeHifigan, HifiganShape
from speechkit.units.kmeans import Labels
from speechkit.units.unit_file import merge_runs
from speechkit.units.vocoder_net import RunLengths, UnitToMel, VocoderShape

VOCODER_FILE, MODEL_FILE = "vocoder.json", "model.safetensors"
_PEAK = 0.99


class About(Config):
    """The content of vocoder.json that a vocoder needs.

    Attributes:
        codebook: fingerprint of the codebook of its units; none: made elsewhere, only their number is known.
        first_sample: where the audio of the first unit begins in a recording.
    """

    kind: Literal["mel", "hifigan"]
    format: Literal[1] = 1
    k: int
    codebook: str | None
    sampling_rate: int
    frames_per_second: float
    first_sample: int = 0
    speakers: tuple[str, ...] = ()
    network: dict[str, Any]
    features: FeatureConfig | None = None
    measured: dict[str, float] = Field({}, description="distances on held-out utterances")


@dataclass(frozen=True)
class Vocoder:
    """A vocoder in eval mode."""

    about: About
    net: UnitToMel | CodeHifigan

    def speaker_id(self, name: str | None) -> int:
        """The row of a voice; 0 is no certain one in a vocoder of ours, and the first in a HiFi-GAN.

        Raises:
            ConfigError: there is no such voice.
        """
        known = self.about.speakers
        if name is None:
            return 0
        if name not in known:
            shown = f"one of {' '.join(known[:20])}{' ...' if len(known) > 20 else ''}" if known else "no --speaker"
            raise ConfigError(f"the vocoder has no voice `{name}`", expected=shown)
        return known.index(name) + (1 if self.about.kind == "mel" else 0)

    @torch.no_grad()
    def run_lengths(self, units_N: Labels) -> Labels:
        """How many frames each unit is predicted to last; int32 (N,), at least 1.

        Raises:
            SpeechkitError: the vocoder predicts none.
        """
        if self.net.durations is None:
            raise SpeechkitError("this vocoder predicts no run lengths", expected="units with `runs`")
        ids_1N = torch.from_numpy(units_N.astype(np.int64))[None].to(self.device)
        runs_N: Labels = self.net.durations(self.net.embedding(ids_1N))[0].cpu().numpy().astype(np.int32)
        return runs_N

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return next(self.net.parameters()).device

    @torch.no_grad()
    def log_mel(self, frames_T: Labels, *, speaker_id: int = 0) -> Tensor:
        """The log-mel features (T * frames per unit, F) of one unit per frame; of a small vocoder only."""
        assert isinstance(self.net, UnitToMel)
        units_N, runs_N = merge_runs(frames_T)
        runs = RunLengths.of([units_N], [runs_N]).to(self.device)
        mel_TF: Tensor = self.net(runs, torch.tensor([speaker_id], device=self.device))[0]
        return mel_TF

    def __call__(self, utt_id: str, frames_T: Labels, config: ResynthConfig) -> Floats:
        """The audio of an utterance, float32 (S,) in [-1, 1], from its unit in each frame.

        Depends on nothing but the units, the vocoder, the seed and the id.
        """
        speaker_id = self.speaker_id(config.speaker)
        if isinstance(self.net, CodeHifigan):
            with torch.no_grad():
                ids_1T = torch.from_numpy(frames_T.astype(np.int64))[None].to(self.device)
                samples_S = self.net(ids_1T, torch.tensor([speaker_id], device=self.device))[0].cpu()
        else:
            assert self.about.features is not None
            mel_TF = self.log_mel(frames_T, speaker_id=speaker_id).cpu()
            generator = torch.Generator().manual_seed(derive_seed(config.seed, "phases", utt_id, bits=63))
            samples_S = audio_of_log_mel(mel_TF, self.about.features, generator=generator, iterations=config.iterations)
        samples: Floats = samples_S.numpy()
        peak = float(np.abs(samples).max(initial=0.0))
        return samples if peak <= _PEAK else samples * np.float32(_PEAK / peak)


def save_vocoder(folder: Path, about: About, net: nn.Module) -> None:
    """Write both files; the same vocoder gives the same bytes."""
    from safetensors.torch import save

    from speechkit.artifact import publish_file, write_json

    tensors = {name: tensor.contiguous().cpu() for name, tensor in net.state_dict().items()}
    with publish_file(folder / MODEL_FILE, "wb") as stream:
        stream.write(save(tensors))
    write_json(folder / VOCODER_FILE, about.model_dump(mode="json"))


def load_vocoder(folder: Path, *, device: str = "cpu") -> Vocoder:
    """The vocoder in a folder.

    Raises:
        SpeechkitError: a file is missing or damaged.
    """
    path, weights = folder / VOCODER_FILE, folder / MODEL_FILE
    for needed in (path, weights):
        if not needed.is_file():
            expected = "a folder made by `speechkit units vocoder-train` or `vocoder-import`"
            raise SpeechkitError(f"`{needed}` is missing", expected=expected)
    try:
        about = build_config(About, json.loads(path.read_text(encoding="utf-8")))
        net = _net_of(about)
        net.load_state_dict(load_file(str(weights)))
    except (ValueError, RuntimeError, ConfigError, safetensors.SafetensorError) as error:
        reason = error.what if isinstance(error, SpeechkitError) else str(error).splitlines()[0]
        raise SpeechkitError(f"`{folder}` is no vocoder: {reason}", hint="make it again") from None
    return Vocoder(about, net.to(device).eval())


def _net_of(about: About) -> UnitToMel | CodeHifigan:
    if about.kind == "hifigan":
        return CodeHifigan(build_config(HifiganShape, about.network))
    return UnitToMel(build_config(VocoderShape, about.network))


def check_units(vocoder: About, *, k: int, codebook: str | None, frames_per_second: float) -> None:
    """Raise SpeechkitError when a vocoder is not for these units."""
    if vocoder.codebook is not None and codebook is not None and vocoder.codebook != codebook:
        raise SpeechkitError(
            "the vocoder was made for the units of another codebook",
            where=f"vocoder {vocoder.codebook[:12]}, units {codebook[:12]}",
            hint="`speechkit units vocoder-train` makes one for these units",
        )
    if vocoder.k != k:
        raise SpeechkitError(f"the vocoder knows {vocoder.k} units, the codebook has {k}")
    if abs(vocoder.frames_per_second / frames_per_second - 1) > 0.01:
        raise SpeechkitError(
            f"the vocoder is for {vocoder.frames_per_second:g} units per second, these are {frames_per_second:g}"
        )
