"""Tensors and settings in checkpoints of torch, zip or the older form, read without running anything that they name.

Names are answered as in `pickle_reader`; those of fairseq and of the packages that hold its settings by shells.
Tensors are looked up when they are asked for, so that the state of an optimiser costs nothing.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import torch
from torch import Tensor

from speechkit.errors import SpeechkitError
from speechkit.units.pickle_reader import KNOWN, UNSOUND, Reader, Refused, Shell

_MAX_DESCRIPTION = 16 << 20  # bytes of data.pkl; those of a thousand tensors take a tenth of a MiB
_MAX_VALUES = 1 << 18  # of the tree
_MAX_DIMS = 64  # as in torch
_DAMAGE = (*UNSOUND, zipfile.BadZipFile, OSError, RuntimeError)
_MAGIC = 0x1950A86A20F9469CFC6C  # begins the older form
_INERT = {"argparse", "fairseq", "fairseq_cli", "hydra", "omegaconf", "pathlib", "typing"}  # root packages
_DTYPES = {
    "DoubleStorage": torch.float64, "FloatStorage": torch.float32, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8, "BoolStorage": torch.bool,
}  # fmt: skip


@dataclass(frozen=True)
class _Storage:
    dtype: torch.dtype
    key: str
    size: int  # values

    @property
    def num_bytes(self) -> int:
        return self.size * self.dtype.itemsize


@dataclass(frozen=True)
class LazyTensor:
    """A tensor as a view of a storage that lies in the file."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _rebuild(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> LazyTensor:
    places = (offset, *shape, *strides) if len(shape) == len(strides) <= _MAX_DIMS else ()
    if not isinstance(storage, _Storage) or not places or not all(type(n) is int and n >= 0 for n in places):
        raise Refused("a tensor without a plain storage and shape")
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    if 0 not in shape and last >= storage.size:
        raise Refused("a tensor that reaches beyond its storage")
    if math.prod(shape) > storage.size:  # a stride of 0, with which a few bytes stand for any number of values
        raise Refused("a tensor of more values than its storage has")
    return LazyTensor(storage, offset, tuple(shape), tuple(strides))


def _text(*content: Any) -> str:
    if content and not isinstance(content[0], str | int | float):
        raise Refused("a text made of something else")  # lists in lists of lists can be a text without end
    return str(*content[:1])


def _known() -> dict[str, Any]:
    table: dict[str, Any] = {f"torch.{name}": dtype for name, dtype in _DTYPES.items()}
    for name in ("_rebuild_tensor", "_rebuild_tensor_v2"):
        table[f"torch._utils.{name}"] = _rebuild
    table |= {
        "torch._utils._rebuild_parameter": lambda data, *_: data,
        "torch.Size": lambda sizes=(): tuple(sizes),
        "torch.device": Shell,
        "collections.OrderedDict": OrderedDict,
        "collections.defaultdict": lambda *_: {},
    }
    for base in ("builtins", "__builtin__"):
        table |= {f"{base}.{kind.__name__}": kind for kind in (dict, list, set, tuple, int, float, bool)}
        table[f"{base}.str"] = _text
    return {**KNOWN, **table}


class _Reader(Reader):
    """Answers what stands in checkpoints, and collects storages."""

    known: ClassVar[Mapping[str, Any]] = _known()

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__(stream)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        """As above."""
        if f"{module}.{name}" not in self.known and module.split(".")[0] in _INERT:
            return Shell
        return super().find_class(module, name)

    def persistent_load(self, pid: object) -> Any:
        """A storage: its type, key, place of then, number of values; a view of one, in the older form, is refused."""
        if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage" or any(part for part in pid[5:]):
            raise Refused("a reference that is no storage of a tensor")
        _, dtype, key, _, size = pid[:5]
        is_plain = isinstance(dtype, torch.dtype) and isinstance(key, str)
        if not is_plain or type(size) is not int or size < 0:
            raise Refused("a storage without a plain type and size")
        return self.storages.setdefault(key, _Storage(dtype, key, size))


