"""Codebooks from elsewhere: what is read, and that nothing a pickle names is ever run."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import pickle
import sys
import types
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from speechkit.errors import ConfigError, SpeechkitError
from speechkit.units.codebook import load_codebook
from speechkit.units.config import ImportConfig, LogMelConfig, MfccConfig
from speechkit.units.importers import read_centres, run

CENTRES = np.random.default_rng(0).standard_normal((5, 39)).astype(np.float32)


@pytest.fixture
def estimator(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Makes what pickles as scikit-learn's MiniBatchKMeans does, without scikit-learn."""
    module = types.ModuleType("sklearn.cluster._kmeans")
    cls = type("MiniBatchKMeans", (), {"__module__": module.__name__})
    module.MiniBatchKMeans = cls  # type: ignore[attr-defined]
    for name in ("sklearn", "sklearn.cluster"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)

    def make(centres: np.ndarray = CENTRES, **fields: object) -> Any:
        kmeans = cls()
        kmeans.__dict__ = {"n_clusters": 5, "tol": 0.0, "cluster_centers_": centres, "inertia_": np.float64(3.5)}
        kmeans.__dict__ |= {"random_state_": np.random.RandomState(1), "_sklearn_version": "1.5.0", **fields}
        return kmeans

    return make


def joblib_dump(value: object, *, alignment: int | None = 16) -> bytes:
    """The layout of joblib: arrays are wrappers in the pickle, their bytes follow where they are built."""
    wrapper = type("NumpyArrayWrapper", (), {"__module__": "joblib.numpy_pickle"})
    module = types.ModuleType("joblib.numpy_pickle")
    module.NumpyArrayWrapper = wrapper  # type: ignore[attr-defined]
    sys.modules |= {"joblib": types.ModuleType("joblib"), "joblib.numpy_pickle": module}
    stream = io.BytesIO()

    class Pickler(pickle._Pickler):  # type: ignore[name-defined,misc]
        def save(self, item: object, save_persistent_id: bool = True) -> None:
            if not isinstance(item, np.ndarray):
                super().save(item)
                return
            shell = wrapper()
            is_fortran = item.flags.f_contiguous and not item.flags.c_contiguous
            shell.__dict__ = {"subclass": np.ndarray, "shape": item.shape, "order": "F" if is_fortran else "C"}
            shell.__dict__ |= {"dtype": item.dtype, "allow_mmap": True, "numpy_array_alignment_bytes": alignment}
            super().save(shell)
            self.framer.commit_frame(force=True)
            if alignment is not None:
                padding = -(stream.tell() + 1) % alignment
                stream.write(bytes([padding]) + b"\xff" * padding)
            stream.write(item.tobytes("F" if is_fortran else "C"))

    try:
        Pickler(stream, protocol=4).dump(value)
    finally:
        for name in ("joblib", "joblib.numpy_pickle"):
            del sys.modules[name]
    return stream.getvalue()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickled_kmeans_gives_its_centres(estimator: Callable[..., Any], tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "km.pkl"
    path.write_bytes(pickle.dumps(estimator(), protocol=protocol))
    centres, name = read_centres(path)
    assert name == "cluster_centers_"
    assert centres.tobytes() == CENTRES.tobytes()


@pytest.mark.parametrize("alignment", [16, None])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f4", "<f8", ">f4"])
def test_a_joblib_file_such_as_km_bin_gives_its_centres(
    estimator: Callable[..., Any], tmp_path: Path, alignment: int | None, order: Any, dtype: str
) -> None:
    path = tmp_path / "km.bin"
    stored = np.array(CENTRES, dtype=dtype, order=order)
    path.write_bytes(joblib_dump(estimator(stored, labels_=np.arange(9, dtype=np.int32)), alignment=alignment))
    assert np.array_equal(read_centres(path)[0], CENTRES)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zlib.compress])
