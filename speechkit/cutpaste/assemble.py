"""`speechkit cutpaste inventory`: from cuts with word alignments to an inventory of words that may be pasted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from speechkit import log
from speechkit.artifact import make_artifact, publish_file, write_json
from speechkit.cutpaste.collect import Collected, Dropped, collect_cut
from speechkit.cutpaste.config import InventoryConfig
from speechkit.cutpaste.edges import NUM_MFCC
from speechkit.cutpaste.inventory import Inventory, load_inventory, make_snippets, save_inventory
from speechkit.data.prepare import bad_count_limit
from speechkit.data.store import CUTS_FILE, audio_path, load_cuts
from speechkit.errors import SpeechkitError

if TYPE_CHECKING:
    from lhotse import MonoCut

DROPPED_FILE = "dropped.tsv"
SUMMARY_FILE = "inventory.json"
_MIN_NUM_FOR_MEAN = 4


def run_inventory(config: InventoryConfig, *, cuts: Path, out: Path, num_jobs: int = 1, force: bool = False) -> None:
    """Make the inventory `out` of a manifest and print its size.

    Raises:
        SpeechkitError: no word can be used, more utterances than `max_bad` are unusable (audio that cannot be read,
            no word times that fit the text, no speaker), or rates differ.
    """
    manifest = cuts / CUTS_FILE if cuts.is_dir() else cuts
    bad_count_limit(config.max_bad, 0)  # a wrong value shows before the work
    found = list(load_cuts(manifest))

    def build(folder: Path) -> None:
        _build(config, found, folder, num_jobs=num_jobs)

    audio = [audio_path(cut) for cut in found]
    if make_artifact(
        out, command="cutpaste inventory", config=config, inputs={"cuts": manifest}, audio=audio, build=build,
        force=force,
    ):  # fmt: skip
        inventory = load_inventory(out)
        num_chunks = len(inventory.snippets) - len(inventory.tokens)
        print(
            f"{out}: {len(inventory.tokens)} words and {num_chunks} chunks of {len(inventory.words)} different words,"
            f" {len(inventory.speakers)} speakers, {len(inventory.sources)} utterances"
        )


def _build(config: InventoryConfig, cuts: Sequence[MonoCut], folder: Path, *, num_jobs: int) -> None:
    _check_rates(cuts)
    with ThreadPoolExecutor(num_jobs) as pool:
        results = pool.map(lambda cut: collect_cut(cut, config), cuts)
        collected = list(log.track(results, "cutting", total=len(cuts)))
    dropped = [word for item in collected for word in item.dropped]
    unusable = [f"{word.utt_id}  {word.reason}" for word in dropped if word.position < 0]
    if bad_count_limit(config.max_bad, len(cuts)) < len(unusable) < len(cuts):
        raise SpeechkitError(
            f"{len(unusable)} of {len(cuts)} utterances cannot be used",
            where=unusable,
            hint=f"mend them (`speechkit align forced` finds word times), or skip them with --max-bad {len(unusable)}",
        )
    good = [item for item in collected if len(item.tokens)]
    if not good:
        raise SpeechkitError(
            f"none of {len(cuts)} utterances has a word that may be pasted",
            where=[f"{word.utt_id}  {word.reason}" for word in dropped],
            hint="the cuts need word times: `speechkit align forced`",
        )
    inventory = _assemble(good, config)
    save_inventory(inventory, folder)
    _tell_dropped(dropped, folder)
    _write_summary(inventory, dropped, num_utterances=len(cuts), folder=folder)


def _check_rates(cuts: Sequence[MonoCut]) -> None:
    rates: dict[int, str] = {}
    for cut in cuts:
        rates.setdefault(cut.recording.sampling_rate, cut.id)
    if len(rates) > 1:
        raise SpeechkitError(
            "the utterances differ in sampling rate",
            where=[f"{rate} Hz, for example {utt_id}" for rate, utt_id in sorted(rates.items())],
            hint="make one inventory per sampling rate",
        )


def _assemble(collected: Sequence[Collected], config: InventoryConfig) -> Inventory:
    """One inventory from the parts of all cuts; words and speakers in the order of their names."""
    # neighbours may be words that are not pasted themselves: they get numbers after the others
    pasted = sorted({symbol for item in collected for symbol, _, _ in item.symbols})
    beside = {symbol for item in collected for _, *sides in item.symbols for symbol in sides if symbol is not None}
    words = [*pasted, *sorted(beside - set(pasted))]
    numbers: dict[str | None, int] = {None: -1, **{word: number for number, word in enumerate(words)}}
    sources = [item.source for item in collected if item.source is not None]
    tokens = np.concatenate([item.tokens for item in collected])
    tokens["source"] = np.repeat(np.arange(len(sources)), [len(item.tokens) for item in collected])
    triples = [numbers[symbol] for item in collected for triple in item.symbols for symbol in triple]
    tokens["word"], tokens["left"], tokens["right"] = np.array(triples).reshape(-1, 3).T
    speakers = sorted({source.speaker for source in sources})
    number_of = {speaker: number for number, speaker in enumerate(speakers)}
    speaker_of_source = np.array([number_of[source.speaker] for source in sources], np.int32)
    speaker_of_token = speaker_of_source[tokens["source"]]
    tokens["duration_z"] = _duration_z(tokens, speaker_of_token, len(words))
    edges = np.concatenate([item.edges for item in collected])
    _normalize_edges(edges, speaker_of_token)
    snippets = make_snippets(tokens, speaker_of_source, num_words=len(words), longest=config.max_words)
    return Inventory(tokens, edges.astype(np.float16), snippets, words, speakers, sources)


def _duration_z(tokens: np.ndarray, speaker_of_token: np.ndarray, num_words: int) -> np.ndarray:
    """Log durations, less the speaker's tempo, as deviations from the mean of the word; 0 for rare words."""
    logs = np.log(np.maximum(tokens["end"] - tokens["start"], 1).astype(np.float64))
    logs -= _group_means(logs, speaker_of_token)[0][speaker_of_token]
    means, counts = _group_means(logs, tokens["word"], num_words)
    variances, _ = _group_means(np.square(logs - means[tokens["word"]]), tokens["word"], num_words)
    z = (logs - means[tokens["word"]]) / np.sqrt(np.maximum(variances, 0.05**2))[tokens["word"]]
    result: np.ndarray = np.where(counts[tokens["word"]] >= _MIN_NUM_FOR_MEAN, z, 0.0)
    return result