class Checkpoint:
    """What a checkpoint holds: `tree` of plain values and `LazyTensor`s, and the tensors when asked for."""

    def __init__(self, path: Path, tree: Any, read: Callable[[_Storage], bytearray]) -> None:
        self.path, self.tree, self._read = path, tree, read

    def tensors(self, found: object) -> dict[str, Tensor]:
        """The tensors of a state dict, such as `tree["model"]`.

        Raises:
            SpeechkitError: it is no state dict, or the file ends too early.
        """
        tensors = found if isinstance(found, dict) else {}
        is_sound = all(isinstance(name, str) and isinstance(lazy, LazyTensor) for name, lazy in tensors.items())
        if not is_sound or not tensors:
            raise SpeechkitError(f"`{self.path}` holds no tensors by name where they are expected")
        cache: dict[str, Tensor] = {}
        return {name: self._tensor(name, lazy, cache) for name, lazy in tensors.items()}

    def _tensor(self, name: str, lazy: LazyTensor, cache: dict[str, Tensor]) -> Tensor:
        try:
            if lazy.storage.key not in cache:
                cache[lazy.storage.key] = self._flat(lazy.storage)
                # entries of an archive can lie upon one another
                if sum(flat.nbytes for flat in cache.values()) > self.path.stat().st_size:
                    raise ValueError("its tensors are larger than the file")
            return cache[lazy.storage.key].as_strided(lazy.shape, lazy.strides, lazy.offset)
        except _DAMAGE as error:
            reason = f"{type(error).__name__} {error}".splitlines()[0]
            raise SpeechkitError(f"`{self.path}` is damaged: {reason}", where=f"tensor {name:.200}") from None

    def _flat(self, storage: _Storage) -> Tensor:
        data = self._read(storage)
        if len(data) != storage.num_bytes:
            raise ValueError("it ends within a tensor")
        return torch.frombuffer(data, dtype=storage.dtype) if data else torch.zeros(0, dtype=storage.dtype)


def read_checkpoint(path: Path) -> Checkpoint:
    """The content of a file written by `torch.save`.

    Raises:
        SpeechkitError: it names something that is not answered, or is damaged, or no such file.
    """
    if not path.is_file():
        raise SpeechkitError(f"`{path}` does not exist")
    try:
        with path.open("rb") as stream:
            is_zip = stream.read(2) == b"PK"
        tree, read = _open_zip(path) if is_zip else _open_old(path)
        return Checkpoint(path, _plain(tree), read)
    except Refused as refused:
        raise SpeechkitError(
            f"`{path}` holds {refused}, which is not read: loading it could run code",
            expected="tensors, numbers, texts and settings of fairseq",
            hint="where you trust the file, save its `model` again with torch.save, alone",
        ) from None
    except _DAMAGE as error:
        raise SpeechkitError(f"`{path}` is no sound checkpoint: {type(error).__name__} {error}") from None


def _open_zip(path: Path) -> tuple[Any, Callable[[_Storage], bytearray]]:
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith("/data.pkl") and name.count("/") == 1]
        if len(names) != 1:
            raise ValueError("no single data.pkl in it")
        root = names[0].removesuffix("data.pkl")
        if f"{root}byteorder" in archive.namelist():
            order = _entry(archive, f"{root}byteorder", 16)
            if order != b"little":
                raise Refused(f"numbers in {order.decode('latin1')}-endian order")
        tree = _Reader(io.BytesIO(_entry(archive, names[0], _MAX_DESCRIPTION))).load()

    def read(storage: _Storage) -> bytearray:
        with zipfile.ZipFile(path) as archive:
            return bytearray(_entry(archive, f"{root}data/{storage.key}", storage.num_bytes))

    return tree, read


def _entry(archive: zipfile.ZipFile, name: str, max_bytes: int) -> bytes:
    entry = archive.getinfo(name)
    # torch stores without compression; anything else could unpack without end
    if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > max_bytes:
        raise ValueError(f"{name:.200} is compressed, or larger than {max_bytes} bytes")
    return archive.read(entry)


def _open_old(path: Path) -> tuple[Any, Callable[[_Storage], bytearray]]:
    with path.open("rb") as stream:
        if _Reader(stream).load() != _MAGIC:
            raise ValueError("neither form of torch.save")
        _Reader(stream).load(), _Reader(stream).load()  # version of the form, byte order and sizes of then
        reader = _Reader(stream)
        tree = reader.load()
        keys = _Reader(stream).load()
        begins: dict[str, int] = {}
        for key in keys:
            storage = reader.storages[key]
            if int.from_bytes(stream.read(8), "little") != storage.size:
                raise ValueError(f"the storage {key} has another size than described")
            begins[storage.key] = stream.tell()
            stream.seek(storage.num_bytes, 1)
            if stream.tell() > path.stat().st_size:
                raise EOFError(f"it ends within the storage {key}")

    def read(storage: _Storage) -> bytearray:
        if storage.key not in begins:
            return bytearray()
        with path.open("rb") as stream:
            stream.seek(begins[storage.key])
            return bytearray(stream.read(storage.num_bytes))

    return tree, read


def _plain(tree: Any) -> Any:
    """Settings of argparse and omegaconf as dicts; other objects as what they were given."""
    num_values = 0

    def plain(value: Any, depth: int) -> Any:
        nonlocal num_values
        num_values += 1
        if num_values > _MAX_VALUES:  # lists that hold one list twice, which does so too, become a huge tree
            raise ValueError(f"more than {_MAX_VALUES} values")
        if depth > 50:
            return None
        if isinstance(value, Shell):
            state = value.state
            if not isinstance(state, dict):
                return None
            return plain(next((state[name] for name in ("_content", "_val") if name in state), state), depth + 1)
        if isinstance(value, dict):
            return {key: plain(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [plain(item, depth + 1) for item in value]
        return value

    return plain(tree, 0)
