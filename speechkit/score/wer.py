"""Word and character error rates of transcripts joined by utterance id."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from speechkit import log
from speechkit.errors import ConfigError, SpeechkitError
from speechkit.kernels.edit import Alignment, align_ids, align_words
from speechkit.score.transcripts import Transcripts, from_texts

MISSING = ("error", "delete", "skip")
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Scored:
    """Pairs of N utterances, aligned.

    pairs: index of each utterance in `ref` and in `hyp`, (N, 2); -1 for a missing hypothesis counted as deletions.
    words: sub, del, ins, reference words, hypothesis words per utterance, (N, 5).
    chars: the same in characters, a space between words counting as one.
    """

    ref: Transcripts
    hyp: Transcripts
    pairs: Counts
    words: Counts
    chars: Counts
    ref_words: list[list[str]]
    hyp_words: list[list[str]]
    alignment: Alignment
    ties: str
    num_missing: int
    num_extra: int

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def ids(self) -> list[str]:
        """Utterance ids in the order of the reference."""
        return [self.ref.ids[u] for u in self.pairs[:, 0].tolist()]

    def field(self, name: str) -> list[str]:
        """A field of the reference (or of the hypothesis), such as `speaker`, for each utterance.

        Raises:
            ConfigError: neither side has it.
        """
        for side, column in ((self.ref, 0), (self.hyp, 1)):
            if name in side.fields:
                values = side.fields[name]
                return [values[u] if u >= 0 else "" for u in self.pairs[:, column].tolist()]
        known = sorted({*self.ref.fields, *self.hyp.fields})
        raise ConfigError(
            f"there is no field `{name}` to group by",
            expected=f"one of {', '.join(known)}" if known else "a cuts manifest or JSONL, whose items have fields",
        )


def score(ref: Transcripts, hyp: Transcripts, *, ties: str = "kaldi", missing: str = "error") -> Scored:
    """Join by id and align every pair in words and in characters.

    Args:
        ties: which of the alignments with the fewest errors is reported, see `kernels.edit`.
        missing: a reference without hypothesis is an `error`, counts as deletions, or is left out (`skip`).
    Raises:
        SpeechkitError: ids of one side are missing on the other; the message lists them.
    """
    pairs, num_missing, num_extra = join(ref, hyp, missing=missing)
    ref_words = [ref.text(u).split(" ") if ref.starts[u] < ref.ends[u] else [] for u in pairs[:, 0].tolist()]
    hyp_words = [hyp.text(u).split(" ") if u >= 0 else [] for u in pairs[:, 1].tolist()]
    ref_words = [[w for w in words if w] for words in ref_words]
    hyp_words = [[w for w in words if w] for words in hyp_words]
    if not any(ref_words):
        raise SpeechkitError(
            "no reference has a word, so there is no error rate", where=ref.source, hint="were REF and HYP swapped?"
        )
    num_empty = sum(not words for words in ref_words)
    if num_empty:
        log.warn(f"{num_empty} of {len(ref_words)} references are empty: every word said there is an insertion")
    alignment = align_words(ref_words, hyp_words, ties=ties)
    lengths = [[len(w) for w in side] for side in (ref_words, hyp_words)]
    words = np.column_stack([alignment.counts, *lengths]).astype(np.int64)
    return Scored(
        ref, hyp, pairs, words, _char_counts(ref_words, hyp_words), ref_words, hyp_words, alignment, ties,
        num_missing, num_extra,
    )  # fmt: skip


def join(ref: Transcripts, hyp: Transcripts, *, missing: str = "error") -> tuple[Counts, int, int]:
    """(N, 2) indices of the utterances to score, the number of missing hypotheses, and of hypotheses without reference.

    Raises:
        SpeechkitError: the ids differ and `missing` is `error`, or no id is on both sides.
    """
    if missing not in MISSING:
        raise ConfigError(f"unknown value `{missing}` of --missing", expected=" or ".join(MISSING))
    place = {name: u for u, name in enumerate(hyp.ids)}
    found = np.array([place.get(name, -1) for name in ref.ids], np.int64)
    num_missing = int((found < 0).sum())
    num_extra = len(hyp) - (len(ref) - num_missing)
    if num_missing == len(ref):
        raise SpeechkitError(
            "no id of the reference has a hypothesis",
            where=[f"{ref.source}: {ref.ids[0]}, ...", f"{hyp.source}: {hyp.ids[0]}, ..."],
            hint="are these files of the same test set?",
        )
    if missing == "error" and (num_missing or num_extra):
        _refuse(ref, hyp, found)
    if num_missing or num_extra:
        action = "counted as deletions" if missing == "delete" else "left out"
        log.warn(f"{num_missing} references without hypothesis {action}; {num_extra} hypotheses without reference")
    pairs = np.column_stack([np.arange(len(ref)), found])
    return (pairs[found >= 0] if missing == "skip" else pairs), num_missing, num_extra


def _refuse(ref: Transcripts, hyp: Transcripts, found: Counts) -> None:
    known = set(ref.ids)
    lost = [f"{ref.source}:{ref.lines[u]}  {ref.ids[u]}  no hypothesis" for u in np.flatnonzero(found < 0).tolist()]
    extra = [
        f"{hyp.source}:{hyp.lines[u]}  {name}  no reference" for u, name in enumerate(hyp.ids) if name not in known
    ]
    raise SpeechkitError(
        f"{len(lost)} references have no hypothesis, {len(extra)} hypotheses have no reference",
        where=lost + extra,
        hint="--missing delete counts missing words as deletions, --missing skip leaves those utterances out",
    )


def _char_counts(ref_words: list[list[str]], hyp_words: list[list[str]]) -> Counts:
    sides = []
    for side in (ref_words, hyp_words):
        texts = [" ".join(words) for words in side]
        code = np.frombuffer("".join(texts).encode("utf-32-le"), np.uint32)
        sides.append((code, np.concatenate([[0], np.cumsum([len(t) for t in texts])]).astype(np.int64)))
    kinds, ids = np.unique(np.concatenate([sides[0][0], sides[1][0]]), return_inverse=True)
    split = sides[0][0].size
    counts = align_ids(ids[:split], sides[0][1], ids[split:], sides[1][1], vocab_size=kinds.size).counts
    return np.column_stack([counts, np.diff(sides[0][1]), np.diff(sides[1][1])])


__all__ = ["Scored", "from_texts", "join", "score"]
