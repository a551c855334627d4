"""Episodes of in-context learning: demonstrations `units SEP label`, then units whose label is asked for.

Labels are units drawn for each episode, so nothing but the demonstrations tells what they mean.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from speechkit import log
from speechkit.errors import SpeechkitError
from speechkit.prompt.config_icl import IclConfig
from speechkit.prompt.examples import Example, Row
from speechkit.rng import rng

Units = tuple[int, ...]
Target = Literal["copy", "new", "both"]


@dataclass(frozen=True)
class Demo:
    """An utterance with its label of an episode, a unit."""

    utt_id: str
    units: Units
    label: int


@dataclass(frozen=True)
class Episode:
    """Demonstrations in the order that they are read, and what is asked for; named by task and number."""

    episode_id: str
    demos: tuple[Demo, ...]
    query: Demo

    @property
    def shown(self) -> frozenset[int]:
        """The labels of the demonstrations."""
        return frozenset(demo.label for demo in self.demos)

    def example(self, sep_id: int) -> Example:
        """What the language model reads and is to say; it puts the last separator itself."""
        read = [token for demo in self.demos for token in (*demo.units, sep_id, demo.label)]
        return Example(self.episode_id, (*read, *self.query.units), (self.query.label,))


@dataclass(frozen=True)
class Pool:
    """The utterances of a task by their class; every class has enough for an episode."""

    name: str
    classes: tuple[tuple[tuple[str, Units], ...], ...]
    num_units: int
    config: IclConfig

    def draw(self, stream: str, number: int, target: Target) -> Episode:
        """An episode; it depends on the seed, the names of task and stream, and its number only.

        Args:
            stream: what it is for, such as `warmup`; other streams have other episodes.
        """
        config, many = self.config, self.config.demos_per_class
        gen = rng(config.seed, "episode", self.name, stream, number)
        chosen = gen.permutation(len(self.classes))[: config.num_classes].tolist()
        labels = gen.permutation(self.num_units)[: config.num_classes].tolist()
        asked = number % config.num_classes  # as often each
        is_copy = target == "copy" or (target == "both" and (number // config.num_classes) % 2 == 0)
        demos, query = [], None
        for place, (own, label) in enumerate(zip(chosen, labels, strict=True)):
            members = self.classes[own]
            picked = gen.permutation(len(members))[: many + 1].tolist()
            found = [Demo(members[k][0], fit_length(members[k][1], config.unit_len), label) for k in picked]
            demos += found[:many]
            if place == asked:
                query = found[0] if is_copy else found[many]
        assert query is not None
        order = gen.permutation(len(demos)).tolist()
        return Episode(f"{self.name}-{stream}-{number:06d}", tuple(demos[k] for k in order), query)

    def guess(self, episode: Episode) -> int:
        """One of the shown labels at random."""
        labels = sorted(episode.shown)
        return labels[int(rng(self.config.seed, "guess", episode.episode_id).integers(len(labels)))]


def fit_length(units: Units, size: int) -> Units:
    """The first `size` units; shorter utterances are repeated from their start. 0: all units as they are."""
    if not size:
        return units
    return (units * -(-size // len(units)))[:size]


def make_pool(rows: Sequence[Row], config: IclConfig, *, name: str, num_units: int) -> Pool:
    """The classes of a task that have enough utterances; the others are counted and told.

    Raises:
        SpeechkitError: too few classes are left, or too few units to name them.
    """
    found: dict[str, list[tuple[str, Units]]] = defaultdict(list)
    for row in rows:
        found[row.values[0]].append((row.utt_id, row.units))
    needed = config.demos_per_class + 1
    classes = {label: tuple(sorted(own)) for label, own in sorted(found.items()) if len(own) >= needed}
    small = [f"{label}  {len(own)}" for label, own in sorted(found.items()) if len(own) < needed]
    if len(classes) < config.num_classes:
        raise SpeechkitError(
            f"task `{name}`: {len(classes)} classes have {needed} utterances or more, an episode has "
            f"{config.num_classes} classes",
            where=small,
            hint="--set num_demos or num_classes lower, or more utterances",
        )
    if num_units < config.num_classes:
        raise SpeechkitError(f"{num_units} units are too few to name {config.num_classes} classes")
    if small:
        log.warn(
            f"task {name}: {len(small)} of {len(found)} classes have fewer than {needed} utterances and are left out"
        )
    return Pool(name, tuple(classes.values()), num_units, config)
