"""`speechkit units vocoder-train`: units and their audio in, a small vocoder out; an interrupted run goes on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from speechkit import log
from speechkit.artifact import make_artifact
from speechkit.audio.config import FeatureConfig
from speechkit.audio.features import log_mel
from speechkit.audio.invert import audio_of_log_mel
from speechkit.data.batch import Utterance
from speechkit.data.store import audio_path, load_cuts, plain_cut
from speechkit.data.stream import manifest_path
from speechkit.errors import SpeechkitError, counted
from speechkit.models.table import check_device
from speechkit.rng import derive_seed, rng
from speechkit.train.config_vocoder import VocoderConfig
from speechkit.train.loop import CHECKPOINTS, Trainer
from speechkit.units.config_vocoder import ResynthConfig
from speechkit.units.extractor import Extractor, Floats
from speechkit.units.kmeans import Labels
from speechkit.units.sounds import frames_of, sounds_of
from speechkit.units.unit_file import ABOUT_FILE, UNITS_FILE, UnitSet, check_run_lengths, load_units, merge_runs
from speechkit.units.vocoder import About, Vocoder, save_vocoder
from speechkit.units.vocoder_net import RunLengths, UnitToMel, VocoderBatch, VocoderShape

_DB = 10 / math.log(10)
_MAX_MEASURED = 200  # held-out utterances that are turned into audio


@dataclass(frozen=True)
class _Spoken:
    """An utterance: its unit in each frame and the log-mel bands of its audio."""

    utt_id: str
    speaker: int
    frames_T: Labels
    mel_TF: Tensor


def run(config: VocoderConfig, *, units: Path, cuts: Path, out: Path, num_jobs: int = 1, force: bool = False) -> None:
    """Make a vocoder for the units of a manifest.

    Raises:
        SpeechkitError: units and manifest do not belong together, units have no run lengths, audio can not be used.
    """
    check_device(config.device)
    unit_set = load_units(units)
    found = {cut.id: cut for cut in load_cuts(cuts)}
    missing = [utt_id for utt_id in unit_set.ids if utt_id not in found]
    if missing:
        raise SpeechkitError(f"the manifest lacks {len(missing)} utterances of the units", where=missing)
    if len(unit_set.ids) < 2:
        raise SpeechkitError("one utterance can not be learned from and measured on", expected="two or more")
    check_run_lengths(unit_set, units)
    chosen = [found[utt_id] for utt_id in unit_set.ids]
    features, times = mel_of_units(unit_set, config)
    extractor = Extractor(features.sampling_rate, features.num_mels, unit_set.times, _raw)
    utterances = sounds_of(chosen, extractor)
    speakers = [_speaker_of(plain_cut(cut)) for cut in chosen]

    def build(folder: Path) -> None:
        torch.set_num_threads(config.threads)
        names = sorted(set(speakers) - {""})
        numbers = [names.index(name) + 1 if name else 0 for name in speakers]
        spoken = _read(unit_set, utterances, numbers, features, times, num_jobs=num_jobs)
        held = _held_out(unit_set.ids, config)
        train, dev = ([own for own in spoken if (own.utt_id in held) is side] for side in (False, True))
        shape = VocoderShape(
            k=unit_set.k, dim=config.dim, num_blocks=config.num_blocks, kernel=config.kernel, dropout=config.dropout,
            num_mels=config.num_mels, frames_per_unit=times.frames_per_unit, num_speakers=len(names),
        )  # fmt: skip
        bands_NF = torch.cat([own.mel_TF for own in train])
        pieces = _pieces(train, config, times.frames_per_unit)
        trainer = Trainer(config, VocoderMaterial(config, shape, bands_NF, pieces), folder)
        trainer.train()
        net = trainer.averaged()
        assert isinstance(net, UnitToMel)
        about = About(
            kind="mel", k=unit_set.k, codebook=unit_set.about["codebook"], sampling_rate=features.sampling_rate,
            frames_per_second=unit_set.times.frames_per_second, first_sample=times.first_sample, speakers=tuple(names),
            network=shape.model_dump(mode="json"), features=features,
        )  # fmt: skip
        measured = _measure(Vocoder(about, net.cpu()), dev, bands_NF.mean(0), config)
        save_vocoder(folder, about.model_copy(update={"measured": measured}), net)
        print(_table(measured, len(dev)))

    inputs = {"cuts": manifest_path(cuts), "units": units / UNITS_FILE, "about": units / ABOUT_FILE}
    audio = [audio_path(cut) for cut in chosen]
    if make_artifact(
        out, command="units vocoder-train", config=config, inputs=inputs, audio=audio, build=build, force=force,
        resumable=True, scratch=CHECKPOINTS,
    ):  # fmt: skip
        print(f"{out}: a vocoder for {unit_set.k} units")


@dataclass(frozen=True)
class MelTimes:
    """How frames of bands lie below units: so many each, the first centred at this sample of a recording."""

    frames_per_unit: int
    first_sample: int


def mel_of_units(units: UnitSet, config: VocoderConfig) -> tuple[FeatureConfig, MelTimes]:
    """Features whose frames divide the time of a unit evenly, and where they lie.

    Raises:
        SpeechkitError: a unit is no whole number of samples.
    """
    rate, times = int(units.about["sampling_rate"]), units.times
    many = max(1, math.ceil(1000 / times.frames_per_second / config.max_hop_ms - 1e-6))
    hop = rate / times.frames_per_second / many
    if abs(hop - round(hop)) > 1e-3:
        raise SpeechkitError(
            f"{times.frames_per_second:g} units per second are no whole number of samples at {rate} Hz"
        )
    features = FeatureConfig(
        sampling_rate=rate, num_mels=config.num_mels, frame_ms=config.frame_ms, hop_ms=1000 * round(hop) / rate,
        low_hz=40.0, high_hz=rate / 2, normalize="none",
    )  # fmt: skip
    first = times.first_centre_seconds * rate - (many - 1) / 2 * hop
    return features, MelTimes(many, max(0, round(first)))


def _raw(samples_S: Floats) -> Floats:
    return samples_S[:, None]


def _speaker_of(plain: dict[str, object]) -> str:
    supervisions = plain.get("supervisions") or [{}]
    return str(supervisions[0].get("speaker") or "")  # type: ignore[index]


def _read(
    units: UnitSet, utterances: Sequence[Utterance], speakers: Sequence[int], features: FeatureConfig,
    times: MelTimes, *, num_jobs: int,
) -> list[_Spoken]:  # fmt: skip
    """Units and bands of every utterance; bands that a recording is too short for are those of silence behind it."""
    samples = Extractor(features.sampling_rate, 1, units.times, _raw)
    spoken = []
    found = log.track(frames_of(utterances, samples, num_jobs=num_jobs), "reading", total=len(utterances))
    for number, (utt, samples_S1) in enumerate(found):
        frames_T = units.frames(number)
        size = len(frames_T) * times.frames_per_unit
        own_S = torch.from_numpy(samples_S1[times.first_sample :, 0].copy())
        wanted = (size - 1) * features.hop_samples + 1
        own_S = nn.functional.pad(own_S, (0, max(0, wanted - len(own_S))))
        mel_TF = log_mel(own_S[None], torch.tensor([len(own_S)]), features)[0][0, :size]
        spoken.append(_Spoken(utt.utt_id, speakers[number], frames_T, mel_TF))
    return spoken


def _held_out(ids: Sequence[str], config: VocoderConfig) -> set[str]:
    """Utterances drawn by their ids, at least one and never all."""
    order = sorted(ids, key=lambda utt_id: rng(config.seed, "held out", utt_id).random())
    return set(order[: min(len(ids) - 1, max(1, round(config.held_out * len(ids))))])


@dataclass(frozen=True)
class _Piece:
    """A stretch of an utterance to learn from."""

    piece_id: str
    units_N: Labels
    runs_N: Labels
    speaker: int
    mel_TF: Tensor

    @property
    def num_frames(self) -> int:
        return int(self.runs_N.sum())


def _pieces(spoken: Sequence[_Spoken], config: VocoderConfig, frames_per_unit: int) -> list[_Piece]:
    pieces = []
    for own in spoken:
        for start in range(0, len(own.frames_T), config.segment_frames):
            end = start + config.segment_frames
            units_N, runs_N = merge_runs(own.frames_T[start:end])
            mel_TF = own.mel_TF[start * frames_per_unit : end * frames_per_unit]
            pieces.append(_Piece(f"{own.utt_id}#{start}", units_N, runs_N, own.speaker, mel_TF))
    return pieces


@dataclass
class VocoderMaterial:
    """Pieces of utterances, their units and bands."""

    config: VocoderConfig
    shape: VocoderShape
    bands_NF: Tensor
    pieces: list[_Piece]

    def make_model(self) -> nn.Module:
        """The network before training, with the mean and deviation of the bands."""
        net = UnitToMel(self.shape)
        net.mean_F.copy_(self.bands_NF.mean(0))
        net.std_F.copy_(self.bands_NF.std(0, correction=0).clamp(min=0.1))
        return net

    def epoch(self, epoch: int) -> list[_Piece]:
        """All pieces."""
        return self.pieces

    def sizes(self, pieces: Sequence[_Piece], epoch: int) -> np.ndarray:
        """Frames of units of each piece (N,)."""
        return np.array([piece.num_frames for piece in pieces], float)

    def largest(self) -> np.ndarray:
        """The same of all: nothing grows."""
        return self.sizes(self.pieces, 0)

    def make_batch(self, pieces: Sequence[_Piece], epoch: int) -> VocoderBatch:
        """Padded pieces; which speakers are hidden is drawn by seed, epoch and piece."""
        units_BN, runs_BN = (
            nn.utils.rnn.pad_sequence([torch.from_numpy(part.astype(np.int64)) for part in parts], batch_first=True)
            for parts in ([own.units_N for own in pieces], [own.runs_N for own in pieces])
        )
        return VocoderBatch(
            [own.piece_id for own in pieces], units_BN, runs_BN,
            RunLengths.of([own.units_N for own in pieces], [own.runs_N for own in pieces]),
            torch.tensor([0 if self._is_hidden(own, epoch) else own.speaker for own in pieces]),
            nn.utils.rnn.pad_sequence([own.mel_TF for own in pieces], batch_first=True),
        )  # fmt: skip

    def _is_hidden(self, piece: _Piece, epoch: int) -> bool:
        draw = rng(self.config.seed, "hidden speakers", epoch, piece.piece_id)
        return bool(draw.random() < self.config.any_speaker)

    def describe(self) -> str:
        """Frames of units in all."""
        return f"{int(self.largest().sum())} frames"

    def look(self, model: nn.Module, device: torch.device) -> tuple[str, dict[str, Any]] | None:
        """Nothing on the way: held-out utterances are turned into audio at the end."""
        return None

    def verdict(self, model: nn.Module, device: torch.device) -> dict[str, Any]:
        """Nothing: `vocoder.json` has what was measured."""
        return {}


def distance_db(made_TF: Tensor, given_TF: Tensor) -> float:
    """Mean absolute difference of log-mel bands, in dB."""
    return _DB * float((made_TF - given_TF).abs().mean())


def _measure(vocoder: Vocoder, dev: Sequence[_Spoken], mean_F: Tensor, config: VocoderConfig) -> dict[str, float]:
    """Distances on held-out utterances in dB: of bands, of audio, of audio from the true bands, of the mean frame."""
    features = vocoder.about.features
    assert features is not None
    settings = ResynthConfig(seed=config.seed)
    found: dict[str, list[float]] = {name: [] for name in ("bands", "audio", "copy", "mean", "frames", "predicted")}
    for own in dev[:_MAX_MEASURED]:
        made_TF = vocoder.log_mel(own.frames_T, speaker_id=own.speaker)
        pairs = {"bands": made_TF, "mean": mean_F.expand_as(own.mel_TF)}
        for name, bands_TF in (("audio", made_TF), ("copy", own.mel_TF)):
            generator = torch.Generator().manual_seed(derive_seed(config.seed, "phases", own.utt_id, bits=63))
            samples_S = audio_of_log_mel(bands_TF, features, generator=generator, iterations=settings.iterations)
            pairs[name] = log_mel(samples_S[None], torch.tensor([len(samples_S)]), features)[0][0]
        for name, bands_TF in pairs.items():
            found[name].append(distance_db(bands_TF, own.mel_TF) * len(own.frames_T))
        found["frames"].append(len(own.frames_T))
        found["predicted"].append(float(vocoder.run_lengths(merge_runs(own.frames_T)[0]).sum()))
    frames = sum(found["frames"])
    distances = {f"{name}_db": round(sum(found[name]) / frames, 4) for name in ("bands", "audio", "copy", "mean")}
    return {**distances, "duration_ratio": round(sum(found["predicted"]) / frames, 4)}


def _table(measured: dict[str, float], num_held_out: int) -> str:
    return (
        f"log-mel distance on {counted(min(num_held_out, _MAX_MEASURED), 'held-out utterance')}: "
        f"{measured['audio_db']:.2f} dB of the audio, {measured['bands_db']:.2f} of the predicted bands, "
        f"{measured['copy_db']:.2f} of audio from the true bands, {measured['mean_db']:.2f} of the mean frame; "
        f"predicted run lengths give {100 * measured['duration_ratio']:.1f} % of the true duration"
    )
