"""Checkpoints of torch: the tensors and settings come back, nothing that is named is run, damage is told."""

from __future__ import annotations

import argparse
import os
import pickle
import sys
import types
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from speechkit.errors import SpeechkitError
from speechkit.units import pickle_reader
from speechkit.units.checkpoint_reader import read_checkpoint

FORMS = pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "older"])


def tensors() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    table = torch.randn(6, 4)
    return OrderedDict(
        a=table,
        view=table[1:3, ::2],
        turned=table.t(),
        half=torch.randn(3).half(),
        brain=torch.randn(3).bfloat16(),
        whole=torch.arange(5),
        scalar=torch.tensor(2.5),
        none=torch.zeros(0, 4),
        parameter=torch.nn.Parameter(torch.ones(2)),
    )


def save(value: object, path: Path, *, is_zip: bool) -> Path:
    torch.save(value, path, _use_new_zipfile_serialization=is_zip)
    return path


@FORMS
def test_tensors_come_back(tmp_path: Path, is_zip: bool) -> None:
    stored = tensors()
    path = save({"model": stored, "epoch": 3, "best": np.float64(1.5)}, tmp_path / "a.pt", is_zip=is_zip)
    checkpoint = read_checkpoint(path)
    assert checkpoint.tree["epoch"] == 3
    found = checkpoint.tensors(checkpoint.tree["model"])
    assert found.keys() == stored.keys()
    for name, tensor in stored.items():
        assert found[name].dtype == tensor.dtype and torch.equal(found[name], tensor), name


@FORMS
def test_a_state_dict_of_a_module_is_read(tmp_path: Path, is_zip: bool) -> None:
    module = torch.nn.Linear(2, 3)  # its state dict carries `_metadata`
    checkpoint = read_checkpoint(save(module.state_dict(), tmp_path / "a.bin", is_zip=is_zip))
    assert torch.equal(checkpoint.tensors(checkpoint.tree)["weight"], module.weight)


