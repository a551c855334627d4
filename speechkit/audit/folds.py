"""The command `audit folds`: every cut is once in the test set of a model that never heard it or its like.

Output: `fold-K/{train,test}.jsonl.gz` for K = 0, 1, ..., and `folds.json` with sizes, groups and what training and
test sets still share. Cuts that share a value of any key of `--by` lie in one fold (union-find); the key `duplicate`
is equal audio, or the same stretch of a file. Folds have equal hours as far as groups allow.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from speechkit import log
from speechkit.artifact import make_artifact, write_json
from speechkit.audio.measure import measure_file
from speechkit.audit.config_truth import FoldsConfig
from speechkit.data.overlap import PROMISE, Heard, heard_of_manifest
from speechkit.data.split.cells import make_cells
from speechkit.data.split.keys import ALONE, Groups, in_order_of_appearance, make_groups
from speechkit.data.split.manifest import open_manifest, write_side
from speechkit.data.stream import manifest_lines, manifest_path
from speechkit.data.validate.config import ValidateConfig
from speechkit.errors import SpeechkitError, counted
from speechkit.rng import derive_seed

REPORT_FILE = "folds.json"
DUPLICATE = "duplicate"
_UNEVEN = 1.2  # largest fold over an equal share
_EDGE_MS = 500  # neighbouring segments of a file may touch by so much
Ints = npt.NDArray[np.int64]


def run(config: FoldsConfig, *, cuts: Path, out: Path, num_threads: int = 1, force: bool = False) -> None:
    """Make the folder `out`; prints the folds and what they share.

    Raises:
        SpeechkitError: fewer groups than folds, audio that can not be read, or a cut without one of the fields.
    """
    manifest = manifest_path(cuts)
    next(manifest_lines(manifest), b"")  # tells what it is when it is no manifest

    def build(folder: Path) -> None:
        _build(config, manifest, folder, num_threads=num_threads)

    if make_artifact(out, command="audit folds", config=config, inputs={"cuts": manifest}, build=build, force=force):
        print(table(orjson.loads((out / REPORT_FILE).read_bytes())))


def _build(config: FoldsConfig, path: Path, folder: Path, *, num_threads: int) -> None:
    fields = [name for name in config.by if name != DUPLICATE]
    with open_manifest(path, fields, spool=folder) as manifest:
        heard = sorted(heard_of_manifest(path), key=lambda item: item.utt_id)
        keys = {name: make_groups(name, manifest.values[name]) for name in fields}
        if DUPLICATE in config.by:
            keys[DUPLICATE] = same_audio(heard, num_threads=num_threads)
        component = components(list(keys.values()))
        fold = assign(component, manifest.seconds, manifest.ids, config)
        report = describe(config, manifest.seconds, _shares(keys, heard), component=component, fold=fold)
        for warning in _warnings(report):
            log.warn(warning)
        promise = {"disjoint": fields, "near_words": 0}
        for number in range(config.folds):
            target = folder / f"fold-{number}"
            target.mkdir()
            for side, chosen in (("train", fold != number), ("test", fold == number)):
                note = {PROMISE: {"side": side, **promise}} if fields else {PROMISE: None}
                write_side(
                    manifest,
                    np.flatnonzero(chosen),
                    target / f"{side}.jsonl.gz",
                    note=lambda _number, note=note: note,  # type: ignore[misc]
                    num_threads=num_threads,
                )
    write_json(folder / REPORT_FILE, report)


def same_audio(heard: Sequence[Heard], *, num_threads: int = 1) -> Groups:
    """Groups of utterances with equal samples, or with overlapping stretches of one file.

    Raises:
        SpeechkitError: audio is missing or broken; all of it is listed.
    """
    by_file: dict[str, list[int]] = defaultdict(list)
    for number, item in enumerate(heard):
        by_file[item.audio].append(number)
    digests = _digests(heard, by_file, num_threads)
    stretches = np.zeros(len(heard), np.int64)
    count = 0
    for numbers in by_file.values():
        end = -1
        for number in sorted(numbers, key=lambda k: (heard[k].start_ms, heard[k].end_ms)):
            item = heard[number]
            edge = min(_EDGE_MS, (item.end_ms - item.start_ms) // 2)
            count += item.start_ms + edge >= end
            stretches[number] = count
            end = max(end if item.start_ms + edge < end else -1, item.end_ms - edge)
    joined = components([make_groups(DUPLICATE, digests), _groups_of(stretches)])
    first = np.unique(joined, return_index=True)[1]
    return Groups(DUPLICATE, joined, [heard[k].utt_id for k in first.tolist()], len(first))


def _groups_of(codes: Ints) -> Groups:
    codes = in_order_of_appearance(codes)
    return Groups(DUPLICATE, codes, [str(k) for k in range(int(codes.max()) + 1)], int(codes.max()) + 1)


def _digests(heard: Sequence[Heard], by_file: Mapping[str, Sequence[int]], num_threads: int) -> list[str]:
    """A text per utterance that equal audio shares; silence is equal to nothing."""
    floor = 10 ** (ValidateConfig().silent_db / 20)
    digests = [""] * len(heard)
    bad = []

    def measure(item: tuple[str, Sequence[int]]) -> Any:
        audio, numbers = item
        return numbers, measure_file(Path(audio), [(heard[k].start_ms / 1000, heard[k].end_ms / 1000) for k in numbers])

    with ThreadPoolExecutor(num_threads) as pool:
        files = log.track(pool.map(measure, by_file.items()), "reading audio", total=len(by_file))
        pairs = [pair for numbers, measures in files for pair in zip(numbers, measures, strict=True)]
    for number, found in pairs:
        digests[number] = f"alone {number}" if found.peak < floor else found.digest
        if found.fault:
            bad.append(f"{heard[number].utt_id}  {heard[number].audio}: {found.fault} {found.detail}".rstrip())
    if bad:
        raise SpeechkitError(
            f"{counted(len(bad), 'utterance')} can not be heard",
            where=bad,
            hint="`speechkit data validate --fix` leaves them out; `--by` without `duplicate` reads no audio",
        )
    return digests


def components(keys: Sequence[Groups]) -> Ints:
    """(N,) the group of each utterance: those that share a value of any key, directly or by others, are one group."""
    num = len(keys[0].codes)
    cells = make_cells(keys, np.ones(num), np.zeros(num, np.int64))
    return in_order_of_appearance(cells.components()[cells.of_utterance])


def assign(component: Ints, seconds: npt.NDArray[np.float64], ids: Sequence[str], config: FoldsConfig) -> Ints:
    """(N,) the fold of each utterance: the longest groups first, each to the fold that is shortest so far.

    Raises:
        SpeechkitError: there are fewer groups than folds.
    """
    weight = np.bincount(component, seconds)
    if len(weight) < config.folds:
        raise SpeechkitError(
            f"{counted(config.folds, 'fold')} asked for, but cuts that share {' or '.join(config.by)} form only "
            f"{counted(len(weight), 'group')}",
            expected=f"--folds {len(weight)} or fewer, or fewer keys in --by",
        )
    first = np.unique(component, return_index=True)[1].tolist()
    priority = [derive_seed(config.seed, "fold", ids[k], bits=53) for k in first]
    held = [0.0] * config.folds
    of_group = np.zeros(len(weight), np.int64)
    for group in sorted(range(len(weight)), key=lambda g: (-weight[g], priority[g])):
        number = held.index(min(held))
        of_group[group] = number
        held[number] += float(weight[group])
    return of_group[component]


def describe(
    config: FoldsConfig, seconds: npt.NDArray[np.float64], shares: Mapping[str, Ints], *, component: Ints, fold: Ints
) -> dict[str, Any]:
    """The content of `folds.json`.

    Args:
        shares: by name, numbers that are equal for utterances that share something.
    """
    sizes = np.bincount(component)
    return {
        "schema": 1,
        "by": list(config.by),
        "seed": config.seed,
        "utterances": len(fold),
        "hours": _hours(seconds),
        "groups": len(sizes),
        "largest_group": int(sizes.max()),
        "folds": [
            {
                "utterances": int((fold == number).sum()),
                "hours": _hours(seconds[fold == number]),
                "groups": len(np.unique(component[fold == number])),
                "shared": {name: _shared(codes, fold == number) for name, codes in shares.items()},
            }
            for number in range(config.folds)
        ],
    }


def _shares(keys: Mapping[str, Groups], heard: Sequence[Heard]) -> dict[str, Ints]:
    """What utterances share: the keys of the folds, and what is worth knowing besides."""
    shares = {name: groups.codes for name, groups in keys.items()}
    for name in ("speaker", "text"):
        if name not in shares:
            shares[name] = make_groups(name, [item.value(name) or ALONE + item.utt_id for item in heard]).codes
    shares["audio file"] = make_groups("audio file", [item.audio for item in heard]).codes
    return shares


def _hours(seconds: npt.NDArray[np.float64]) -> float:
    return round(float(seconds.sum()) / 3600, 6)


def _shared(codes: Ints, is_test: npt.NDArray[np.bool_]) -> int:
    """How many utterances of the test set share a value with the training set."""
    return int(np.isin(codes[is_test], codes[~is_test]).sum())


def _warnings(report: Mapping[str, Any]) -> list[str]:
    found = []
    for number, fold in enumerate(report["folds"]):
        leaks = [f"{num} by {name}" for name, num in fold["shared"].items() if num and name in ("text", "audio file")]
        if leaks:
            found.append(
                f"fold {number}: {' and '.join(leaks)} of {fold['utterances']} test utterances are like training "
                "ones: a model that knows a text by heart hears it, whatever was said"
            )
    largest = max(fold["hours"] for fold in report["folds"])
    if largest * len(report["folds"]) > _UNEVEN * report["hours"]:
        found.append(
            f"the largest fold has {largest / report['hours']:.0%} of the hours: the largest group has "
            f"{counted(report['largest_group'], 'cut')}"
        )
    return found


def table(report: Mapping[str, Any]) -> str:
    """One line per fold: its size, and how many of its utterances share what with its training set."""
    names = list(report["folds"][0]["shared"])
    lines = ["fold   cuts    hours  groups" + "".join(f"{name:>11}" for name in names)]
    for number, fold in enumerate(report["folds"]):
        shared = "".join(f"{fold['shared'][name]:>11}" for name in names)
        lines.append(f"{number:>4}{fold['utterances']:>7}{fold['hours']:>9.3f}{fold['groups']:>8}{shared}")
    by = ", ".join(report["by"])
    lines.append(f"the last columns count test utterances that share it with their training set; none may by {by}")
    return "\n".join(lines)