def _group_means(values: np.ndarray, groups: np.ndarray, num_groups: int = 0) -> tuple[np.ndarray, np.ndarray]:
    counts = np.bincount(groups, minlength=num_groups)
    return np.bincount(groups, weights=values, minlength=num_groups) / np.maximum(counts, 1), counts


def _normalize_edges(edges: np.ndarray, speaker_of_token: np.ndarray) -> None:
    """Give the cepstrum and the power of each speaker zero mean and unit variance, in place."""
    columns = [*range(NUM_MFCC), NUM_MFCC + 1]
    for speaker in np.unique(speaker_of_token).tolist():
        rows = np.flatnonzero(speaker_of_token == speaker)
        own = edges[rows][:, :, columns]
        flat = own.reshape(-1, len(columns))
        spread = np.maximum(flat.std(axis=0), 1e-3)
        edges[rows[:, None, None], np.arange(2)[:, None], columns] = (own - flat.mean(axis=0)) / spread


def _tell_dropped(dropped: Sequence[Dropped], folder: Path) -> None:
    if not dropped:
        return
    with publish_file(folder / DROPPED_FILE) as stream:
        stream.write("id\tposition\tword\treason\n")
        stream.writelines(f"{item.utt_id}\t{item.position}\t{item.word}\t{item.reason}\n" for item in dropped)
    counts = Counter(item.kind for item in dropped)
    log.warn(
        f"{sum(counts.values())} items may not be pasted ({', '.join(f'{n} {k}' for k, n in sorted(counts.items()))}); "
        f"they are listed in {DROPPED_FILE}"
    )


def _write_summary(inventory: Inventory, dropped: Sequence[Dropped], *, num_utterances: int, folder: Path) -> None:
    speech = float((inventory.tokens["cut_end"] - inventory.tokens["cut_start"]).sum()) / inventory.sampling_rate
    summary: dict[str, Any] = {
        "num_utterances": num_utterances,
        "num_used_utterances": len(inventory.sources),
        "hours": round(sum(s.num_samples / s.sampling_rate for s in inventory.sources) / 3600, 4),
        "word_hours": round(speech / 3600, 4),
        "sampling_rate": inventory.sampling_rate,
        "num_speakers": len(inventory.speakers),
        "num_different_words": len(np.unique(inventory.tokens["word"])),
        "num_snippets": {
            str(size): int((inventory.snippets["num_words"] == size).sum())
            for size in np.unique(inventory.snippets["num_words"]).tolist()
        },
        "num_without_room_tone": sum(source.room_start < 0 for source in inventory.sources),
        "dropped": dict(sorted(Counter(item.kind for item in dropped).items())),
    }
    write_json(folder / SUMMARY_FILE, summary)