@FORMS
def test_settings_of_argparse_and_of_omegaconf_are_dicts(
    tmp_path: Path, is_zip: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fake(module: str, name: str) -> type:
        cls = type(name, (), {"__module__": module})
        holder = types.ModuleType(module)
        setattr(holder, name, cls)
        monkeypatch.setitem(sys.modules, module, holder)
        return cls

    for parent in ("omegaconf", "fairseq", "fairseq.dataclass"):
        monkeypatch.setitem(sys.modules, parent, types.ModuleType(parent))
    node, config = fake("omegaconf.nodes", "AnyNode"), fake("omegaconf.dictconfig", "DictConfig")
    choice = fake("fairseq.dataclass.constants", "Choice")

    def wrap(value: Any) -> Any:
        made = config() if isinstance(value, dict) else node()
        if isinstance(value, dict):
            made.__dict__ = {"_metadata": choice(), "_parent": None}
            made.__dict__["_content"] = {key: wrap(item) for key, item in value.items()}
        else:
            made.__dict__ = {"_val": value, "_parent": made}
        return made

    cfg = wrap({"model": {"heads": 4, "act": "relu", "langs": None}})
    args = argparse.Namespace(heads=8, where=Path("data"))
    tree = read_checkpoint(save({"cfg": cfg, "args": args}, tmp_path / "a.pt", is_zip=is_zip)).tree
    assert tree["cfg"]["model"] == {"heads": 4, "act": "relu", "langs": None}
    assert tree["args"]["heads"] == 8


class Bomb:
    """Leaves a folder behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@FORMS
def test_code_is_refused_by_name_and_not_run(tmp_path: Path, is_zip: bool) -> None:
    path = save({"model": tensors(), "args": Bomb(tmp_path / "ran")}, tmp_path / "a.pt", is_zip=is_zip)
    with pytest.raises(SpeechkitError, match=r"the name `(posix|nt)\.mkdir`, which is not read"):
        read_checkpoint(path)
    assert not (tmp_path / "ran").exists()


class Reaching:
    """Pickles as a tensor that goes on behind the end of its storage."""

    def __init__(self, storage: torch.UntypedStorage, shape: tuple[int, ...]) -> None:
        self.storage, self.shape = storage, shape

    def __reduce__(self) -> Any:
        return torch._utils._rebuild_tensor_v2, (self.storage, 0, self.shape, (1,), False, OrderedDict())


@FORMS
@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")
def test_a_tensor_may_not_reach_beyond_its_storage(tmp_path: Path, is_zip: bool) -> None:
    storage = torch.ones(3).storage()
    path = save({"model": Reaching(storage, (4,))}, tmp_path / "a.pt", is_zip=is_zip)
    with pytest.raises(SpeechkitError, match="a tensor that reaches beyond its storage"):
        read_checkpoint(path)
    ok = read_checkpoint(save({"m": {"a": Reaching(storage, (3,))}}, tmp_path / "b.pt", is_zip=is_zip))
    assert ok.tensors(ok.tree["m"])["a"].tolist() == [1, 1, 1]


@FORMS
def test_every_cut_is_told_and_never_a_traceback(tmp_path: Path, is_zip: bool) -> None:
    whole = save({"model": {"a": torch.randn(30)}}, tmp_path / "a.pt", is_zip=is_zip).read_bytes()
    path = tmp_path / "cut.pt"
    for size in range(0, len(whole) - 1, 7 if is_zip else 3):
        path.write_bytes(whole[:size])
        with pytest.raises(SpeechkitError, match=r"no sound checkpoint|is damaged|which is not read"):
            checkpoint = read_checkpoint(path)
            checkpoint.tensors(checkpoint.tree["model"])


def test_other_files_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(SpeechkitError, match="neither form of torch"):
        read_checkpoint(path)
    with pytest.raises(SpeechkitError, match="does not exist"):
        read_checkpoint(tmp_path / "b.pt")
    checkpoint = read_checkpoint(save({"a": 1}, path, is_zip=True))
    with pytest.raises(SpeechkitError, match="no tensors by name"):
        checkpoint.tensors(checkpoint.tree)


def test_a_flipped_byte_is_told_with_its_file_and_tensor(tmp_path: Path) -> None:
    path = save({"model": {"w": torch.arange(1000.0)}}, tmp_path / "a.pt", is_zip=True)
    whole = path.read_bytes()
    changed = bytearray(whole)
    changed[whole.index(torch.arange(1000.0).numpy().tobytes()) + 40] ^= 1
    path.write_bytes(changed)
    checkpoint = read_checkpoint(path)
    with pytest.raises(SpeechkitError, match=r"a\.pt` is damaged: .*CRC-32.*\n  tensor w"):
        checkpoint.tensors(checkpoint.tree["model"])


@FORMS
def test_a_flipped_byte_anywhere_ends_in_a_message_or_in_tensors(tmp_path: Path, is_zip: bool) -> None:
    path = tmp_path / "a.pt"
    whole = save({"model": {"w": torch.arange(9.0)}}, path, is_zip=is_zip).read_bytes()
    failed = 0
    for place in range(0, len(whole), 11):
        changed = bytearray(whole)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        try:
            checkpoint = read_checkpoint(path)
            checkpoint.tensors(checkpoint.tree["model"] if isinstance(checkpoint.tree, dict) else None)
        except (SpeechkitError, KeyError) as error:
            failed += 1
            assert isinstance(error, SpeechkitError) or error.args == ("model",)
    assert failed > 9


def write_zip(path: Path, description: bytes, *, compression: int = zipfile.ZIP_STORED, **entries: bytes) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in {"data.pkl": description, **entries}.items():
            archive.writestr(f"a/{name}", content)
    return path


def shared_lists(depth: int) -> list[Any]:
    top: list[Any] = []
    for _ in range(depth):
        top = [top, top]
    return top


TEXT, DEFLATED = b"cbuiltins\nstr\n", zipfile.ZIP_DEFLATED


@pytest.mark.parametrize(
    "description, complaint",
    [
        (pickle.dumps({"model": shared_lists(18)}, 2), "more than 262144 values"),
        (TEXT + pickle.dumps(shared_lists(18), 2)[2:-1] + b"\x85R.", "a text made of something else"),
        (b"]" * (1 << 16) + b".", "more than 4194304 instructions"),
        (b")" + b"\x85" * 2000 + b"q\x00}h\x00Ns.", "more than 1000 tuples in one another"),
        (b")q\x00" + b"h\x00\x86q\x00".join([b"h\x00"] * 20) + b"}h\x00Ns.", "more than 1000 tuples"),
        (b"]q\x00(" + b"N" * 10_000 + b"e" + b"cbuiltins\nlist\nh\x00\x85R0" * 2000 + b"N.", "more than 1024 MiB"),
    ],
    ids=["lists", "text", "instructions", "deep", "tuples", "copies"],
)
def test_a_small_file_that_describes_much_is_refused_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, description: bytes, complaint: str
) -> None:
    path = write_zip(tmp_path / "a.pt", b"\x80\x02" + description.removeprefix(b"\x80\x02"))
    monkeypatch.setattr(pickle_reader._Counted, "left", 1 << 16)
    with pytest.raises(SpeechkitError, match=complaint):
        read_checkpoint(path)


def test_entries_that_are_packed_or_too_large_are_refused(tmp_path: Path) -> None:
    empty = pickle.dumps({}, 2)
    with pytest.raises(SpeechkitError, match=r"byteorder is compressed, or larger than 16 bytes"):
        read_checkpoint(write_zip(tmp_path / "a.pt", empty, byteorder=bytes(17)))
    with pytest.raises(SpeechkitError, match=r"data\.pkl is compressed"):
        read_checkpoint(write_zip(tmp_path / "a.pt", empty, compression=DEFLATED))
    with pytest.raises(SpeechkitError, match=r"data\.pkl is compressed, or larger than 16777216"):
        read_checkpoint(write_zip(tmp_path / "a.pt", empty + bytes(1 << 24)))
    assert read_checkpoint(write_zip(tmp_path / "a.pt", empty, byteorder=b"little")).tree == {}


def test_a_tensor_may_not_be_larger_than_its_storage(tmp_path: Path) -> None:
    path = save({"w": torch.zeros(1).expand(1 << 40)}, tmp_path / "a.pt", is_zip=True)
    with pytest.raises(SpeechkitError, match="a tensor of more values than its storage has"):
        read_checkpoint(path)


@pytest.mark.parametrize("name", [b"builtins\nbytes", b"torch._utils\n_rebuild_tensor_v2", b"builtins\ndict"])
def test_a_state_does_not_change_what_names_are_answered_with(tmp_path: Path, name: bytes) -> None:
    state = b"(N}X\x0c\x00\x00\x00__defaults__K\x05\x85st"
    path = write_zip(tmp_path / "a.pt", b"\x80\x02c" + name + b"\n" + state + b"b.")
    with pytest.raises(SpeechkitError, match="a state for what is no object"):
        read_checkpoint(path)
    assert pickle_reader._bytes.__defaults__ is None
