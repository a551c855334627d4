"""The words of a corpus that may be pasted, with their places, edges and contexts; and runs of up to three of them.

Files of the folder, memory-mapped: `tokens.npy` (one record per word), `edges.npy` (float16, sounds at both cuts),
`snippets.npy` (runs of 1-3 neighbouring words, sorted by their words and speaker); `words.txt`, `speakers.txt` and
`sources.jsonl` name them; `dropped.tsv` lists what may not be pasted and why, `inventory.json` counts it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from speechkit.errors import SpeechkitError

TOKEN = np.dtype(
    [
        ("source", "<i4"),  # line of sources.jsonl, from 0
        ("word", "<i4"),  # line of words.txt, from 0
        ("left", "<i4"),  # word before it in its sentence, -1 at the start
        ("right", "<i4"),
        ("start", "<i4"),  # aligned, in samples from the start of the source; end exclusive
        ("end", "<i4"),
        ("cut_start", "<i4"),  # where it is cut
        ("cut_end", "<i4"),
        ("quiet_start", "<i4"),  # samples on either side of the cut in which its recording has no word
        ("quiet_end", "<i4"),
        ("confidence", "<f4"),
        ("duration_z", "<f4"),  # deviation of its duration from the mean of its word
        ("joined", "?"),  # the next token is the next word and begins where this one is cut
    ]
)
SNIPPET = np.dtype([("key", "<i8"), ("speaker", "<i4"), ("token", "<i4"), ("num_words", "<i4")])
MAX_WORDS = 3
_FILES = ("tokens", "edges", "snippets")


@dataclass(frozen=True)
class Source:
    """One recorded utterance that words are cut from.

    `room_start` is the first sample of its room tone (-1: none), `peak` its largest magnitude, `level_db` the
    loudness of its speech; `crc32` is that of its samples as 16-bit numbers; `boundaries` are the samples
    where two words that may be pasted, spoken together, would be cut apart.
    """

    utt_id: str
    audio: str
    start_sample: int
    num_samples: int
    sampling_rate: int
    speaker: str
    text: str
    level_db: float
    peak: float
    room_start: int
    room_samples: int
    crc32: int
    boundaries: tuple[int, ...]


@dataclass(frozen=True)
class Inventory:
    """The stored tables; see the module's first lines."""

    tokens: np.ndarray
    edges: np.ndarray
    snippets: np.ndarray
    words: list[str]
    speakers: list[str]
    sources: list[Source]

    @property
    def sampling_rate(self) -> int:
        """That of all sources, Hz."""
        return self.sources[0].sampling_rate

    def speaker_of_source(self) -> np.ndarray:
        """Speaker number of each source, int32."""
        numbers = {name: number for number, name in enumerate(self.speakers)}
        return np.array([numbers[source.speaker] for source in self.sources], np.int32)


def to_int16(samples: np.ndarray) -> np.ndarray:
    """Float samples in [-1, 1] as 16-bit numbers; exact for what was read from 16-bit files."""
    numbers: np.ndarray = np.clip(np.round(samples * 32768.0), -32768, 32767).astype("<i2")
    return numbers


def snippet_keys(words: np.ndarray, num_words: int) -> np.ndarray:
    """One number per run of words: words (..., 3) int, absent ones -1; `num_words` is the size of the vocabulary."""
    base = np.int64(num_words + 1)
    shifted = words.astype(np.int64) + 1
    keys: np.ndarray = (shifted[..., 0] * base + shifted[..., 1]) * base + shifted[..., 2]
    return keys


def make_snippets(tokens: np.ndarray, speaker_of_source: np.ndarray, *, num_words: int, longest: int) -> np.ndarray:
    """Every run of 1 to `longest` joined tokens, sorted by words, speaker and place."""
    if num_words >= 1 << 20:
        raise SpeechkitError(f"{num_words} different words are too many", expected=f"fewer than {1 << 20}")
    tables = []
    run = np.ones(len(tokens), bool)
    words = np.full((len(tokens), MAX_WORDS), -1, np.int64)
    for size in range(1, longest + 1):
        if size > 1:
            run = run & np.append(run[1:] & tokens["joined"][:-1] if size > 2 else tokens["joined"][:-1], False)
        firsts = np.flatnonzero(run)
        words = np.full((len(firsts), MAX_WORDS), -1, np.int64)
        for place in range(size):
            words[:, place] = tokens["word"][firsts + place]
        table = np.zeros(len(firsts), SNIPPET)
        table["key"] = snippet_keys(words, num_words)
        table["speaker"] = speaker_of_source[tokens["source"][firsts]]
        table["token"], table["num_words"] = firsts, size
        tables.append(table)
    snippets = np.concatenate(tables)
    order = np.lexsort((snippets["token"], snippets["speaker"], snippets["key"]))
    return snippets[order]


