"""What a task asks for: labels by number, and how values of a manifest and numbers of labels belong together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from speechkit.config import load_config
from speechkit.errors import SpeechkitError, counted
from speechkit.prompt.config import TaskConfig

Values = tuple[str, ...]
_MAX_CLASSES = 10_000


@dataclass(frozen=True)
class Task:
    """A task with its labels.

    Attributes:
        slots: the labels of each slot, sorted; a task of another kind has one entry.
    """

    config: TaskConfig
    slots: tuple[tuple[str, ...], ...]

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """All labels; their places are their numbers. Labels of two slots are different even if called the same."""
        return tuple(label for slot in self.slots for label in slot)

    @property
    def is_sequence(self) -> bool:
        """True when a label for the end is put out, too."""
        return self.config.kind == "sequence"

    @property
    def end_label(self) -> int:
        """Number of the label that ends a sequence."""
        return len(self.labels)

    @property
    def num_outputs(self) -> int:
        """Labels to choose from, with the end of a sequence."""
        return len(self.labels) + self.is_sequence

    @property
    def num_slots(self) -> int | None:
        """Labels of every utterance; None: sequences."""
        return None if self.is_sequence else len(self.slots)

    def allowed(self, place: int) -> range:
        """Numbers that may stand at a place, the end of a sequence included."""
        if self.is_sequence:
            return range(self.num_outputs)
        start = sum(map(len, self.slots[:place]))
        return range(start, start + len(self.slots[place]))

    def encode(self, values: Values) -> tuple[int, ...] | None:
        """Numbers of values; None when one of them is no label of this task."""
        try:
            if self.is_sequence:
                return tuple(self._numbers[0][value] for value in values)
            return tuple(numbers[value] for numbers, value in zip(self._numbers, values, strict=True))
        except KeyError:
            return None

    def values(self, labels: Iterable[int]) -> Values:
        """The labels with these numbers; the end of a sequence is left out."""
        return tuple(self.labels[label] for label in labels if label < len(self.labels))

    def text(self, values: Values) -> str:
        """Values as one text: characters side by side, words and slots with blanks between them."""
        joint = "" if self.is_sequence and self.config.token == "char" else " "
        return joint.join(values)

    @cached_property
    def _numbers(self) -> list[dict[str, int]]:
        starts = [sum(map(len, self.slots[:place])) for place in range(len(self.slots))]
        return [
            {label: start + k for k, label in enumerate(slot)} for start, slot in zip(starts, self.slots, strict=True)
        ]

    def as_json(self) -> dict[str, Any]:
        """What a trained prompt stores of its task."""
        return {**self.config.model_dump(mode="json"), "slots": [list(slot) for slot in self.slots]}


def task_of_json(stored: dict[str, Any]) -> Task:
    """The inverse of `as_json`."""
    config = {name: value for name, value in stored.items() if name != "slots"}
    return Task(TaskConfig.model_validate(config), tuple(tuple(slot) for slot in stored["slots"]))


def load_task(path: Path) -> TaskConfig:
    """Read the YAML file of a task.

    Raises:
        ConfigError: with file:line of every fault.
    """
    return load_config(TaskConfig, path)


def split_value(config: TaskConfig, value: str) -> Values:
    """The labels that a value of the manifest holds: one, or those of a sequence."""
    if config.kind != "sequence":
        return (value,)
    return tuple(value.split()) if config.token == "word" else tuple(" ".join(value.split()))


def make_task(config: TaskConfig, values: Sequence[Values], *, ids: Sequence[str]) -> Task:
    """A task whose labels are those of the configuration, else those of the training data.

    Args:
        values, ids: of the training utterances.
    Raises:
        SpeechkitError: a label that is not listed, or one that is listed and never seen; fewer than two labels.
    """
    if config.kind == "sequence":
        found = [sorted({value for row in values for value in row})]
    else:
        found = [sorted({row[place] for row in values}) for place in range(len(config.label))]
    if config.labels is not None:
        _check_listed(config, config.labels, values, ids)
        found = [list(config.labels)]
    where = [f"{name}: {slot[0] if slot else 'none'}" for name, slot in zip(config.label, found, strict=True)]
    if not values or (all(len(slot) < 2 for slot in found) and config.kind != "sequence"):
        raise SpeechkitError(
            f"task `{config.name}`: {len(values)} training utterances have fewer than two labels", where=where
        )
    total = sum(map(len, found))
    if total > _MAX_CLASSES:
        raise SpeechkitError(
            f"task `{config.name}`: {total} labels; more than {_MAX_CLASSES} can not be told apart",
            where=[f"{name}: {len(slot)}" for name, slot in zip(config.label, found, strict=True)],
            hint="does `label` name the field that was meant, or is this a task of `kind: sequence`?",
        )
    return Task(config, tuple(tuple(slot) for slot in found))


def _check_listed(config: TaskConfig, labels: Values, values: Sequence[Values], ids: Sequence[str]) -> None:
    listed, seen = set(labels), {value for row in values for value in row}
    bad = [f"{utt_id}  {' '.join(row)}" for utt_id, row in zip(ids, values, strict=True) if not listed.issuperset(row)]
    if bad:
        raise SpeechkitError(
            f"task `{config.name}`: {counted(len(bad), 'training utterance')} with labels that `labels` does not list",
            where=bad,
            hint="add the labels, or leave `labels` out: then those of the training data count",
        )
    unseen = [label for label in labels if label not in seen]
    if unseen:
        raise SpeechkitError(
            f"task `{config.name}`: {counted(len(unseen), 'label')} without a training utterance",
            where=unseen,
            hint="take them out of `labels`: nothing can learn them",
        )
