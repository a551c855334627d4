"""`speechkit cutpaste report`: what a plan makes, how diverse its texts are, and whether its joins can be heard.

JSON: `schema`, `plan` (mode, num_utterances, hours, ...), `inventory` (null when it is gone), `joins` (num,
num_natural, distance_ratio, pitch_jump_semitones, natural_pitch_jump_semitones, click_rate, splice_auc,
splice_auc_same_words) and `texts`: `recorded`, `pasted`, `both`, with the fields of
`speechkit.text.diversity.Diversity` and, with a target, `unseen_bigram_rate` and `oov_rate` in percent of the target's
tokens.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from speechkit import log
from speechkit.artifact import publish_file, write_json
from speechkit.cutpaste.assemble import SUMMARY_FILE
from speechkit.cutpaste.detector import Pair, balance, detectability
from speechkit.cutpaste.inventory import Source
from speechkit.cutpaste.joins import JoinDistances, edge_distances
from speechkit.cutpaste.plan_file import Plan, Planned, joins_of, load_plan
from speechkit.cutpaste.quality import click_levels, pitch_jumps, window_features
from speechkit.cutpaste.renderer import Renderer, load_pool
from speechkit.data.texts import read_texts
from speechkit.errors import SpeechkitError, counted
from speechkit.fingerprint import RUN_FILE, fingerprint
from speechkit.report.html import render, sound_address
from speechkit.report.tables import Table, as_text
from speechkit.rng import rng
from speechkit.text.counts import count_texts
from speechkit.text.diversity import diversity, overlap

SCHEMA = 1
_CLICK_PERCENTILE = 99.9
_PAGE = Path(__file__).parent / "templates" / "report.html.j2"


@dataclass
class Places:
    """Measures at joins, or at natural boundaries between words; one row per place.

    `texts` is the text around each, `words` the words before and behind it ("": not known).
    """

    distances: list[np.ndarray] = field(default_factory=list)
    clicks: list[np.ndarray] = field(default_factory=list)
    jumps: list[np.ndarray] = field(default_factory=list)
    windows: list[np.ndarray] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    words: list[Pair] = field(default_factory=list)

    def add(self, text: str, samples: np.ndarray, places: Sequence[tuple[int, Pair]], sampling_rate: int) -> None:
        """Measure some places of one utterance."""
        if not places:
            return
        at = np.array([place for place, _ in places], np.int64)
        self.distances.append(edge_distances(samples, at, sampling_rate))
        self.clicks.append(click_levels(samples, at, sampling_rate))
        self.jumps.append(pitch_jumps(samples, at, sampling_rate))
        self.windows.append(window_features(samples, at, sampling_rate))
        self.texts += [text] * len(at)
        self.words += [words for _, words in places]


@dataclass(frozen=True)
class Sound:
    """A rendered or recorded utterance for a player."""

    title: str
    text: str
    address: str


def run_report(
    plan: Path,
    *,
    target: Sequence[Path] = (),
    num: int = 300,
    num_players: int = 6,
    json_file: Path | None = None,
    html_file: Path | None = None,
) -> dict[str, Any]:
    """Measure a plan, print the tables, write the files; returns what goes into the JSON.

    Args:
        target: manifests or text files whose word pairs the texts ought to cover.
        num: utterances that are rendered and measured, drawn by the seed of the plan.
    Raises:
        SpeechkitError: no plan, or none of the drawn utterances can be rendered.
    """
    loaded = load_plan(plan)
    chosen = _draw(loaded, num)
    made, natural, sounds = _measure(loaded, chosen, num_players if html_file else 0)
    result: dict[str, Any] = {
        "schema": SCHEMA,
        "plan": loaded.header,
        "inventory": _inventory_summary(plan),
        "joins": {"num_utterances": len(chosen), **_join_numbers(made, natural)},
        "texts": _text_numbers(loaded, read_texts(target) if target else None),
    }
    tables = _tables(result)
    print("\n\n".join(f"{table.title}\n{as_text(table)}" for table in tables))
    if json_file is not None:
        write_json(json_file, result)
    if html_file is not None:
        page = render(_PAGE, title="Cut and paste", plan=str(plan), tables=tables, sounds=sounds)
        with publish_file(html_file) as stream:
            stream.write(page)
    return result


def _draw(plan: Plan, num: int) -> list[Planned]:
    size = min(num, len(plan.utterances))
    rows = rng(int(plan.header.get("seed", 0)), "cutpaste report").choice(len(plan.utterances), size, replace=False)
    return [plan.utterances[row] for row in sorted(rows.tolist())]


def _measure(plan: Plan, chosen: Sequence[Planned], num_players: int) -> tuple[Places, Places, list[Sound]]:
    wanted = sorted({piece.source for utterance in chosen for piece in utterance.pieces})
    pool = load_pool(plan.sources, wanted)
    good = [u for u in chosen if not any(piece.source in pool.faults for piece in u.pieces)]
    if not good:
        raise SpeechkitError("no utterance of the plan can be rendered", where=sorted(set(pool.faults.values())))
    if len(good) < len(chosen):
        log.warn(f"{len(chosen) - len(good)} of {len(chosen)} utterances need audio that is not usable: left out")
    made, natural, sounds = Places(), Places(), []
    renderer = Renderer(plan, good, pool)
    for index, utterance in enumerate(log.track(good, "measuring", unit="utt")):
        samples = renderer(index)
        made.add(utterance.text, samples, joins_of(utterance), plan.sampling_rate)
        if index < num_players:
            address = sound_address(samples, plan.sampling_rate)
            sounds.append(Sound(f"{utterance.utt_id} ({utterance.speaker})", utterance.text, address))
    for number, samples in _recorded(plan, wanted, pool.samples, pool.first):
        source = plan.sources[number]
        natural.add(source.text, samples, _boundaries(source), plan.sampling_rate)
        if len(sounds) < 2 * num_players:
            address = sound_address(samples, plan.sampling_rate)
            sounds.append(Sound(f"recorded: {source.utt_id}", source.text, address))
    return made, natural, sounds


def _boundaries(source: Source) -> list[tuple[int, Pair]]:
    """Natural boundaries of a recording; their words are known where no word is left out and no gap is long."""
    words = source.text.split()
    pairs = list(itertools.pairwise(words))
    if len(pairs) != len(source.boundaries):
        pairs = [("", "")] * len(source.boundaries)
    return list(zip(source.boundaries, pairs, strict=True))


def _recorded(
    plan: Plan, wanted: Sequence[int], samples: np.ndarray, first: np.ndarray
) -> Iterator[tuple[int, np.ndarray]]:
    for number in wanted:
        if first[number] >= 0:
            start = int(first[number])
            yield number, samples[start : start + plan.sources[number].num_samples] / np.float32(32768)


def _join_numbers(made: Places, natural: Places) -> dict[str, Any]:
    """Rates in percent; null where there is nothing to compare."""
    numbers: dict[str, Any] = {"num": len(made.texts), "num_natural": len(natural.texts)}
    keys = (
        "distance_ratio", "pitch_jump_semitones", "natural_pitch_jump_semitones", "click_rate", "splice_auc",
        "splice_auc_same_words",
    )  # fmt: skip
    if not made.texts or not natural.texts:
        return numbers | dict.fromkeys(keys)
    distances = JoinDistances(np.concatenate(made.distances), np.concatenate(natural.distances))
    limit = np.percentile(np.concatenate(natural.clicks), _CLICK_PERCENTILE)
    values = (
        distances.ratio,
        _percentile_95(made.jumps),
        _percentile_95(natural.jumps),
        100.0 * float((np.concatenate(made.clicks) > limit).mean()),
        _splice_auc(made, natural, same_words=False),
        _splice_auc(made, natural, same_words=True),
    )
    return numbers | {k: None if v is None else round(v, 3) for k, v in zip(keys, values, strict=True)}


def _splice_auc(made: Places, natural: Places, *, same_words: bool) -> float | None:
    windows = (np.concatenate(made.windows), np.concatenate(natural.windows))
    weights = balance(made.words, natural.words) if same_words else None
    area = detectability(*windows, made.texts, natural.texts, weights)
    return None if np.isnan(area) else area


def _percentile_95(jumps: Sequence[np.ndarray]) -> float | None:
    found = np.concatenate(jumps)
    return float(np.percentile(found, 95)) if len(found) else None


def _text_numbers(plan: Plan, target: list[str] | None) -> dict[str, Any]:
    recorded = [source.text for source in plan.sources]
    pasted = [utterance.text for utterance in plan.utterances]
    numbers: dict[str, Any] = {}
    for name, texts in (("recorded", recorded), ("pasted", pasted), ("both", recorded + pasted)):
        vocabulary: dict[str, int] = {}
        own = count_texts(texts, vocabulary)
        numbers[name] = dataclasses.asdict(diversity(own))
        if target is not None:
            shared = overlap(own, count_texts(target, vocabulary))
            numbers[name] |= {
                "oov_rate": round(100.0 * shared.oov_rate, 3),
                "unseen_bigram_rate": round(100.0 * shared.unseen_bigram_rate, 3),
            }
    return numbers


def _inventory_summary(plan: Path) -> dict[str, Any] | None:
    """The counts of the inventory that the plan was made from, null when it is not where it was, or was made anew."""
    try:
        made_from = json.loads((plan / RUN_FILE).read_text(encoding="utf-8"))["inputs"]["inventory"]
        folder = Path(made_from["path"])
        summary: dict[str, Any] = json.loads((folder / SUMMARY_FILE).read_text(encoding="utf-8"))
        is_the_same = fingerprint(folder) == made_from["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not is_the_same:
        log.warn(f"`{folder}` is no longer the inventory of this plan: its counts are left out; make the plan again")
        return None
    return summary


_TEXT_ROWS = [
    ("utterances", "num_utterances", 0),
    ("different texts", "num_texts", 0),
    ("effective number of texts", "effective_texts", 1),
    ("Simpson number of texts", "simpson_texts", 1),
    ("bigram types", "bigram_types", 0),
    ("conditional entropy, bits", "conditional_entropy_bits", 2),
    ("zlib ratio", "zlib_ratio", 3),
    ("target words never said, %", "oov_rate", 2),
    ("target bigrams never said, %", "unseen_bigram_rate", 2),
]
_JOIN_ROWS = [
    ("joins measured", "num", ""),
    ("natural boundaries measured", "num_natural", ""),
    ("join distance over natural", "distance_ratio", "1: as between neighbouring words; at most 1.5"),
    ("pitch jump, 95th percentile, semitones", "pitch_jump_semitones", "voiced on both sides"),
    ("the same at natural boundaries", "natural_pitch_jump_semitones", ""),
    ("clicks, % of joins", "click_rate", "above the 99.9th percentile of natural boundaries"),
    ("splice detector, area under the curve", "splice_auc", "0.5: joins cannot be told; at most 0.65"),
    (
        "the same, words alike",
        "splice_auc_same_words",
        "joins and boundaries with words equally frequent on both sides",
    ),
]


def _tables(result: dict[str, Any]) -> list[Table]:
    joins, texts = result["joins"], result["texts"]
    rows = [[name, "-" if joins[key] is None else f"{joins[key]:g}", note] for name, key, note in _JOIN_ROWS]
    tables = [Table("Joins", ["measure", "value", "meaning"], rows)]
    shown = [(name, key, digits) for name, key, digits in _TEXT_ROWS if key in texts["both"]]
    sets = ["recorded", "pasted", "both"]
    rows = [[name, *(f"{texts[part][key]:.{digits}f}" for part in sets)] for name, key, digits in shown]
    tables.append(Table("Texts", ["measure", *sets], rows))
    summary = result["inventory"]
    plan = result["plan"]
    shown_plan = {key: value for key, value in plan.items() if isinstance(value, str | int | float)}
    rows = [[key.removeprefix("num_").replace("_", " "), str(value)] for key, value in shown_plan.items()]
    tables.append(Table("Plan", ["item", "value"], rows))
    if summary is not None:
        sizes = summary["num_snippets"].items()
        kept = [[f"snippets of {counted(int(size), 'word')}", str(count)] for size, count in sizes]
        dropped = [[f"left out: {kind}", str(count)] for kind, count in summary["dropped"].items()]
        hours = [["hours recorded", f"{summary['hours']:.2f}"], ["speakers", str(summary["num_speakers"])]]
        tables.append(Table("Inventory", ["item", "value"], hours + kept + dropped))
    return tables
