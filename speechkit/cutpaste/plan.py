"""`speechkit cutpaste plan`: speakers, texts, pauses and snippets of new utterances, from an inventory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from speechkit import log
from speechkit.artifact import make_artifact
from speechkit.cutpaste.config import PasteConfig, PlanConfig
from speechkit.cutpaste.exclude import Exclusion, read_exclusion
from speechkit.cutpaste.inventory import Inventory, load_inventory
from speechkit.cutpaste.plan_file import Plan, Planned, load_plan, save_plan
from speechkit.cutpaste.select import Selector, pieces_of, selection_seed
from speechkit.cutpaste.textgen import Draft, Material, Planner, Sentence, SpeakerView, make_planner
from speechkit.data.corpora.items import is_file_name
from speechkit.data.texts import read_texts
from speechkit.errors import ConfigError, SpeechkitError
from speechkit.rng import rng

_MAX_TRIES = 200
_TRIES_FOR_NEW_TEXT = 20


@dataclass(frozen=True)
class TextFiles:
    """Files a plan depends on besides the inventory: texts never to be made, and texts to be like."""

    exclude: tuple[Path, ...] = ()
    target: tuple[Path, ...] = ()


def run_plan(
    config: PlanConfig, *, inventory: Path, out: Path, files: TextFiles = TextFiles(), force: bool = False
) -> None:
    """Make the plan `out` and print its size.

    Raises:
        ConfigError: target texts are missing or the prefix is no name; SpeechkitError: no texts can be made.
    """
    if not is_file_name(id_of(config, 0)):
        raise ConfigError(f"the prefix {config.prefix!r} can not begin the name of a file")
    inputs = {"inventory": inventory}
    inputs |= {f"exclude{i}": path for i, path in enumerate(files.exclude)}
    inputs |= {f"target{i}": path for i, path in enumerate(files.target)}

    def build(folder: Path) -> None:
        loaded = load_inventory(inventory)
        target = read_texts(files.target)
        exclusion = read_exclusion(files.exclude, loaded.words)
        plan = make_plan(loaded, config, exclusion=exclusion, target=target)
        save_plan(plan, folder)
        _tell(plan)

    if make_artifact(out, command="cutpaste plan", config=config, inputs=inputs, build=build, force=force):
        plan = load_plan(out)
        print(f"{out}: {plan.header['num_utterances']} utterances, {plan.header['hours']:.2f} h, "
              f"{plan.header['num_texts']} different texts, {plan.header['num_excluded']} drafts excluded")  # fmt: skip


def id_of(config: PlanConfig, index: int) -> str:
    """The id of an utterance of a plan."""
    return f"{config.prefix or f'cp-{config.text.mode}-{config.seed}'}-{index:06d}"


def make_plan(inventory: Inventory, config: PlanConfig, *, exclusion: Exclusion, target: Sequence[str] = ()) -> Plan:
    """A plan in memory; sources it does not use are left out.

    Raises:
        ConfigError: target texts are missing; SpeechkitError: no texts can be made.
    """
    maker = _Maker(inventory, config, exclusion, target)
    utterances = list(log.track(maker.utterances(), "planning"))
    header = {
        "mode": config.text.mode,
        "seed": config.seed,
        "num_utterances": len(utterances),
        "hours": round(sum(u.num_samples for u in utterances) / inventory.sampling_rate / 3600, 4),
        "num_texts": len({u.text for u in utterances}),
        "num_recorded_texts_repeated": maker.num_repeated,
        "num_excluded": exclusion.count,
        "num_joins": sum(len(u.pieces) - 1 for u in utterances),
        "mean_cost": round(float(np.mean([u.cost for u in utterances])), 4),
        "num_words_used": int((maker.select.tables.uses > 0).sum()),
        "num_words": len(inventory.tokens),
    }
    used = sorted({piece.source for u in utterances for piece in u.pieces})
    number_of = {source: number for number, source in enumerate(used)}
    return Plan(
        utterances=[
            replace(u, pieces=tuple(replace(p, source=number_of[p.source]) for p in u.pieces)) for u in utterances
        ],
        sources=[inventory.sources[source] for source in used],
        gains_db=[maker.gains_db[source] for source in used],
        paste=config.paste,
        header=header,
    )


class _Maker:
    """State while a plan is made: uses of snippets, coverage, texts so far."""

    def __init__(self, inventory: Inventory, config: PlanConfig, exclusion: Exclusion, target: Sequence[str]) -> None:
        self.inventory, self.config, self.exclusion = inventory, config, exclusion
        self.select = Selector(inventory, config.join)
        self.views = speaker_views(inventory, together=config.speakers == "any")
        numbers = {word: number for number, word in enumerate(inventory.words)}
        train = tuple(sentence.words for view in self.views for sentence in view.sentences)
        targets = tuple(tuple(numbers.get(word, -1) for word in text.split()) for text in target)
        self.planner: Planner = make_planner(Material(train, targets, len(inventory.words)), config.text)
        self.recorded = {source.text for source in inventory.sources}
        self.said: set[tuple[int, str]] = set()
        self.num_repeated = 0
        self.gains_db = gains_db(inventory, config)
        self.has_room = [source.room_start >= 0 for source in inventory.sources]

    def utterances(self) -> Iterator[Planned]:
        """The utterances of the plan, the speakers taking turns."""
        shares = _shares(self.inventory, self.config)
        wanted = self._wanted_seconds()
        said = np.zeros(len(shares))
        num, seconds = 0, 0.0
        while num < self.config.num if self.config.num is not None else seconds < wanted:
            view = int(np.argmax(shares * (said.sum() + 1e-9) - said)) if num else int(np.argmax(shares))
            utterance = self._utterance(num, view)
            own = utterance.num_samples / self.inventory.sampling_rate
            said[view] += own
            num, seconds = num + 1, seconds + own
            yield utterance

    def _wanted_seconds(self) -> float:
        if self.config.hours is not None:
            return self.config.hours * 3600
        recorded = sum(source.num_samples for source in self.inventory.sources) / self.inventory.sampling_rate
        return (self.config.ratio or 0.0) * recorded

    def _utterance(self, index: int, view: int) -> Planned:
        utt_id = id_of(self.config, index)
        gen = rng(self.config.seed, "plan", utt_id)
        draft, text = self._new_text(view, gen)
        words = np.array(draft.words, np.int64)
        paste, rate = self.config.paste, self.inventory.sampling_rate
        wishes = _pauses(paste, len(words), rate, gen)
        choice = self.select(
            words, wishes, speaker=-1 if self.config.speakers == "any" else view,
            seed=selection_seed(self.config.seed, utt_id), kept_source=draft.source,
        )  # fmt: skip
        if choice is None:
            raise SpeechkitError(f"the text {text!r} can not be said with the words of its speaker")
        pieces = pieces_of(self.inventory, choice)
        ends = np.cumsum([size for _, size in choice.runs])
        rooms = [self.has_room[piece.source] for piece in pieces]
        pauses = tuple(
            int(wishes[end - 1]) if rooms[place] or rooms[place + 1] else 0
            for place, end in enumerate(ends[:-1].tolist())
        )
        lead, tail = (round(float(gen.uniform(*paste.lead_ms)) * rate / 1000) * any(rooms) for _ in range(2))
        speaker = "mixed" if self.config.speakers == "any" else self.inventory.speakers[view]
        return Planned(utt_id, speaker, text, pieces, pauses, lead, tail, round(choice.cost, 4))

    def _new_text(self, view: int, gen: np.random.Generator) -> tuple[Draft, str]:
        """A text that is not excluded, and if possible neither recorded nor planned for this speaker before."""
        fallback: tuple[Draft, str] | None = None
        for attempt in range(_MAX_TRIES):
            draft = self.planner(self.views[view], gen)
            text = " ".join(self.inventory.words[word] for word in draft.words)
            if not draft.words or self.exclusion.hits(text):
                continue
            if text not in self.recorded and (view, text) not in self.said:
                self.said.add((view, text))
                return draft, text
            fallback = fallback or (draft, text)
            if attempt >= _TRIES_FOR_NEW_TEXT:
                break
        if fallback is None:
            raise SpeechkitError(
                f"no text of {_MAX_TRIES} drafts in mode {self.config.text.mode} may be used",
                where=f"{self.exclusion.count} drafts were excluded",
                hint="exclude fewer texts, allow other lengths with text.min_words and text.max_words, or another mode",
            )
        self.num_repeated += fallback[1] in self.recorded
        return fallback


def _pauses(paste: PasteConfig, num_words: int, rate: int, gen: np.random.Generator) -> np.ndarray:
    """Samples of the pause wished for after each word, mostly 0; the last has none."""
    is_pause = gen.random(num_words) < paste.pause_prob
    sizes = np.round(gen.uniform(*paste.pause_ms, size=num_words) * rate / 1000).astype(np.int64)
    sizes[~is_pause] = 0
    sizes[-1:] = 0
    return sizes


def speaker_views(inventory: Inventory, *, together: bool) -> list[SpeakerView]:
    """What each speaker has, or one view of all."""
    tokens = inventory.tokens
    owners = np.zeros(len(inventory.sources), np.int64) if together else inventory.speaker_of_source().astype(np.int64)
    sources, words = np.array(tokens["source"]), np.array(tokens["word"]).tolist()
    bounds = np.searchsorted(sources, np.arange(len(inventory.sources) + 1)).tolist()
    sentences: list[list[Sentence]] = [[] for _ in range(int(owners.max()) + 1)]
    for source, owner in enumerate(owners.tolist()):
        own = tuple(words[bounds[source] : bounds[source + 1]])
        sentences[owner].append(Sentence(own, source))
    views = []
    for own_sentences in sentences:
        allowed = frozenset(word for sentence in own_sentences for word in sentence.words)
        views.append(SpeakerView(np.array(sorted(allowed), np.int64), allowed, tuple(own_sentences)))
    return views


def gains_db(inventory: Inventory, config: PlanConfig) -> list[float]:
    """Gain of each source in dB that brings it to the median loudness of its speaker, or of all speakers."""
    levels = np.array([source.level_db for source in inventory.sources])
    owners = inventory.speaker_of_source()
    if config.speakers == "any":
        owners = np.zeros_like(owners)
    medians = np.array([np.median(levels[owners == owner]) for owner in range(int(owners.max()) + 1)])
    limit = config.paste.max_gain_db
    return [round(float(gain), 2) for gain in np.clip(medians[owners] - levels, -limit, limit)]


def _shares(inventory: Inventory, config: PlanConfig) -> np.ndarray:
    """Share of the planned seconds of each view."""
    if config.speakers == "any":
        return np.ones(1)
    owners = inventory.speaker_of_source()
    seconds = np.bincount(owners, weights=[float(source.num_samples) for source in inventory.sources])
    shares: np.ndarray = np.ones(len(seconds)) if config.balance == "equal" else seconds
    shares = shares / shares.sum()
    return shares


def _tell(plan: Plan) -> None:
    header = plan.header
    repeated = header["num_recorded_texts_repeated"]
    if repeated:
        log.warn(f"{repeated} of {header['num_utterances']} utterances repeat a recorded text")
    speakers = Counter(utterance.speaker for utterance in plan.utterances)
    log.info(
        f"{header['num_utterances']} utterances of {len(speakers)} speakers, {header['hours']:.2f} h, "
        f"{header['num_texts']} different texts, {header['num_joins']} joins, mean cost {header['mean_cost']:.2f}, "
        f"{header['num_words_used']} of {header['num_words']} recorded words used; "
        f"{header['num_excluded']} drafts were excluded"
    )
