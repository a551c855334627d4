"""Word and character error rates of transcripts joined by utterance id."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from speechkit import log
from speechkit.errors import ConfigError, SpeechkitError
from speechkit.kernels.confusions import Confusions, count_confusions
from speechkit.kernels.edit import DEL, INS, SUB, align_words
from speechkit.kernels.line_index import are_equal
from speechkit.kernels.lines import count_lines
from speechkit.score.transcripts import Transcripts

MISSING = ("error", "delete", "skip")
Counts: TypeAlias = npt.NDArray[np.int64]
Step: TypeAlias = tuple[int, str | None, str | None]  # operation, reference word, hypothesis word


@dataclass(frozen=True)
class Scored:
    """Counts of N utterances, in the order of the reference.

    pairs: index of each utterance in `ref` and in `hyp`, (N, 2); -1 for a missing hypothesis counted as deletions.
    words: sub, del, ins, reference words, hypothesis words per utterance, (N, 5).
    chars: character errors, reference and hypothesis characters, (N, 3); words joined by one space.
    errors: (E, 3) utterance, start of the reference word or -1, start of the hypothesis word or -1.
    overrides: alignments of utterances that do not follow from their bytes (markup, compound words); `errors`
        does not hold those utterances.
    """

    ref: Transcripts
    hyp: Transcripts
    pairs: Counts
    words: Counts
    chars: Counts
    errors: Counts
    ties: str
    num_missing: int
    num_extra: int
    overrides: dict[int, list[Step]] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.pairs)

    @cached_property
    def ids(self) -> list[str]:
        """Utterance ids in the order of the reference."""
        return self.ref.ids if len(self) == len(self.ref) else [self.ref.ids[u] for u in self.pairs[:, 0].tolist()]

    def ref_words(self, utterance: int) -> list[str]:
        """Words of the reference; of alternatives, those that were chosen."""
        if utterance in self.overrides:
            return [ref for _, ref, _ in self.overrides[utterance] if ref is not None]
        return self.ref.words(int(self.pairs[utterance, 0]))

    def hyp_words(self, utterance: int) -> list[str]:
        """Words of the hypothesis; none for a missing one."""
        if utterance in self.overrides:
            return [hyp for _, _, hyp in self.overrides[utterance] if hyp is not None]
        spot = int(self.pairs[utterance, 1])
        return self.hyp.words(spot) if spot >= 0 else []

    def align(self, utterance: int) -> list[Step]:
        """The alignment in order of time, under the tie rule of the counts."""
        if utterance in self.overrides:
            return self.overrides[utterance]
        ref, hyp = self.ref_words(utterance), self.hyp_words(utterance)
        i, j, steps = 0, 0, []
        for op in align_words([ref], [hyp], ties=self.ties).ops_of(0).tolist():
            steps.append((op, ref[i] if op != INS else None, hyp[j] if op != DEL else None))
            i, j = i + (op != INS), j + (op != DEL)
        return steps

    @cached_property
    def confusions(self) -> Confusions:
        """Every different error with its number, by the bytes of its words."""
        return count_confusions((self.ref.data, self.hyp.data), self.spans, self.errors)

    def all_seconds(self) -> npt.NDArray[np.float64]:
        """(N,) durations of the audio, 0.0 where unknown."""
        for side, spots in ((self.ref, self.pairs[:, 0]), (self.hyp, self.pairs[:, 1])):
            if side.seconds is not None:
                return np.where(spots >= 0, side.seconds[spots], 0.0)
        return np.zeros(len(self))

    def seconds(self, utterance: int) -> float:
        """Duration of the audio of one utterance, 0.0 where unknown."""
        for side, spot in ((self.ref, self.pairs[utterance, 0]), (self.hyp, self.pairs[utterance, 1])):
            if side.seconds is not None and spot >= 0:
                return float(side.seconds[spot])
        return 0.0

    def with_alignments(self, overrides: dict[int, list[Step]]) -> Scored:
        """The same utterances with some alignments replaced, and the counts that follow from them."""
        words, chars = self.words.copy(), self.chars.copy()
        for u, steps in overrides.items():
            ops = [op for op, _, _ in steps]
            counts = [ops.count(op) for op in (SUB, DEL, INS)]
            words[u] = [*counts, len(ops) - counts[2], len(ops) - counts[1]]
            ref = " ".join(word for _, word, _ in steps if word is not None)
            hyp = " ".join(word for _, _, word in steps if word is not None)
            chars[u] = [align_words([ref], [hyp]).counts.sum(), len(ref), len(hyp)]
        kept = ~np.isin(self.errors[:, 0], list(overrides))
        return replace(
            self, words=words, chars=chars, errors=self.errors[kept], overrides={**self.overrides, **overrides}
        )

    @property
    def spans(self) -> Counts:
        """(N, 4) place of both texts of each utterance in their buffers."""
        return _spans(self.ref, self.hyp, self.pairs)

    def groups(self, name: str) -> tuple[list[str], Counts]:
        """The different values of a field, sorted, and which of them each utterance has.

        Raises:
            ConfigError: no utterance has the field.
        """
        if name == "prefix" and not any(any(side.fields.get(name, [])) for side in (self.ref, self.hyp)):
            kinds, numbers = self.ref.prefixes
            return kinds, numbers[self.pairs[:, 0]]
        values = self.field(name)
        kinds = sorted(set(values))
        place = {value: k for k, value in enumerate(kinds)}
        return kinds, np.array([place[value] for value in values], np.int64)

    def field(self, name: str) -> list[str]:
        """A field of the reference (or of the hypothesis), such as `speaker`, for each utterance.

        `prefix` is the id up to the first `-` or `_`, which is sclite's speaker.

        Raises:
            ConfigError: no utterance has it.
        """
        for side, column in ((self.ref, 0), (self.hyp, 1)):
            values = side.fields.get(name, [])
            if any(values):
                return [values[u] if u >= 0 else "" for u in self.pairs[:, column].tolist()]
        if name == "prefix":
            kinds, numbers = self.groups(name)
            return [kinds[k] for k in numbers.tolist()]
        raise ConfigError(f"no utterance has the field `{name}`", expected=f"one of {', '.join(self.field_names)}")

    @property
    def field_names(self) -> list[str]:
        """The fields that at least one utterance has."""
        fields = [*self.ref.fields.items(), *self.hyp.fields.items()]
        return sorted({"prefix", *(name for name, values in fields if any(values))})


def score(
    ref: Transcripts,
    hyp: Transcripts,
    *,
    ties: str = "kaldi",
    missing: str = "error",
    with_chars: bool = True,
    num_threads: int = 1,
) -> Scored:
    """Join by id and align every pair in words and in characters.

    Args:
        ties: which of the alignments with the fewest errors is reported, see `kernels.edit`.
        missing: a reference without hypothesis is an `error`, counts as deletions, or is left out (`skip`).
        num_threads: the result does not depend on it.
    Raises:
        SpeechkitError: ids of one side are missing on the other; the message lists them.
    """
    pairs, num_missing, num_extra = join(ref, hyp, missing=missing)
    counts = count_lines(
        (ref.data, hyp.data), _spans(ref, hyp, pairs), ties=ties, with_chars=with_chars, num_threads=num_threads
    )
    empty = np.flatnonzero(counts.words[:, 3] == 0)
    if empty.size == len(pairs):
        raise SpeechkitError(
            "no reference has a word, so there is no error rate", where=ref.source, hint="were REF and HYP swapped?"
        )
    if empty.size:
        log.warn(
            f"{empty.size} of {len(pairs)} references are empty, so every word said there is an insertion; "
            f"the first is {ref.source}:{ref.lines[pairs[empty[0], 0]]}"
        )
    return Scored(ref, hyp, pairs, counts.words, counts.chars, counts.errors, ties, num_missing, num_extra)


def _spans(ref: Transcripts, hyp: Transcripts, pairs: Counts) -> Counts:
    u, v = pairs[:, 0], pairs[:, 1]
    spans = np.stack([ref.starts[u], ref.ends[u], hyp.starts[v], hyp.ends[v]], axis=1)
    spans[v < 0, 2:] = 0
    return spans


def join(ref: Transcripts, hyp: Transcripts, *, missing: str = "error") -> tuple[Counts, int, int]:
    """(N, 2) indices of the utterances to score, the number of missing hypotheses, and of hypotheses without reference.

    Raises:
        SpeechkitError: the ids differ and `missing` is `error`, or no id is on both sides.
    """
    if missing not in MISSING:
        raise ConfigError(f"unknown value `{missing}` of --missing", expected=" or ".join(MISSING))
    found = _find(ref, hyp)
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


def _find(ref: Transcripts, hyp: Transcripts) -> Counts:
    """Index in `hyp` of each utterance of `ref`, -1 where there is none."""
    if ref.id_spans and hyp.id_spans and are_equal(ref.data, ref.id_spans, hyp.data, hyp.id_spans):
        return np.arange(len(ref))
    place = {name: u for u, name in enumerate(hyp.ids)}
    return np.array([place.get(name, -1) for name in ref.ids], np.int64)


def _refuse(ref: Transcripts, hyp: Transcripts, found: Counts) -> None:
    known = set(ref.ids)
    lost = [f"{ref.source}:{ref.lines[u]}  {ref.ids[u]}  no hypothesis" for u in np.flatnonzero(found < 0).tolist()]
    extra = [
        f"{hyp.source}:{hyp.lines[u]}  {name}  no reference" for u, name in enumerate(hyp.ids) if name not in known
    ]
    raise SpeechkitError(
        f"{len(lost)} references have no hypothesis, {len(extra)} hypotheses have no reference",
        where=lost + extra,
        hint="--missing delete counts missing words as deletions; `score wer` can also leave the utterances out: "
        "--missing skip",
    )


__all__ = ["Scored", "Step", "join", "score"]