def save_inventory(inventory: Inventory, folder: Path) -> None:
    """Write the tables into a folder."""
    for name in _FILES:
        np.save(folder / f"{name}.npy", getattr(inventory, name), allow_pickle=False)
    for name, lines in (("words", inventory.words), ("speakers", inventory.speakers)):
        (folder / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    write_sources(inventory.sources, folder / "sources.jsonl")


def write_sources(sources: Sequence[Source], path: Path) -> None:
    """One source per line."""
    path.write_bytes(b"".join(orjson.dumps(asdict(source)) + b"\n" for source in sources))


def read_sources(path: Path) -> list[Source]:
    """The sources of an inventory or a plan.

    Raises:
        SpeechkitError: missing, or a line is no source; with file:line.
    """
    sources = []
    for number, line in enumerate(read_jsonl(path), start=1):
        try:
            source = Source(**{**line, "boundaries": tuple(line["boundaries"])})
            wrong = [name for name, kind in Source.__annotations__.items() if not _fits(getattr(source, name), kind)]
        except (TypeError, KeyError) as error:
            raise SpeechkitError("not a source of snippets", where=f"{path}:{number}  {error}") from None
        if wrong:
            raise SpeechkitError(f"wrong type of {', '.join(wrong)}", where=f"{path}:{number}")
        sources.append(source)
    return sources


def _fits(value: object, kind: str) -> bool:
    if isinstance(value, tuple):
        return all(_fits(item, "int") for item in value)
    types = {"str": (str,), "int": (int,), "float": (int, float), "tuple[int, ...]": (tuple,)}[kind]
    return isinstance(value, types) and not isinstance(value, bool)


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSONL file.

    Raises:
        SpeechkitError: missing, or a line is not a JSON object; with file:line.
    """
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        raise SpeechkitError(f"`{path}` does not exist", expected="a folder made by `speechkit cutpaste`") from None
    objects: list[dict[str, Any]] = []
    for number, line in enumerate(lines, start=1):
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise SpeechkitError(
                f"not valid JSON: {error.msg}", where=f"{path}:{number}", hint="make it again"
            ) from None
        if not isinstance(value, dict):
            raise SpeechkitError("not a JSON object", where=f"{path}:{number}")
        objects.append(value)
    return objects


def load_inventory(folder: Path) -> Inventory:
    """Open an inventory; arrays are memory-mapped.

    Raises:
        SpeechkitError: not an inventory, or its files do not fit together.
    """
    sources = read_sources(folder / "sources.jsonl")
    try:
        # still in the file, but without the slow indexing of np.memmap
        arrays = {
            name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False).view(np.ndarray) for name in _FILES
        }
        words, speakers = (
            (folder / f"{name}.txt").read_text(encoding="utf-8").split("\n")[:-1] for name in ("words", "speakers")
        )
    except (OSError, ValueError) as error:
        raise SpeechkitError(
            f"`{folder}` is not a whole inventory", where=str(error), hint="make it with `speechkit cutpaste inventory`"
        ) from None
    inventory = Inventory(words=words, speakers=speakers, sources=sources, **arrays)
    tokens, snippets = inventory.tokens, inventory.snippets
    if tokens.dtype.names and tokens.dtype != TOKEN:
        raise SpeechkitError(
            f"the inventory `{folder}` was made by another version of speechkit", hint="make it again with --force"
        )
    fits = (
        tokens.dtype == TOKEN
        and snippets.dtype == SNIPPET
        and inventory.edges.shape[:2] == (len(tokens), 2)
        and len(tokens) > 0
        and 0 <= int(tokens["source"].min()) <= int(tokens["source"].max()) < len(sources)
        and 0 <= int(tokens["word"].min()) <= int(tokens["word"].max()) < len(words)
        and 0 <= int(snippets["token"].min()) <= int((snippets["token"] + snippets["num_words"]).max()) <= len(tokens)
    )
    if not fits:
        raise SpeechkitError(
            f"the files of the inventory `{folder}` do not fit together", hint="make it again with --force"
        )
    return inventory
