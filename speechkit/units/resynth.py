"""`speechkit units resynth`: units in, audio and a manifest out; and `units vocoder-import`."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from speechkit import log
from speechkit.artifact import make_artifact
from speechkit.audio.io import write_flac
from speechkit.data.store import load_cuts, make_cut, plain_cut, save_manifests
from speechkit.data.stream import manifest_path
from speechkit.errors import SpeechkitError, counted
from speechkit.models.table import check_device
from speechkit.units.config_vocoder import HifiganImportConfig, ResynthConfig
from speechkit.units.extractor import Floats
from speechkit.units.hifigan import read_hifigan, shape_of
from speechkit.units.unit_file import ABOUT_FILE, UNITS_FILE, UnitSet, check_run_lengths, load_units, merge_runs
from speechkit.units.vocoder import (
    MODEL_FILE,
    VOCODER_FILE,
    About,
    Vocoder,
    check_units,
    load_vocoder,
    save_vocoder,
)

_FILES_PER_FOLDER = 1000
_AHEAD = 64


def run(
    config: ResynthConfig,
    *,
    units: Path,
    vocoder: Path,
    out: Path,
    cuts: Path | None = None,
    num_jobs: int = 1,
    force: bool = False,
) -> None:
    """Turn units into audio.

    Args:
        cuts: a manifest with texts and speakers of these ids, which the new one takes over.
    Raises:
        SpeechkitError: vocoder and units do not belong together, or the manifest lacks utterances.
    """
    check_device(config.device)
    unit_set = load_units(units)
    loaded = load_vocoder(vocoder, device=config.device)
    about = unit_set.about
    rate = float(about["frames_per_second"])
    check_units(loaded.about, k=unit_set.k, codebook=about["codebook"], frames_per_second=rate)
    if config.durations == "given":
        check_run_lengths(unit_set, units)
    loaded.speaker_id(config.speaker)
    texts = {} if cuts is None else _texts_of(unit_set, cuts)

    def build(folder: Path) -> None:
        torch.set_num_threads(1)
        found, seconds = [], 0.0
        for number, samples in enumerate(log.track(_sounds(unit_set, loaded, config, num_jobs), "speaking")):
            utt_id = unit_set.ids[number]
            name = Path("audio", f"{number // _FILES_PER_FOLDER:03d}", f"{number:06d}.flac")
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            write_flac(folder / name, samples, loaded.about.sampling_rate)
            text, speaker = texts.get(utt_id, ("", ""))
            found.append(
                make_cut(
                    utt_id, folder.resolve() / name, sampling_rate=loaded.about.sampling_rate,
                    num_samples=len(samples), text=text, speaker=config.speaker or speaker,
                )
            )  # fmt: skip
            seconds += len(samples) / loaded.about.sampling_rate
        save_manifests(found, folder)
        print(f"{out}: {counted(len(found), 'utterance')}, {seconds / 60:.1f} minutes")

    inputs = {
        "units": units / UNITS_FILE,
        "about": units / ABOUT_FILE,
        "vocoder": vocoder / VOCODER_FILE,
        "weights": vocoder / MODEL_FILE,
        **({} if cuts is None else {"cuts": manifest_path(cuts)}),
    }
    make_artifact(out, command="units resynth", config=config, inputs=inputs, build=build, force=force)


def _sounds(units: UnitSet, vocoder: Vocoder, config: ResynthConfig, num_jobs: int) -> Iterator[Floats]:
    """The audio of each utterance, in order; the number of threads does not change a bit of it."""

    def speak(number: int) -> Floats:
        frames_T = units.frames(number)
        if config.durations == "predicted":
            own_N, _ = merge_runs(frames_T)
            frames_T = np.repeat(own_N, vocoder.run_lengths(own_N))
        samples = vocoder(units.ids[number], frames_T, config)
        return np.pad(samples, (vocoder.about.first_sample, 0))

    with ThreadPoolExecutor(num_jobs) as pool:
        for start in range(0, len(units.ids), step := _AHEAD * num_jobs):
            yield from pool.map(speak, range(start, min(start + step, len(units.ids))))


def _texts_of(units: UnitSet, cuts: Path) -> dict[str, tuple[str, str]]:
    """Text and speaker of each utterance of the units; an empty text where there is none."""
    found = {}
    for cut in load_cuts(cuts):
        supervision: dict[str, Any] = (plain_cut(cut).get("supervisions") or [{}])[0]
        found[cut.id] = (str(supervision.get("text") or ""), str(supervision.get("speaker") or ""))
    missing = [utt_id for utt_id in units.ids if utt_id not in found]
    if missing:
        raise SpeechkitError(f"the manifest lacks {len(missing)} utterances of the units", where=missing)
    return found


def import_hifigan(checkpoint: Path, config_file: Path, *, out: Path, force: bool = False) -> None:
    """Make a vocoder folder of a unit HiFi-GAN.

    Raises:
        SpeechkitError: the files are of something else.
    """
    shape = shape_of(config_file)
    net = read_hifigan(checkpoint, shape)

    def build(folder: Path) -> None:
        about = About(
            kind="hifigan", k=shape.num_embeddings, codebook=None, sampling_rate=shape.sampling_rate,
            frames_per_second=shape.sampling_rate / shape.hop_samples,
            speakers=tuple(str(number) for number in range(shape.num_speakers)), network=shape.model_dump(mode="json"),
        )  # fmt: skip
        save_vocoder(folder, about, net)
        times = "predicts run lengths" if shape.duration_hidden else "predicts no run lengths"
        voices = f", {counted(shape.num_speakers, 'voice')}" if shape.num_speakers else ""
        size = f"{shape.num_embeddings} units of {shape.hop_samples} samples at {shape.sampling_rate} Hz"
        print(f"{out}: {size}, {times}{voices}")

    inputs = {"checkpoint": checkpoint, "config": config_file}
    command = "units vocoder-import"
    make_artifact(out, command=command, config=HifiganImportConfig(), inputs=inputs, build=build, force=force)
