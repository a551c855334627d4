"""`speechkit units import`: codebooks made elsewhere, as npy, npz, safetensors, or k-means of scikit-learn.

The `km.bin` of GSLM and textless-lib is a joblib dump of scikit-learn's MiniBatchKMeans.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from speechkit.artifact import make_artifact
from speechkit.errors import ConfigError, SpeechkitError
from speechkit.units.codebook import codebook_of
from speechkit.units.config import ImportConfig
from speechkit.units.extractor import Floats
from speechkit.units.features import make_extractor
from speechkit.units.pickle_reader import read_pickle

_NAMES = ("cluster_centers_", "centres", "centers", "cluster_centers", "centroids", "codebook")


def run(config: ImportConfig, source: Path, *, out: Path, force: bool = False) -> None:
    """Make a codebook folder of the centres in a file.

    Raises:
        SpeechkitError: the file holds no centres, something that could run code, or centres of other features.
        ConfigError: global normalisation, whose mean and deviation no file holds.
    """
    if config.features.normalize == "global":
        raise ConfigError("imported centres have no mean and deviation with them", expected="normalize utterance, none")
    extractor = make_extractor(config.features)
    centres_KD, name = read_centres(source, config.name)

    def build(folder: Path) -> None:
        notes = {"imported": {"file": source.name, "array": name}}
        codebook_of(centres_KD, config.features, extractor, scale=None, notes=notes).save(folder)

    if make_artifact(out, command="units import", config=config, inputs={"source": source}, build=build, force=force):
        print(f"{out}: {len(centres_KD)} units of {centres_KD.shape[1]} values, from `{name}` of {source}")


def read_centres(path: Path, name: str | None = None) -> tuple[Floats, str]:
    """The centres (K, D) in a file, float32, and the name of their array.

    Raises:
        SpeechkitError: as `run`.
    """
    if not path.is_file():
        raise SpeechkitError(f"`{path}` does not exist")
    arrays = _read_arrays(path)
    shown = [f"{key}  {'x'.join(map(str, array.shape))} {array.dtype}" for key, array in arrays.items()]
    flat = [key for key, array in arrays.items() if array.ndim == 2]
    if name is None:
        name = next((known for known in _NAMES if known in flat), flat[0] if len(flat) == 1 else None)
    if name is None or name not in arrays:
        raise SpeechkitError(
            f"`{path}` holds no array `{name}`" if name else f"which array of `{path}` holds the centres is not clear",
            where=shown or "it holds no arrays",
            hint="--array NAME",
        )
    array = arrays[name]
    if array.ndim != 2 or array.dtype.kind != "f" or len(array) < 2 or not np.isfinite(array).all():
        raise SpeechkitError(
            f"`{name}` of `{path}` is no table of centres", where=shown, expected="finite floats, a centre a row"
        )
    return np.ascontiguousarray(array, dtype=np.float32), name


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    with path.open("rb") as stream:
        head = stream.read(8)
    try:
        if head.startswith(b"\x93NUMPY"):
            return {"array": np.load(path, allow_pickle=False)}
        if head.startswith(b"PK"):
            with np.load(path, allow_pickle=False) as stored:
                return {key: stored[key] for key in stored.files if f"{key}.npy" in stored.zip.namelist()}
        if path.suffix == ".safetensors":
            return dict(safetensors.numpy.load(path.read_bytes()))
    except (ValueError, OSError, KeyError, EOFError, zipfile.BadZipFile, safetensors.SafetensorError) as error:
        raise SpeechkitError(f"`{path}` can not be read as arrays: {error}") from None
    return read_pickle(path)
