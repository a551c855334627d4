"""What an evaluation set shares with training: utterances, audio, and the keys its split promised not to share.

A trained model keeps hashes of what it was trained on (`training_set.safetensors`), so that decoding and scoring can
tell later, without the training manifests. Promises are made by `data split` and stand in `custom.promise` of a cut.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from speechkit import log
from speechkit.artifact import publish_file
from speechkit.data.split.keys import Hashes, field_value, heard_words, text_key, variants
from speechkit.data.stream import manifest_path, stream_cuts
from speechkit.errors import NUM_SHOWN, CheckFailed, SpeechkitError
from speechkit.rng import derive_seed

if TYPE_CHECKING:
    from lhotse import MonoCut

TRAINING_SET_FILE = "training_set.safetensors"
PROMISE = "promise"
ALWAYS_KEPT = ("speaker", "text")
_EDGE_MS = 500  # neighbouring segments may touch by so much
_PATH_STEP = 1 << 40  # milliseconds of audio in one file are far fewer


@dataclass(frozen=True)
class Heard:
    """An utterance as far as overlap goes: its id, its stretch of an audio file, its fields and its promise."""

    utt_id: str
    audio: str
    start_ms: int
    end_ms: int
    supervision: Mapping[str, Any]
    cut: Mapping[str, Any]

    def value(self, key: str) -> str | None:
        """The value of a key in the form in which it is compared; None when there is nothing to compare."""
        value = field_value(key, self.supervision, self.cut)
        return (text_key(value) if key == "text" and value is not None else value) or None

    @property
    def promise(self) -> tuple[tuple[str, ...], int]:
        """The keys that no training data may share with it, and from how many words on near texts count."""
        promise = (self.cut.get("custom") or {}).get(PROMISE)
        if not isinstance(promise, dict):
            return (), 0
        return tuple(promise.get("disjoint") or ()), int(promise.get("near_words") or 0)


def heard_of_cuts(cuts: Iterable[MonoCut]) -> Iterator[Heard]:
    """The utterances of loaded cuts with one supervision each."""
    folders: dict[str, str] = {}
    for cut in cuts:
        audio = _real_path(cut.recording.sources[0].source, folders)
        start, end = round(1000 * cut.start), round(1000 * (cut.start + cut.duration))
        yield Heard(cut.id, audio, start, end, vars(cut.supervisions[0]) if cut.supervisions else {}, vars(cut))


def heard_of_manifest(path: Path) -> Iterator[Heard]:
    """The utterances of a manifest, without lhotse."""
    folders: dict[str, str] = {}
    base = manifest_path(path).parent.resolve()
    for _, cut in stream_cuts(path):
        sources = (cut.get("recording") or {}).get("sources") or [{}]
        audio = _real_path(os.path.join(base, str(sources[0].get("source", cut["id"]))), folders)
        start = float(cut.get("start") or 0.0)
        supervisions = cut["supervisions"] or [{}]
        yield Heard(
            cut["id"], audio, round(1000 * start), round(1000 * (start + cut["duration"])), supervisions[0], cut
        )


def _real_path(path: str, folders: dict[str, str]) -> str:
    folder, name = os.path.split(path)
    if folder not in folders:
        folders[folder] = os.path.realpath(folder)
    return f"{folders[folder]}/{name}"


@dataclass(frozen=True)
class TrainingSet:
    """Hashes of training data, each array sorted.

    ids: of the utterances.  paths: of the audio files.  starts, ends: (K,) `path number * 2^40 + ms` of the start of
    each stretch, and of the last end of it and those before it in its file.  values: by key, those that occur;
    `text~N` and its parts hold what texts of N words or more become by one word more, less or other.
    """

    ids: Hashes
    paths: Hashes
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    values: dict[str, Hashes]

    def save(self, path: Path) -> None:
        """Write it; the same training data give the same bytes."""
        arrays = {"ids": self.ids, "paths": self.paths, "starts": self.starts, "ends": self.ends}
        with publish_file(path, "wb") as stream:
            stream.write(save(arrays | {f"values.{key}": self.values[key] for key in sorted(self.values)}))


def load_training_set(exp: Path) -> TrainingSet | None:
    """What the model in a folder was trained on, None when it does not say.

    Raises:
        SpeechkitError: the file is damaged.
    """
    path = exp / TRAINING_SET_FILE
    if not path.is_file():
        return None
    try:
        arrays = load_file(path)
        values = {name.removeprefix("values."): array for name, array in arrays.items() if name.startswith("values.")}
        return TrainingSet(arrays["ids"], arrays["paths"], arrays["starts"], arrays["ends"], values)
    except (SafetensorError, KeyError, ValueError) as error:
        raise SpeechkitError(f"`{path}` is damaged", where=str(error), hint="train again, or restore it") from None


def training_set(training: Iterable[Heard], evaluation: Iterable[Heard] = ()) -> TrainingSet:
    """What was trained on, with every key that the training or evaluation data promise something about."""
    items = list(training)
    promises = {item.promise for item in items} | {item.promise for item in evaluation}
    keys = dict.fromkeys([*ALWAYS_KEPT, *sorted(key for keys, _ in promises for key in keys)])
    values = {key: _hashes(key, {value for item in items if (value := item.value(key)) is not None}) for key in keys}
    for near_words in sorted({near for _, near in promises} - {0}):
        values |= _near_hashes({str(item.supervision.get("text") or "") for item in items}, near_words)
    audio = _numbers("audio", [item.audio for item in items])
    paths, number = np.unique(audio, return_inverse=True)
    starts = number * _PATH_STEP + np.array([item.start_ms for item in items], np.int64)
    order = np.argsort(starts, kind="stable")
    ends = (number * _PATH_STEP + np.array([item.end_ms for item in items], np.int64))[order]
    ids = _hashes("id", {item.utt_id for item in items})
    return TrainingSet(ids, paths, starts[order], np.maximum.accumulate(ends), values)


def training_texts(texts: Iterable[str], evaluation: Iterable[Heard]) -> TrainingSet:
    """Training of which nothing but the texts are known."""
    made = [Heard(f"~{number}", f"~{number}", 0, 1, {"text": text}, {}) for number, text in enumerate(texts)]
    known = training_set(made, evaluation)
    return replace(known, values={key: found for key, found in known.values.items() if key.startswith("text")})


def _numbers(kind: str, values: Iterable[str]) -> Hashes:
    seen: dict[str, int] = {}
    return np.array(
        [seen[v] if v in seen else seen.setdefault(v, derive_seed(0, kind, v, bits=64)) for v in values], np.uint64
    )


def _hashes(kind: str, values: Iterable[str]) -> Hashes:
    return np.sort(_numbers(kind, values))


def _near_hashes(texts: Iterable[str], near_words: int) -> dict[str, Hashes]:
    found = variants([heard_words(text) for text in sorted(texts)], near_words)
    parts = {"full": found.full, "less": found.less, "other": found.other}
    return {f"text~{near_words}.{part}": np.unique(array) for part, array in parts.items()}


@dataclass(frozen=True)
class Overlap:
    """What an evaluation set shares with training.

    num_utterances: of the set.  by: ids of the utterances that share their `id`, `audio` or a promised key.
    unchecked: promised keys of which the model does not say what it was trained on.
    """

    num_utterances: int
    by: dict[str, list[str]] = field(default_factory=dict)
    unchecked: list[str] = field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        """Utterances that share anything."""
        return sorted(set().union(*self.by.values()))

    def summary(self) -> dict[str, Any]:
        """Plain values for `--json`: counts, the share in percent, and the first ids."""
        ids = self.ids
        return {
            "num_utterances": self.num_utterances,
            "num_overlapping": len(ids),
            "percent": round(100 * len(ids) / max(1, self.num_utterances), 4),
            "by": {kind: len(found) for kind, found in self.by.items()},
            "unchecked": self.unchecked,
            "examples": ids[:NUM_SHOWN],
        }


def find_overlap(evaluation: Iterable[Heard], known: TrainingSet) -> Overlap:
    """What an evaluation set shares with the training data of a model.

    Everything is compared by utterance id and stretch of audio; the keys of a promise only where it was made.
    """
    items = list(evaluation)
    by: dict[str, list[str]] = {}
    for kind, hits in (
        ("id", np.isin(_numbers("id", [item.utt_id for item in items]), known.ids)),
        ("audio", _shares_audio(items, known)),
    ):
        by[kind] = [items[i].utt_id for i in np.flatnonzero(hits).tolist()]
    unchecked = []
    promised = [item.promise for item in items]
    for key in dict.fromkeys(key for keys, _ in promised for key in keys):
        bound = [item for item, (keys, _) in zip(items, promised, strict=True) if key in keys]
        if key not in known.values:
            unchecked.append(key)
            continue
        hits = np.isin(_numbers(key, [item.value(key) or "" for item in bound]), known.values[key])
        hits &= np.array([item.value(key) is not None for item in bound], np.bool_)
        if key == "text":
            hits |= _shares_near_text(bound, known)
        by[key] = [bound[i].utt_id for i in np.flatnonzero(hits).tolist()]
    return Overlap(len(items), {kind: found for kind, found in by.items() if found}, unchecked)


def _shares_audio(items: list[Heard], known: TrainingSet) -> npt.NDArray[np.bool_]:
    if not len(known.paths) or not items:
        return np.zeros(len(items), np.bool_)
    audio = _numbers("audio", [item.audio for item in items])
    number = np.minimum(np.searchsorted(known.paths, audio), len(known.paths) - 1)
    edge = np.array([min(_EDGE_MS, (item.end_ms - item.start_ms) // 2) for item in items], np.int64)
    start = number * _PATH_STEP + np.array([item.start_ms for item in items], np.int64) + edge
    end = number * _PATH_STEP + np.array([item.end_ms for item in items], np.int64) - edge
    # the last stretch that begins before our end: one of those up to it ends after our start, or none does
    place = np.searchsorted(known.starts, end, side="right") - 1
    found: npt.NDArray[np.bool_] = (known.paths[number] == audio) & (place >= 0) & (known.ends[place] > start)
    return found


def _shares_near_text(items: list[Heard], known: TrainingSet) -> npt.NDArray[np.bool_]:
    hits = np.zeros(len(items), np.bool_)
    for near_words in sorted({item.promise[1] for item in items} - {0}):
        name = f"text~{near_words}"
        if f"{name}.full" not in known.values:
            continue
        mine = [i for i, item in enumerate(items) if item.promise[1] == near_words]
        own = variants([heard_words(str(items[i].supervision.get("text") or "")) for i in mine], near_words)
        full, less, other = (known.values[f"{name}.{part}"] for part in ("full", "less", "other"))
        pairs = (
            (own.full, own.full_owner, less),
            (own.less, own.less_owner, full),
            (own.other, own.other_owner, other),
        )
        for hashes, owner, there in pairs:
            hits[np.array(mine, np.int64)[owner[np.isin(hashes, there)]]] = True
    return hits


def overlap_with_training(cuts: Iterable[MonoCut], exp: Path, *, name: str = "the model") -> dict[str, Any] | None:
    """What cuts share with the training data of a model, with a warning if it is anything; None if it does not say."""
    known = load_training_set(exp)
    if known is None:
        return None
    summary = find_overlap(heard_of_cuts(cuts), known).summary()
    if summary["num_overlapping"]:
        log.warn(f"{name}: {describe_overlap(summary)}")
    if summary["unchecked"]:
        log.warn(f"{name} does not say what {', '.join(summary['unchecked'])} it was trained on")
    return summary


def describe_overlap(summary: Mapping[str, Any]) -> str:
    """One line: `12 of 200 utterances (6.0 %) overlap with training: 12 by id, 30 by speaker`."""
    kinds = ", ".join(f"{count} by {kind}" for kind, count in summary["by"].items())
    return (
        f"{summary['num_overlapping']} of {summary['num_utterances']} utterances ({summary['percent']:.1f} %) overlap "
        f"with training: {kinds}"
    )


def refuse_overlap(summary: Mapping[str, Any], name: str, *, allowed: bool) -> None:
    """Stop at an evaluation set that overlaps with training, unless that is allowed.

    Raises:
        CheckFailed: the message says what is shared.
    """
    if summary["num_overlapping"] and not allowed:
        raise CheckFailed(
            f"{name}: {describe_overlap(summary)}",
            where=summary["examples"],
            expected="other utterances and audio, and what the split of this set promised (`custom.promise`)",
            hint="leave them out, split again, or accept it with --allow-overlap, which is printed beside every WER",
        )
