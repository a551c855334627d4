"""What lies in the folder of a unit language model besides its weights, and reading both.

`config.yaml` (section `model`), `model.safetensors`, `training_ids.txt` (an utterance a line) and `ulm.json`, of which
null says that something is not known: `num_units`; `codebook` (its fingerprint), `frames_per_second`,
`first_centre_seconds`, `sampling_rate`, `dedup` (whether units were merged) as in units.json; `num_training_units`;
`valid_nats` and `bigram_nats` of held-out units, per unit or end, by the model and by a bigram model of its training
units. `bigram.safetensors` has `counts` (K + 1, K + 1) int64 of the training units: how often each follows each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pydantic
import safetensors.numpy
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from speechkit.artifact import CONFIG_FILE, publish_file, write_json
from speechkit.config import C, Config, build_config, parse_yaml
from speechkit.errors import ConfigError, SpeechkitError
from speechkit.models.config import UlmConfig
from speechkit.models.table import WEIGHTS_FILE
from speechkit.text.bigram import Bigram, Symbols, count_pairs

ULM_FILE, IDS_FILE, BIGRAM_FILE = "ulm.json", "training_ids.txt", "bigram.safetensors"


class _About(Config):
    num_units: int = pydantic.Field(ge=1)
    codebook: str | None = None
    frames_per_second: float | None = None
    first_centre_seconds: float | None = None
    sampling_rate: int | None = None
    dedup: bool | None = None
    valid_nats: float | None = None
    bigram_nats: float | None = None
    num_training_units: int | None = None


class _Sections(Config):
    model_config = pydantic.ConfigDict(extra="ignore", frozen=True, protected_namespaces=())
    model: UlmConfig


def write_about(folder: Path, about: Mapping[str, Any], *, training_ids: Iterable[str] = ()) -> None:
    """Write `ulm.json` and `training_ids.txt`.

    Raises:
        ConfigError: a field of `ulm.json` has no such name or value.
    """
    write_json(folder / ULM_FILE, build_config(_About, dict(about)).model_dump())
    with publish_file(folder / IDS_FILE) as stream:
        stream.writelines(f"{utt_id}\n" for utt_id in sorted(training_ids))


def write_bigram(folder: Path, sequences: Iterable[Symbols], *, num_units: int) -> None:
    """Write what a bigram model learns of the training units; `check_ulm` compares with it."""
    counts = count_pairs(sequences, num_symbols=num_units)
    with publish_file(folder / BIGRAM_FILE, "wb") as stream:
        stream.write(safetensors.numpy.save({"counts": counts}))


def _read_bigram(path: Path, num_units: int) -> Bigram | None:
    if not path.is_file():
        return None
    try:
        counts = safetensors.numpy.load(path.read_bytes())["counts"]
    except (SafetensorError, KeyError):
        raise SpeechkitError(f"`{path}` is damaged") from None
    if counts.shape != (num_units + 1, num_units + 1) or counts.dtype != np.int64 or counts.min() < 0:
        raise SpeechkitError(f"`{path}` does not hold counts of {num_units} units")
    return Bigram(counts)


def read_about(folder: Path) -> tuple[UlmConfig, dict[str, Any]]:
    """Config and `ulm.json` of a finished folder, with `bigram`, a `Bigram` of the training units or None.

    Raises:
        SpeechkitError: a file is missing or is not as it is written; the model is worse than a bigram model.
    """
    for name in (CONFIG_FILE, WEIGHTS_FILE, ULM_FILE):
        if not (folder / name).is_file():
            unfinished = folder.with_name(f"{folder.name}.partial").is_dir()
            raise SpeechkitError(
                f"`{folder}` holds no unit language model: there is no {name}"
                + (", its training has not finished" if unfinished else ""),
                expected="a folder made by `speechkit train` with model.kind ulm, or by `speechkit prompt import`",
            )
    config: UlmConfig = _read_yaml(_Sections, folder / CONFIG_FILE).model
    about = _read_yaml(_About, folder / ULM_FILE).model_dump()
    about["bigram"] = _read_bigram(folder / BIGRAM_FILE, about["num_units"])
    _check_quality(folder, about)
    return config, about


def _read_yaml(cls: type[C], path: Path) -> C:
    # JSON is YAML; this reader names the line of a fault
    try:
        tree, lines = parse_yaml(path.read_text(encoding="utf-8"), str(path))
        return build_config(cls, tree, {key: f"{path}:{line}" for key, line in lines.items()})
    except (ConfigError, UnicodeDecodeError) as error:
        where = error.where if isinstance(error, ConfigError) else str(error)
        raise SpeechkitError(f"`{path}` is damaged", where=where, hint="make the folder again") from None


def _check_quality(folder: Path, about: Mapping[str, Any]) -> None:
    valid, bigram = about["valid_nats"], about["bigram_nats"]
    if valid is not None and bigram is not None and not valid < bigram:
        raise SpeechkitError(
            f"the unit language model `{folder}` is worse than a bigram model",
            where=f"{valid:.3f} nats per unit on held-out units, a bigram model {bigram:.3f}",
            hint="train it longer, or on more units",
        )


def read_training_ids(folder: Path) -> frozenset[str]:
    """The utterances that a model was trained on; empty for an imported one."""
    path = folder / IDS_FILE
    return frozenset(path.read_text(encoding="utf-8").split("\n")[:-1]) if path.is_file() else frozenset()


def load_weights(model: nn.Module, path: Path) -> None:
    """Fill a model with the tensors of a file.

    Raises:
        SpeechkitError: the file is damaged, or its tensors are not those of the model.
    """
    try:
        tensors = load_file(str(path))
    except (SafetensorError, OSError) as error:
        raise SpeechkitError(f"`{path}` is damaged: {str(error).splitlines()[0]}") from None
    check_tensors(tensors, model, str(path))
    model.load_state_dict(tensors, assign=True)


def check_tensors(tensors: Mapping[str, Tensor], model: nn.Module, source: str) -> None:
    """Raise SpeechkitError when tensors are missing, too many, of another size or not finite; all at once."""
    wanted = model.state_dict()
    faults = [f"{name}  missing" for name in wanted if name not in tensors]
    faults += [f"{name}  not part of the model" for name in tensors if name not in wanted]
    for name in wanted.keys() & tensors.keys():
        found, expected = tuple(tensors[name].shape), tuple(wanted[name].shape)
        if found != expected:
            faults.append(f"{name}  {'x'.join(map(str, found))}, expected {'x'.join(map(str, expected))}")
        elif not torch.isfinite(tensors[name]).all():
            faults.append(f"{name}  holds numbers that are not finite")
    if faults:
        raise SpeechkitError(f"the tensors of `{source}` do not fit its config", where=sorted(faults))
