"""Codebooks: centres, what they are centres of, and a fingerprint that everything made with them carries.

Folder: `codebook.safetensors` (centres (K, D), and mean and std (D,) where frames are scaled, float32) and
`codebook.json` (features, rates, K, D, fingerprint, how well it fits).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pydantic
import safetensors
import safetensors.numpy

from speechkit.artifact import publish_file, write_json
from speechkit.errors import SpeechkitError
from speechkit.fingerprint import hash_of
from speechkit.units.config import Features, HfConfig, SslConfig
from speechkit.units.extractor import Extractor, Floats, FrameTimes
from speechkit.units.features import make_extractor
from speechkit.units.kmeans import Assigner, Labels, Scale

TENSORS_FILE, CODEBOOK_FILE = "codebook.safetensors", "codebook.json"
FORMAT = 1
_FEATURES: pydantic.TypeAdapter[Features] = pydantic.TypeAdapter(Features)
_PLACES = ("checkpoint", "folder", "device")  # where a model lies or runs says nothing about its features


@dataclass(frozen=True)
class Codebook:
    """Centres of frames of one kind.

    Attributes:
        model_print: fingerprint of the weights of a neural model, else an empty text.
        notes: how it was made; no part of the fingerprint.
    """

    centres_KD: Floats
    features: Features
    sampling_rate: int
    times: FrameTimes
    model_print: str
    scale: Scale | None
    notes: dict[str, Any]

    @property
    def k(self) -> int:
        """Number of units."""
        return len(self.centres_KD)

    @property
    def dim(self) -> int:
        """Values per frame."""
        return int(self.centres_KD.shape[1])

    @cached_property
    def fingerprint(self) -> str:
        """What units depend on, as one hash."""
        features = {name: value for name, value in self.features.model_dump(mode="json").items() if name not in _PLACES}
        tensors = [] if self.scale is None else [self.scale.mean, self.scale.std]
        digests = [hashlib.sha256(tensor.tobytes()).hexdigest() for tensor in [self.centres_KD, *tensors]]
        return hash_of({"features": features, "model": self.model_print, "tensors": digests})

    @cached_property
    def _assign(self) -> Assigner:
        return Assigner(self.centres_KD)

    def encode(self, frames_TD: Floats) -> Labels:
        """The unit of each frame (T,); the result does not depend on other utterances."""
        return self._assign(self.scale(frames_TD) if self.scale else frames_TD)

    def extractor(self, *, model: str | None = None, device: str = "cpu") -> Extractor:
        """What makes the frames of this codebook.

        Args:
            model: where the weights of a neural model lie now, if not where they lay.
        Raises:
            SpeechkitError: what it makes does not fit the centres.
        """
        config = self.features
        if isinstance(config, SslConfig | HfConfig):
            place = "checkpoint" if isinstance(config, SslConfig) else "folder"
            changes = {"device": device, **({} if model is None else {place: model})}
            config = config.model_copy(update=changes)
        extractor = make_extractor(config)
        check_fit(self, extractor)
        return extractor

    def save(self, folder: Path) -> None:
        """Write both files; the same codebook gives the same bytes."""
        tensors = {"centres": self.centres_KD}
        if self.scale is not None:
            tensors |= {"mean": self.scale.mean, "std": self.scale.std}
        with publish_file(folder / TENSORS_FILE, "wb") as stream:
            stream.write(safetensors.numpy.save(tensors))
        about = {
            "format": FORMAT,
            "fingerprint": self.fingerprint,
            "k": self.k,
            "dim": self.dim,
            "sampling_rate": self.sampling_rate,
            "frames_per_second": self.times.frames_per_second,
            "first_centre_seconds": self.times.first_centre_seconds,
            "model_fingerprint": self.model_print,
            "features": self.features.model_dump(mode="json"),
            **self.notes,
        }
        write_json(folder / CODEBOOK_FILE, about)


def codebook_of(
    centres_KD: Floats, features: Features, extractor: Extractor, *, scale: Scale | None, notes: dict[str, Any]
) -> Codebook:
    """A codebook for the frames of an extractor.

    Raises:
        SpeechkitError: the centres do not fit.
    """
    centres_KD = np.ascontiguousarray(centres_KD, dtype=np.float32)
    book = Codebook(centres_KD, features, extractor.sampling_rate, extractor.times, extractor.model_print, scale, notes)
    check_fit(book, extractor)
    return book


def check_fit(book: Codebook, extractor: Extractor) -> None:
    """Raise SpeechkitError when frames of this extractor are not what the centres are centres of."""
    kind = book.features.kind
    if book.dim != extractor.dim:
        raise SpeechkitError(
            f"the centres have {book.dim} values, frames of the features `{kind}` have {extractor.dim}",
            hint="--set features... says what the centres were made from: number of coefficients, deltas, layer, model",
        )
    if (book.sampling_rate, book.times) != (extractor.sampling_rate, extractor.times):
        raise SpeechkitError(
            f"the codebook is for {book.sampling_rate} Hz and {book.times.frames_per_second:g} frames per second, "
            f"its features are of {extractor.sampling_rate} Hz and {extractor.times.frames_per_second:g}",
            hint="make the codebook again",
        )
    if book.model_print != extractor.model_print:
        raise SpeechkitError(
            "the weights of the model are not those that the codebook was made with",
            where=f"found {extractor.model_print[:12]}, made with {book.model_print[:12]}",
            hint="give the file of then with --model, or make the codebook again",
        )


def load_codebook(folder: Path) -> Codebook:
    """The codebook in a folder.

    Raises:
        SpeechkitError: a file is missing, damaged, or was changed after it was made.
    """
    about_path, tensors_path = folder / CODEBOOK_FILE, folder / TENSORS_FILE
    for path in (about_path, tensors_path):
        if not path.is_file():
            raise SpeechkitError(f"`{path}` is missing", expected="a folder made by `speechkit units kmeans`")
    try:
        about = json.loads(about_path.read_text(encoding="utf-8"))
        if about["format"] != FORMAT:
            raise SpeechkitError(f"`{about_path}` has format {about['format']}", expected=f"format {FORMAT}")
        tensors = safetensors.numpy.load(tensors_path.read_bytes())
        centres_KD = tensors["centres"]
        scale = Scale(tensors["mean"], tensors["std"]) if "mean" in tensors else None
        times = FrameTimes(float(about["frames_per_second"]), float(about["first_centre_seconds"]))
        features = _FEATURES.validate_python(about["features"])
        book = Codebook(
            centres_KD, features, int(about["sampling_rate"]), times, str(about["model_fingerprint"]), scale, {}
        )
    except (ValueError, KeyError, TypeError, AttributeError, safetensors.SafetensorError) as error:
        raise SpeechkitError(f"`{folder}` is no codebook: {type(error).__name__}: {error}") from None
    is_sound = centres_KD.dtype == np.float32 and centres_KD.shape == (about.get("k"), about.get("dim"))
    if not is_sound or book.fingerprint != about["fingerprint"]:
        raise SpeechkitError(
            f"the codebook `{folder}` was changed after it was made: features, centres and fingerprint do not agree",
            hint="make it again, or import its centres with `speechkit units import`",
        )
    return book
