"""Which cuts become faulty, and with which type of fault, by seed and utterance id."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from speechkit.audit.config_truth import InjectConfig
from speechkit.audit.inject import inject_words
from speechkit.audit.inject_plan import Counts, Event, Source, draw_event
from speechkit.data.store import text_of
from speechkit.errors import SpeechkitError, counted
from speechkit.rng import derive_seed, rng


@dataclass(frozen=True)
class Labelers:
    """Who wrote which text: names, the bad ones, and the labeler of each cut."""

    names: tuple[str, ...]
    bad: frozenset[int]
    of_cut: tuple[int, ...]

    @staticmethod
    def draw(ids: Sequence[str], config: InjectConfig) -> Labelers:
        """Labelers with equal shares of the cuts."""
        order = sorted(range(len(ids)), key=lambda k: derive_seed(config.seed, "labeler", ids[k]))
        of_cut = [0] * len(ids)
        for place, number in enumerate(order):
            of_cut[number] = place % config.labelers
        names = tuple(f"labeler-{k:02d}" for k in range(config.labelers))
        bad = rng(config.seed, "bad labelers").permutation(config.labelers)[: config.bad_labelers]
        return Labelers(names, frozenset(bad.tolist()), tuple(of_cut))

    def quotas(self, order: Sequence[int], wanted: int, bad_share: float) -> list[tuple[Sequence[int], int]]:
        """The cuts of bad and of other labelers, and how many of each become faulty."""
        if not self.bad:
            return [(order, wanted)]
        bad = [number for number in order if self.of_cut[number] in self.bad]
        rest = [number for number in order if self.of_cut[number] not in self.bad]
        num_bad = round(bad_share * wanted)
        return [(bad, num_bad), (rest, wanted - num_bad)]

    def word_rate(self, number: int, config: InjectConfig) -> float:
        """The rate of wrong words of the labeler of a cut.

        Raises:
            SpeechkitError: bad labelers would have to make more errors than words.
        """
        if not self.bad:
            return config.rate
        share = len(self.bad) / len(self.names)
        bad = config.rate * config.bad_share / share
        if bad > 1:
            raise SpeechkitError(
                f"{counted(len(self.bad), 'bad labeler')} of {len(self.names)} can not make {config.bad_share:.0%} of "
                f"errors at rate {config.rate:g}",
                expected="more bad labelers, a lower rate or a lower --bad-share",
            )
        return bad if self.of_cut[number] in self.bad else config.rate * (1 - config.bad_share) / (1 - share)


def plan_utterances(
    source: Source, config: InjectConfig, allowed: Sequence[int], labelers: Labelers | None, counts: Counts
) -> list[Event]:
    """One event in each of exactly round(rate * number of cuts) cuts, in the order of the cuts.

    Args:
        allowed: numbers of the cuts that may become faulty.
    Raises:
        SpeechkitError: fewer cuts can carry a fault of the mix.
    """
    wanted = round(config.rate * len(source.cuts))
    weights = config.weights
    kinds = _kinds(weights, wanted, config.seed)
    order = sorted(allowed, key=lambda k: derive_seed(config.seed, "faulty", source.cuts[k].id))
    quotas = [(order, wanted)] if labelers is None else labelers.quotas(order, wanted, config.bad_share)
    events: list[Event] = []
    for numbers, quota in quotas:
        candidates = iter(numbers)
        target = len(events) + quota
        while len(events) < target:
            event = _next_event(source, kinds[len(events)], candidates, config, counts)
            if event is None:
                raise SpeechkitError(
                    f"{counted(wanted, 'faulty cut')} wanted, but only {len(events)} can carry one of these faults",
                    expected=f"a lower rate, other types than {', '.join(weights)}, or fewer cuts in --exclude",
                )
            events.append(event)
    return sorted(events, key=lambda event: event.number)


def _kinds(weights: Mapping[str, float], wanted: int, seed: int) -> list[str]:
    """The kinds of all events: numbers as near to the weights as whole numbers can be, in random order."""
    exact = np.array(list(weights.values())) * wanted
    numbers = np.floor(exact).astype(int)
    numbers[np.argsort(numbers - exact, kind="stable")[: wanted - numbers.sum()]] += 1
    kinds = [kind for kind, number in zip(weights, numbers.tolist(), strict=True) for _ in range(number)]
    return [kinds[k] for k in rng(seed, "kinds", wanted).permutation(wanted).tolist()]


def _next_event(
    source: Source, kind: str, candidates: Iterator[int], config: InjectConfig, counts: Counts
) -> Event | None:
    """An event of the kind, else of another kind of the mix, at the next cut that can carry one."""
    for number in candidates:
        gen = rng(config.seed, "fault", source.cuts[number].id)
        names = [name for name in config.weights if name != kind]
        others = [names[k] for k in gen.permutation(len(names)).tolist()]
        drawn = (draw_event(source, number, name, gen, counts) for name in (kind, *others))
        event = next((event for event in drawn if event is not None), None)
        if event is None:
            counts.passed_over += 1
        elif event.kind == kind:
            return event
        else:
            counts.replaced[kind] += 1
            return replace(event, details={**event.details, "instead_of": kind})
    return None


def plan_words(source: Source, config: InjectConfig, allowed: Sequence[int], labelers: Labelers | None) -> list[Event]:
    """Events of cuts whose words are wrong by themselves, each at the rate of the configuration or of its labeler."""
    events = []
    for number in allowed:
        rate = config.rate if labelers is None else labelers.word_rate(number, config)
        gen = rng(config.seed, "fault", source.cuts[number].id)
        words = source.words[number]
        fault = inject_words(words, config.weights, rate, gen=gen, vocabulary=source.vocabulary)
        if fault is not None:
            said = text_of(source.cuts[number])
            text, speaker = " ".join(fault.words), source.speakers[number]
            events.append(Event(number, fault.kind, "text", text, said, speaker, fault.wrong_words, fault.wrong_gaps))
    return events