def test_compressed_files_are_unpacked(
    estimator: Callable[..., Any], tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "km.bin"
    path.write_bytes(pack(joblib_dump(estimator())))
    assert np.array_equal(read_centres(path)[0], CENTRES)


def test_plain_arrays_are_read(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", CENTRES)
    np.savez(tmp_path / "b.npz", centroids=CENTRES, counts=np.ones(5))
    safetensors.numpy.save_file({"centres": CENTRES}, tmp_path / "c.safetensors")
    (tmp_path / "d.pkl").write_bytes(pickle.dumps({"what": CENTRES.astype(np.float64)}))
    (tmp_path / "e.pkl").write_bytes(pickle.dumps(CENTRES))
    for name in ("a.npy", "b.npz", "c.safetensors", "d.pkl", "e.pkl"):
        assert np.array_equal(read_centres(tmp_path / name)[0], CENTRES), name


def test_which_of_several_arrays_must_be_clear(tmp_path: Path) -> None:
    path = tmp_path / "two.npz"
    np.savez(path, one=CENTRES, two=CENTRES + 1)
    with pytest.raises(SpeechkitError, match="not clear") as unclear:
        read_centres(path)
    assert "one  5x39 float32" in unclear.value.where
    assert np.array_equal(read_centres(path, "two")[0], CENTRES + 1)
    with pytest.raises(SpeechkitError, match="no array `three`"):
        read_centres(path, "three")


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("dump", [pickle.dumps, joblib_dump, lambda x: gzip.compress(pickle.dumps(x, protocol=0))])
def test_code_in_a_pickle_is_refused_by_name_and_not_run(
    estimator: Callable[..., Any], tmp_path: Path, dump: Callable[[object], bytes]
) -> None:
    path = tmp_path / "km.bin"
    path.write_bytes(dump(estimator(extra=Bomb(tmp_path / "ran"))))
    with pytest.raises(SpeechkitError, match=r"`(posix|nt)\.mkdir`, which is not read"):
        read_centres(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "stream",
    [
        b"cos\nsystem\n(S'true'\ntR.",
        b"(S'true'\nios\nsystem\n.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"csklearn.cluster._kmeans\nMiniBatchKMeans.__init__.__globals__\n.",
        b"P1\n.",
    ],
)
def test_names_that_are_not_on_the_list_are_refused(tmp_path: Path, stream: bytes) -> None:
    path = tmp_path / "km.bin"
    path.write_bytes(stream)
    with pytest.raises(SpeechkitError, match="could run code"):
        read_centres(path)


def test_arrays_of_objects_and_other_shapes_are_refused(estimator: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "km.bin"
    path.write_bytes(pickle.dumps(estimator(np.array([[object]], dtype=object)), protocol=2))
    with pytest.raises(SpeechkitError, match="an array of objects, which is not read"):
        read_centres(path)
    path.write_bytes(pickle.dumps(estimator(np.zeros((2, 3, 4), np.float32))))
    with pytest.raises(SpeechkitError, match="not clear"):
        read_centres(path)
    path.write_bytes(pickle.dumps(estimator(np.full((3, 4), np.nan, np.float32))))
    with pytest.raises(SpeechkitError, match="no table of centres"):
        read_centres(path)
    np.save(tmp_path / "o.npy", np.array([[Path()]], dtype=object), allow_pickle=True)
    with pytest.raises(SpeechkitError, match="can not be read as arrays"):
        read_centres(tmp_path / "o.npy")


def test_a_cut_or_odd_file_ends_in_a_message_wherever_it_is_cut(estimator: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "km.bin"
    for whole in (joblib_dump(estimator()), pickle.dumps(estimator(), protocol=0), gzip.compress(b"\x80\x04N.")):
        for size in [*range(0, min(len(whole) - 1, 400), 7), len(whole) // 2]:
            path.write_bytes(whole[:size])
            with pytest.raises(SpeechkitError):
                read_centres(path)


def test_changed_bytes_end_in_a_message_or_in_arrays(estimator: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "km.bin"
    whole = joblib_dump(estimator())
    gen = np.random.default_rng(0)
    for _ in range(120):
        changed = bytearray(whole)
        for place in gen.integers(0, min(len(whole), 900), size=3):
            changed[place] = int(gen.integers(256))
        path.write_bytes(changed)
        try:
            read_centres(path)
        except SpeechkitError as error:
            assert str(path) in error.what


def test_an_imported_codebook_encodes(tmp_path: Path) -> None:
    np.save(tmp_path / "km.npy", CENTRES)
    features = MfccConfig(sampling_rate=8000, normalize="none")
    run(ImportConfig(features=features), tmp_path / "km.npy", out=tmp_path / "book")
    book = load_codebook(tmp_path / "book")
    assert (book.k, book.dim, book.sampling_rate) == (5, 39, 8000)
    assert book.encode(CENTRES).tolist() == [0, 1, 2, 3, 4]


def test_centres_of_other_features_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "km.npy", CENTRES)
    features = LogMelConfig(sampling_rate=8000, deltas=0, normalize="none")
    with pytest.raises(SpeechkitError, match="centres have 39 values, frames of the features `logmel` have 40"):
        run(ImportConfig(features=features), tmp_path / "km.npy", out=tmp_path / "book")
    assert not (tmp_path / "book").exists()
    with pytest.raises(ConfigError, match="no mean and deviation"):
        run(ImportConfig(features=MfccConfig()), tmp_path / "km.npy", out=tmp_path / "book")
