"""What a model hears in utterances that it was not trained on, as `speechkit audit logprobs` keeps it for scoring.

Folder: `log_probs.npy` (float16, (N, V), the frames of all utterances one after the other), `index.jsonl` (a line for
each utterance), `left_out.jsonl` (those without log-probs, and why), `tokenizer/`, `meta.json`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from speechkit.errors import SpeechkitError, counted
from speechkit.models.table import TOKENIZER_FOLDER
from speechkit.text.tokenizer import Tokenizer, load_tokenizer

LOG_PROBS_FILE, INDEX_FILE, LEFT_OUT_FILE, META_FILE = "log_probs.npy", "index.jsonl", "left_out.jsonl", "meta.json"


@dataclass(frozen=True)
class Emission:
    """The log-probs of an utterance and what is needed to read them.

    Args:
        log_probs_TV: float32, natural log, rounded to float16, finite.
        step_seconds, first_seconds: between frames, and of the first one.
        part: number of the folder that it comes from.
        hypothesis: greedy output.
    """

    log_probs_TV: NDArray[np.float32]
    tokenizer: Tokenizer
    step_seconds: float
    first_seconds: float
    part: int
    hypothesis: str


def greedy_tokens(log_probs_TV: NDArray[Any]) -> list[int]:
    """Best token of each frame, repeats merged, blanks (0) dropped."""
    return [token for token, _ in groupby(log_probs_TV.argmax(axis=1).tolist()) if token]


def greedy_text(log_probs_TV: NDArray[Any], tokenizer: Tokenizer) -> str:
    """The hypothesis that the audit compares with: the greedy output."""
    return tokenizer.decode(greedy_tokens(log_probs_TV))


@dataclass(frozen=True)
class _Part:
    """One folder."""

    values_NV: NDArray[np.float16]
    tokenizer: Tokenizer
    step_seconds: float
    first_seconds: float


class LogProbs:
    """The log-probs of several folders, read as they are asked for; made by `open_log_probs`."""

    def __init__(self, parts: Sequence[_Part], places: dict[str, tuple[int, dict[str, Any]]]) -> None:
        self._parts = parts
        self._places = places

    @property
    def ids(self) -> list[str]:
        """All ids, folder by folder."""
        return list(self._places)

    @property
    def tokenizers(self) -> list[Tokenizer]:
        """Of each folder."""
        return [part.tokenizer for part in self._parts]

    def __contains__(self, utt_id: object) -> bool:
        return utt_id in self._places

    def seconds_of(self, utt_id: str) -> float:
        """Length of the cut that an utterance was heard in."""
        return float(self._places[utt_id][1]["seconds"])

    def get(self, utt_id: str) -> Emission:
        """The log-probs of an utterance.

        Raises:
            SpeechkitError: there are none.
        """
        if utt_id not in self._places:
            raise SpeechkitError(
                f"no folder holds log-probs of `{utt_id}`", hint="run `speechkit audit logprobs` on it"
            )
        number, row = self._places[utt_id]
        part = self._parts[number]
        values_TV = part.values_NV[row["start"] : row["start"] + row["frames"]].astype(np.float32)
        return Emission(values_TV, part.tokenizer, part.step_seconds, part.first_seconds, number, row["hypothesis"])


def open_log_probs(folders: Sequence[Path]) -> LogProbs:
    """Open folders of `speechkit audit logprobs`.

    Raises:
        SpeechkitError: a folder is missing or damaged, or an utterance stands in two.
    """
    parts: list[_Part] = []
    places: dict[str, tuple[int, dict[str, Any]]] = {}
    twice = []
    for number, folder in enumerate(folders):
        part, rows = _open_part(folder)
        parts.append(part)
        for row in rows:
            if row["id"] in places:
                twice.append(f"{row['id']}  {folders[places[row['id']][0]]} and {folder}")
            places[row["id"]] = number, row
    if twice:
        raise SpeechkitError(
            f"{counted(len(twice), 'utterance')} with log-probs in two places",
            where=twice,
            expected="each utterance in the log-probs of one model",
        )
    return LogProbs(parts, places)


def _open_part(folder: Path) -> tuple[_Part, list[dict[str, Any]]]:
    try:
        meta = orjson.loads((folder / META_FILE).read_bytes())
        rows = read_lines(folder / INDEX_FILE)
        values_NV = np.load(folder / LOG_PROBS_FILE, mmap_mode="r", allow_pickle=False)
        step, first = float(meta["step_seconds"]), float(meta["first_seconds"])
        num_frames = max((row["start"] + row["frames"] for row in rows), default=0)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SpeechkitError(
            f"`{folder}` holds no log-probs",
            where=f"{type(error).__name__}: {error}",
            expected="a folder made by `speechkit audit logprobs`",
        ) from None
    tokenizer = load_tokenizer(folder / TOKENIZER_FOLDER)
    if values_NV.shape != (num_frames, tokenizer.num_tokens) or values_NV.dtype != np.float16:
        raise SpeechkitError(
            f"`{folder / LOG_PROBS_FILE}` holds {values_NV.dtype} {values_NV.shape}",
            expected=f"float16 ({num_frames}, {tokenizer.num_tokens}), as its index and tokenizer say",
        )
    return _Part(values_NV, tokenizer, step, first), rows


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSONL file."""
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]
