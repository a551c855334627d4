"""`speechkit units kmeans`: a manifest in, a codebook out; an interrupted run goes on where it stood."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from speechkit import log
from speechkit.artifact import make_artifact, publish_file, write_json
from speechkit.data.batch import Utterance
from speechkit.data.overlap import TRAINING_SET_FILE, heard_of_cuts, training_set
from speechkit.data.store import audio_path, load_cuts
from speechkit.data.stream import manifest_path
from speechkit.errors import counted
from speechkit.rng import rng
from speechkit.units.codebook import codebook_of, load_codebook
from speechkit.units.config import HfConfig, KmeansConfig, SslConfig
from speechkit.units.extractor import Extractor, Floats
from speechkit.units.features import make_extractor
from speechkit.units.kmeans import Scale, State, fit
from speechkit.units.sounds import frames_of, sounds_of

_WORK = "work"
_FRAMES, _PROGRESS, _STATE = "frames.f32", "frames.json", "state.safetensors"
_CHUNK = 256  # utterances between two notes of what is on disk


def run(config: KmeansConfig, *, cuts: Path, out: Path, num_jobs: int = 1, force: bool = False) -> None:
    """Make a codebook from the audio of a manifest.

    Raises:
        SpeechkitError: audio that can not be used, or fewer different frames than centres.
    """
    extractor = make_extractor(config.features)
    found = list(load_cuts(cuts))
    utterances = sounds_of(found, extractor)

    def build(folder: Path) -> None:
        work = folder / _WORK
        work.mkdir(exist_ok=True)
        frames_ND = _store_frames(utterances, extractor, config, work, num_jobs=num_jobs)
        scale = _scale_of(frames_ND) if config.features.normalize == "global" else None
        state = fit(
            frames_ND, config, num_jobs=num_jobs, scale=scale, state=_load_state(work), save=lambda s: _save(s, work)
        )
        last = state.history[-1]
        notes = {
            "num_utterances": len(utterances),
            "num_frames": len(frames_ND),
            "inertia_per_frame": last["inertia"],
            "passes": state.history,
        }
        codebook_of(state.centres_KD, config.features, extractor, scale=scale, notes=notes).save(folder)
        heard = training_set(heard_of_cuts(found))
        # sounds were clustered, not texts
        values = {key: own[:0] if key.startswith("text") else own for key, own in heard.values.items()}
        replace(heard, values=values).save(folder / TRAINING_SET_FILE)

    inputs = {"cuts": manifest_path(cuts)}
    if isinstance(config.features, SslConfig) and config.features.checkpoint:
        inputs["checkpoint"] = Path(config.features.checkpoint)
    if isinstance(config.features, HfConfig) and config.features.folder:
        inputs["model"] = Path(config.features.folder)
    if make_artifact(
        out,
        command="units kmeans",
        config=config,
        inputs=inputs,
        audio=[audio_path(cut) for cut in found],
        build=build,
        force=force,
        resumable=True,
        scratch=_WORK,
    ):
        book = load_codebook(out)
        print(f"{out}: {book.k} units of {book.dim} values, {book.times.frames_per_second:g} frames per second")


def _store_frames(
    utterances: list[Utterance], extractor: Extractor, config: KmeansConfig, work: Path, *, num_jobs: int
) -> Floats:
    """The frames to train on, in a file (N, D); what an interrupted run has stored is kept."""
    done, num_frames = _progress(work)
    seconds = sum(utt.duration_seconds for utt in utterances)
    share = config.max_frames / max(1.0, seconds * extractor.times.frames_per_second)
    path = work / _FRAMES
    with path.open("r+b" if done else "wb") as stream:
        stream.truncate(num_frames * extractor.dim * 4)
        stream.seek(0, 2)
        while done < len(utterances):
            chunk = utterances[done : done + _CHUNK]
            for utt, frames_TD in frames_of(chunk, extractor, num_jobs=num_jobs):
                drawn_T = rng(config.seed, "frames", utt.utt_id).random(len(frames_TD)) < share
                stream.write(frames_TD[drawn_T].tobytes())
                num_frames += int(drawn_T.sum())
            stream.flush()
            done += len(chunk)
            log.info(f"frames of {done}/{counted(len(utterances), 'utterance')}")
            write_json(work / _PROGRESS, {"utterances": done, "frames": num_frames})
    kept = "" if share >= 1 else f", {100 * share:.1f} % of them drawn"
    log.info(f"{num_frames} frames of {counted(len(utterances), 'utterance')}, {seconds / 60:.1f} minutes{kept}")
    if num_frames == 0:
        return np.zeros((0, extractor.dim), np.float32)
    return np.memmap(path, np.float32, "c", shape=(num_frames, extractor.dim))


def _progress(work: Path) -> tuple[int, int]:
    if not (work / _PROGRESS).is_file():
        return 0, 0
    progress = json.loads((work / _PROGRESS).read_text(encoding="utf-8"))
    return int(progress["utterances"]), int(progress["frames"])


def _scale_of(frames_ND: Floats) -> Scale:
    """Mean and standard deviation of all frames."""
    sums, squares = np.zeros(frames_ND.shape[1]), np.zeros(frames_ND.shape[1])
    for start in range(0, len(frames_ND), _CHUNK * 64):
        block = np.asarray(frames_ND[start : start + _CHUNK * 64], dtype=np.float64)
        sums += block.sum(axis=0)
        squares += np.square(block).sum(axis=0)
    mean = sums / max(1, len(frames_ND))
    variance = np.maximum(squares / max(1, len(frames_ND)) - mean * mean, 0)
    return Scale(mean.astype(np.float32), (np.sqrt(variance) + 1e-3).astype(np.float32))


def _save(state: State, work: Path) -> None:
    about: dict[str, Any] = {"history": state.history, "is_done": state.is_done}
    tensors: dict[str, np.ndarray] = {"centres": state.centres_KD, "weights": state.weights_K}
    with publish_file(work / _STATE, "wb") as stream:
        stream.write(safetensors.numpy.save(tensors, {"state": json.dumps(about)}))


def _load_state(work: Path) -> State | None:
    path = work / _STATE
    if not path.is_file():
        return None
    with safetensors.safe_open(path, "numpy") as stored:
        about = json.loads(stored.metadata()["state"])
        centres, weights = stored.get_tensor("centres"), stored.get_tensor("weights")
    log.info(f"goes on after {len(about['history'])} passes")
    return State(centres, weights, about["history"], about["is_done"])
