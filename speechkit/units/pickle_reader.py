"""Arrays inside pickles and joblib files, read without running anything that they name.

Every name that a pickle asks for is answered with an empty shell that only keeps what it is given, and only names on
a short list are answered at all. Arrays are rebuilt from their bytes by us. joblib writes the bytes of an array
behind its description, in the midst of the pickle. A small file can describe much: instructions, the sizes of what is
made, and tuples in tuples (Python hashes all of them again each time) are counted, and too many are refused.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import struct
import zlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np

from speechkit.errors import SpeechkitError

MAX_BYTES = 1 << 30
MAX_INSTRUCTIONS = 1 << 22
_MAX_NESTED = 1000  # tuples inside a tuple
_POINTER = 64  # bytes counted for an item of a list, dict, set or tuple
_TYPES = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1")
_ESTIMATORS = {
    f"{module}.{name}"
    for module in ("sklearn.cluster._kmeans", "sklearn.cluster.k_means_")
    for name in ("KMeans", "MiniBatchKMeans")
}
_WRAPPERS = {"joblib.numpy_pickle.NumpyArrayWrapper", "sklearn.externals.joblib.numpy_pickle.NumpyArrayWrapper"}
_RANDOM = {  # the generator inside an estimator; its state is of no use
    "numpy.random._pickle.__randomstate_ctor",
    "numpy.random._pickle.__bit_generator_ctor",
    "numpy.random._mt19937.MT19937",
    "numpy.random.__RandomState_ctor",
    "numpy.random.bit_generator.__pyx_unpickle_SeedSequence",
    "numpy.random.bit_generator.SeedSequence",
}


class Shell:
    """Stands for an object of a class that is not loaded; keeps its state."""

    name = ""
    state: Any = None  # also where nothing calls __init__

    def __new__(cls, *_args: object, **_fields: object) -> Shell:
        """Any arguments are taken and forgotten."""
        return object.__new__(cls)

    def __init__(self, *_args: object, **_fields: object) -> None:
        self.state: Any = None

    def __setstate__(self, state: object) -> None:
        self.state = state


class _Dtype(Shell):
    """A numpy dtype: its code, such as `f4`, and its byte order."""

    def __init__(self, code: object = "", *_flags: object) -> None:
        self.code, self.order = code if isinstance(code, str) else "", "<"

    def __setstate__(self, state: Any) -> None:
        self.order = {">": ">"}.get(state[1], "<")

    def dtype(self) -> np.dtype[Any]:
        """The same as a dtype of numbers."""
        if self.code not in _TYPES:
            raise Refused(f"an array of type `{self.code:.20}`")
        return np.dtype(self.order + self.code)


class _Array(Shell):
    """A numpy array as its bytes; `state` is (version, shape, dtype, is_fortran, bytes)."""

    def array(self) -> np.ndarray:
        """The same as an array."""
        _, shape, dtype, is_fortran, data = self.state
        if not isinstance(data, bytes | bytearray):
            raise Refused("an array of objects")
        return _array_of(data, shape, dtype, "F" if is_fortran else "C")


class Refused(Exception):
    """What was found and is not read."""


def _array_of(data: bytes | bytearray, shape: Any, dtype: Any, order: Any) -> np.ndarray:
    if not isinstance(dtype, _Dtype) or not all(type(size) is int and 0 <= size <= MAX_BYTES for size in shape):
        raise Refused("an array without a plain type and shape")
    return np.frombuffer(data, dtype.dtype()).reshape(shape, order="F" if order == "F" else "C")


def _from_buffer(data: Any, dtype: Any, shape: Any, order: Any) -> _Array:
    array = _Array()
    array.state = (1, shape, dtype, order == "F", data)
    return array


def _bytes(*content: Any) -> bytes:
    if content and not isinstance(content[0], bytes | bytearray):
        raise Refused("bytes made of something else")  # bytes(10**10) would fill the memory
    return bytes(*content[:1])


def _encode(text: str, encoding: str) -> bytes:
    # how old protocols write bytes
    if encoding != "latin1":
        raise Refused(f"text in the encoding `{encoding:.20}`")
    return text.encode("latin1")


def _known() -> dict[str, Any]:
    """What each name on the list is answered with."""
    shells = {name: type("Shell", (Shell,), {"name": name}) for name in _ESTIMATORS | _WRAPPERS | _RANDOM}
    table: dict[str, Any] = {**shells, "numpy.ndarray": _Array, "numpy.dtype": _Dtype, "_codecs.encode": _encode}
    for core in ("numpy.core", "numpy._core"):
        table |= {
            f"{core}.multiarray._reconstruct": lambda *_: _Array(),
            f"{core}.multiarray.scalar": lambda *_: Shell(),
            f"{core}.numeric._frombuffer": _from_buffer,
        }
    for base in ("builtins", "__builtin__"):
        table |= {f"{base}.object": Shell, f"{base}.bytes": _bytes, f"{base}.bytearray": _bytes}
    # protocols 0 and 1; a class that is answered at all is a shell
    table["copyreg._reconstructor"] = table["copy_reg._reconstructor"] = lambda cls, *_: cls()
    return table


KNOWN = _known()
_DISPATCH: dict[int, Callable[[Any], None]] = {**pickle._Unpickler.dispatch}


_MAKERS = {
    code: _DISPATCH[code[0]]
    for code in (
        *(pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3, pickle.FROZENSET),
        *(pickle.REDUCE, pickle.NEWOBJ, pickle.NEWOBJ_EX, pickle.OBJ, pickle.INST),
    )
}


class _Counted(dict[int, Callable[[Any], None]]):
    """What is done for each instruction, as often as is allowed."""

    left = MAX_INSTRUCTIONS

    def __getitem__(self, code: int) -> Callable[[Any], None]:
        self.left -= 1
        if self.left < 0:
            raise ValueError(f"more than {MAX_INSTRUCTIONS} instructions")
        return super().__getitem__(code)


def _weighed(do: Callable[[Any], None]) -> Callable[[Any], None]:
    def make(reader: Reader) -> None:
        do(reader)
        reader.weigh(reader.stack[-1])

    return make


class Reader(pickle._Unpickler):
    """Python's own unpickler with a closed list of names, and joblib's arrays."""

    known: ClassVar[Mapping[str, Any]] = KNOWN

    instructions: ClassVar[dict[int, Callable[[Any], None]]] = dict(_DISPATCH)
    stack: list[Any]
    read: Callable[[int], bytes]

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__(stream)
        self._source = stream
        self._num_bytes = 0
        self._nested: dict[int, tuple[Any, int]] = {}  # by id; the tuple itself is kept so that no other gets its id
        self.dispatch = _Counted(self.instructions)  # type: ignore[misc]

    def weigh(self, made: object) -> None:
        """Count what was made.  Raises: ValueError: it is too much."""
        if not isinstance(made, bytes | bytearray | str | list | tuple | dict | set | frozenset):
            return
        self._num_bytes += len(made) * (1 if isinstance(made, bytes | bytearray | str) else _POINTER)
        if self._num_bytes > MAX_BYTES:
            raise ValueError(f"more than {MAX_BYTES >> 20} MiB")
        if isinstance(made, tuple | frozenset):
            inner = [self._nested.get(id(item), (item, 1))[1] for item in made if isinstance(item, tuple | frozenset)]
            if sum(inner) > _MAX_NESTED:
                raise ValueError(f"more than {_MAX_NESTED} tuples in one another")
            if inner:
                self._nested[id(made)] = made, 1 + sum(inner)

    def find_class(self, module: str, name: str) -> Any:
        """The shell for a name.  Raises: Refused: the name is not on the list."""
        answer = self.known.get(f"{module}.{name}")
        if answer is None:
            raise Refused(f"the name `{module}.{name}`")
        return answer

    def persistent_load(self, pid: object) -> Any:
        """Nothing lies outside the file."""
        raise Refused("a reference to something outside the file")

    def _build(self) -> None:
        top = self.stack[-2]
        if type(top) is OrderedDict:
            self.stack.pop()  # notes such as a state dict's `_metadata`
            return
        if not isinstance(top, Shell):  # a function or class of ours, which it would change
            raise Refused("a state for what is no object")
        _DISPATCH[pickle.BUILD[0]](self)
        if isinstance(top, Shell) and top.name in _WRAPPERS:
            self.stack[-1] = self._read_joblib(top.state)

    def _bytearray(self) -> None:
        size = int.from_bytes(self.read(8), "little")
        data = self.read(min(size, MAX_BYTES))  # Python's own makes room before it reads
        if len(data) != size:
            raise EOFError("it ends within an array")
        self.stack.append(bytearray(data))

    instructions |= {code[0]: _weighed(do) for code, do in _MAKERS.items()}
    instructions |= {pickle.BUILD[0]: _build, pickle.BYTEARRAY8[0]: _bytearray}

    def _read_joblib(self, state: dict[str, Any]) -> np.ndarray:
        shape, dtype = state["shape"], state["dtype"]
        if not isinstance(dtype, _Dtype):
            raise Refused("an array without a plain type and shape")
        if state.get("numpy_array_alignment_bytes") is not None:
            self._source.read(self._source.read(1)[0])
        size = int(np.prod([int(side) for side in shape], dtype=object)) * dtype.dtype().itemsize
        if not 0 <= size <= MAX_BYTES:
            raise Refused(f"an array of {size} bytes")
        return _array_of(self._source.read(size), shape, dtype, state["order"])


# what Python's unpickler answers to damage
UNSOUND = (
    *(pickle.UnpicklingError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError, MemoryError),
    *(struct.error, OverflowError, AssertionError, UnicodeError, RecursionError),
)


def read_pickle(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a pickled or joblib-dumped k-means, dict of arrays or array, by the name of their field.

    Raises:
        SpeechkitError: it asks for anything else, which is named; it is damaged or too large.
    """
    cure = "where you trust the file: numpy.save('centres.npy', kmeans.cluster_centers_), and import that"
    try:
        top = Reader(io.BytesIO(_unpacked(path))).load()
        found = top.state if isinstance(top, Shell) and not isinstance(top, _Array) else top
        fields = found if isinstance(found, dict) else {"array": found}
        arrays = {str(name): value.array() if isinstance(value, _Array) else value for name, value in fields.items()}
    except Refused as refused:
        raise SpeechkitError(
            f"`{path}` holds {refused}, which is not read: loading it could run code",
            expected="a k-means of scikit-learn, or arrays of numbers",
            hint=cure,
        ) from None
    except UNSOUND as error:
        raise SpeechkitError(f"`{path}` is no sound pickle: {type(error).__name__} {error}", hint=cure) from None
    return {name: value for name, value in arrays.items() if isinstance(value, np.ndarray)}


def _unpacked(path: Path) -> bytes:
    """The bytes of a file, unpacked if it is compressed."""
    if path.stat().st_size > MAX_BYTES:
        raise Refused(f"more than {MAX_BYTES >> 20} MiB")
    data = path.read_bytes()
    openers: dict[bytes, Callable[[Any], Any]] = {
        b"\x1f\x8b": lambda raw: gzip.GzipFile(fileobj=raw),
        b"BZ": bz2.BZ2File,
        b"\xfd7zXZ": lzma.LZMAFile,
        b"\x5d\x00": lzma.LZMAFile,
    }
    try:
        for magic, opener in openers.items():
            if data.startswith(magic):
                data = opener(io.BytesIO(data)).read(MAX_BYTES + 1)
                break
        else:
            if data[:1] == b"\x78":
                data = zlib.decompressobj().decompress(data, MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise ValueError(f"it can not be unpacked: {error}") from None
    if len(data) > MAX_BYTES:
        raise Refused(f"more than {MAX_BYTES >> 20} MiB")
    return data
