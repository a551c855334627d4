"""Tensors of others under our names: which rows become which tokens, and what is missing, too many or too large."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from speechkit.errors import SpeechkitError
from speechkit.models.config import UlmConfig
from speechkit.models.ulm import empty_ulm

MEAN = "mean"
Rows = Sequence[int | None]
# layers of fairseq, whose names OPT has taken over
FAIRSEQ_PARTS = {
    "attention.query": "self_attn.q_proj",
    "attention.key": "self_attn.k_proj",
    "attention.value": "self_attn.v_proj",
    "attention.output": "self_attn.out_proj",
    "attention_norm": "self_attn_layer_norm",
    "feed_forward.inner": "fc1",
    "feed_forward.output": "fc2",
    "feed_forward_norm": "final_layer_norm",
}


@dataclass
class Found:
    """What an importer has read: a config, tensors under their own names, and what stands for what.

    Attributes:
        names: their name of each tensor of ours.
        rows: of their embeddings: units, end, separator; None is the mean of the unit rows.
        ignored: prefixes or endings of names that hold nothing that is learned.
    """

    config: UlmConfig
    tensors: dict[str, Tensor]
    names: dict[str, str]
    rows: Rows
    source: str
    ignored: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)


def our_tensors(found: Found) -> dict[str, Tensor]:
    """The tensors that fill a model of this config, float32.

    Raises:
        SpeechkitError: tensors are missing, unknown, of another size, or not finite; all of them are named.
    """
    wanted = empty_ulm(found.config, num_units=len(found.rows) - 2).state_dict()
    faults, ours = [], {}
    if undescribed := sorted(wanted.keys() - found.names.keys()):
        raise ValueError(f"no names for {undescribed}")
    for name, empty in wanted.items():
        theirs = found.names[name]
        tensor = found.tensors.get(theirs)
        if tensor is None:
            faults.append(f"{theirs}  missing")
            continue
        if name in ("embedding.weight", "output.weight") and tensor.dim() == 2 and len(tensor) > _last(found.rows):
            tensor = picked(tensor, found.rows)
        if tensor.shape != empty.shape:
            faults.append(f"{theirs}  {_size(tensor)}, expected {_size(empty)}")
        elif not torch.isfinite(tensor).all():
            faults.append(f"{theirs}  holds numbers that are not finite")
        else:
            ours[name] = tensor.float().contiguous()
    known = {found.names[name] for name in wanted}
    extra = [name for name in found.tensors if name not in known and not _is_ignored(name, found.ignored)]
    faults += [f"{name}  {_size(found.tensors[name])}, not known" for name in extra]
    if faults:
        raise SpeechkitError(
            f"the tensors of `{found.source}` are not those of such a model",
            where=sorted(faults),
            hint="is --from right? models with other parts than those of the docs are not read",
        )
    return ours


def _is_ignored(name: str, ignored: tuple[str, ...]) -> bool:
    return any(name.startswith(part) or name.endswith(part) for part in ignored)


def _last(rows: Rows) -> int:
    return max((row for row in rows if row is not None), default=-1)


def _size(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"


def picked(table_VD: Tensor, rows: Rows) -> Tensor:
    """The rows of a table in our order."""
    units_KD = table_VD[torch.tensor(rows[:-2])].float()
    mean_D = units_KD.mean(0)
    ends = [mean_D if row is None else table_VD[row].float() for row in rows[-2:]]
    return torch.cat([units_KD, torch.stack(ends)])


def special_row(wanted: str | None, default: str, find: Callable[[str], int | None], *, role: str) -> int | None:
    """The row that becomes the end or the separator; None for the mean of the units.

    Args:
        wanted: as configured; default: otherwise, where there is such a row.
        find: the row of a symbol.
    Raises:
        SpeechkitError: there is no such row.
    """
    if (wanted or default) == MEAN:
        return None
    row = find(wanted or default)
    if row is None and wanted is not None:
        raise SpeechkitError(
            f"the model has no token `{wanted}` for the {role}", hint=f"--set {role}=mean takes the mean of the units"
        )
    return row


def layer_names(ours: str, theirs: str, parts: Mapping[str, str], *, num_layers: int) -> dict[str, str]:
    """Their name of each tensor of a stack of layers, weights and biases alike."""
    return {
        f"{ours}.layers.{n}.{own}.{kind}": f"{theirs}.layers.{n}.{other}.{kind}"
        for n in range(num_layers)
        for own, other in parts.items()
        for kind in ("weight", "bias")
    }


def both(ours: str, theirs: str) -> dict[str, str]:
    """Weight and bias."""
    return {f"{ours}.{kind}": f"{theirs}.{kind}" for kind in ("weight", "bias")}


def check_settings(settings: Mapping[str, Any], kinds: Mapping[str, tuple[type, ...]], source: object) -> None:
    """See that settings of others are of the kinds that are read; None and what is absent is passed over.

    Raises:
        SpeechkitError: one is of another kind.
    """
    for name, wanted in kinds.items():
        value = settings.get(name)
        if value is not None and not isinstance(value, wanted):
            shown = f"{value!r:.60}" if isinstance(value, str | int | float) else f"a {type(value).__name__}"
            raise SpeechkitError(
                f"`{source}` has no sound value of {name}: {shown}",
                expected=" or ".join(kind.__name__ for kind in wanted),
            )


def is_copy(tensor: Tensor, of: Tensor) -> bool:
    """Whether two tensors hold the same values, in whatever types."""
    return tensor.shape == of.shape and torch.equal(tensor.float(), of.float())


def check_table(table: Tensor, name: str, source: object) -> None:
    """Raises: SpeechkitError: the embeddings are no table."""
    if table.dim() != 2:
        raise SpeechkitError(f"`{name}` of `{source}` is no table: {_size(table)}", expected="a row for each symbol")


def count_layers(tensors: Mapping[str, Tensor], prefix: str) -> int:
    """Layers whose tensors begin with `<prefix>.layers.<number>.`; 0 where there are none."""
    start = f"{prefix}.layers."
    numbers = {name[len(start) :].split(".")[0] for name in tensors if name.startswith(start)}
    # one after the other: with a hole, the names behind it are told as not known
    return next(number for number in range(len(numbers) + 1) if str(number) not in numbers)
