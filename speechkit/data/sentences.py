"""Texts for synthetic corpora: a seeded grammar with a closed vocabulary, digit strings, and text files."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from speechkit.data.store import CUTS_FILE, load_cuts, text_of
from speechkit.errors import SpeechkitError
from speechkit.rng import rng

# 49 words; no word starts with a vowel sound where `a` may come before it
WORDS: dict[str, tuple[str, ...]] = {
    "DET": ("the", "a", "my", "your", "this"),
    "ADJ": ("big", "small", "red", "green", "happy", "quiet", "tall"),
    "NOUN": ("dog", "cat", "bird", "man", "woman", "boy", "girl", "house", "tree", "car", "ball", "book"),
    "SEES": ("sees", "likes", "finds", "wants", "takes", "paints"),
    "RUNS": ("runs", "sleeps", "sings", "waits", "falls"),
    "PREP": ("near", "behind", "under", "beside"),
    "ADV": ("slowly", "today", "here", "often"),
    "MODAL": ("can", "will", "must"),
    "WATCH": ("watch", "carry", "follow"),
}
TEMPLATES: tuple[str, ...] = (
    "DET ADJ NOUN SEES DET NOUN",
    "DET NOUN RUNS PREP DET ADJ NOUN",
    "DET NOUN MODAL WATCH DET ADJ NOUN",
    "ADV DET NOUN SEES DET ADJ NOUN",
    "DET NOUN PREP DET NOUN RUNS ADV",
    "MODAL DET ADJ NOUN WATCH DET NOUN ADV",
    "DET ADJ NOUN RUNS ADV PREP DET NOUN",
)
VOCABULARY: tuple[str, ...] = tuple(sorted(word for words in WORDS.values() for word in words))
NUM_TO_COVER = 20
DIGITS: tuple[str, ...] = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_MAX_TRIES = 1000


def make_sentences(num_sentences: int, seed: int, *, exclude: Collection[str] = ()) -> list[str]:
    """Different sentences of the grammar without repeated words, none of them in `exclude`.

    The first 20 hold every word of VOCABULARY, whatever the seed and the exclusion.

    Raises:
        SpeechkitError: so many sentences do not exist or are not found.
    """
    gen = rng(seed, "sentences")
    taken = set(exclude)
    queues: dict[str, list[str]] = {kind: [] for kind in WORDS}
    sentences: list[str] = []
    while len(sentences) < num_sentences:
        template = TEMPLATES[len(sentences) % len(TEMPLATES)].split()
        sentences.append(_new_sentence(template, queues, gen, taken))
        taken.add(sentences[-1])
    return sentences


def _new_sentence(
    template: Sequence[str], queues: dict[str, list[str]], gen: np.random.Generator, taken: set[str]
) -> str:
    for _ in range(_MAX_TRIES):
        trial = {kind: list(queue) for kind, queue in queues.items()}
        words = [_draw(kind, trial, gen, template=template) for kind in template]
        text = " ".join(words)
        if text not in taken and len(set(words)) == len(words):
            queues.update(trial)
            return text
        # the same queues would give the same words: shuffle what is left, so that coverage stays
        for kind in queues:
            queues[kind] = [str(word) for word in gen.permutation(queues[kind])]
    raise SpeechkitError("the grammar gives no further new sentence", hint="ask for fewer sentences, or exclude fewer")


def _draw(kind: str, queues: dict[str, list[str]], gen: np.random.Generator, *, template: Sequence[str]) -> str:
    """The next word of a shuffled queue of its kind: each word comes once before any comes again."""
    if len(queues[kind]) < template.count(kind):
        queues[kind] += [str(word) for word in gen.permutation(WORDS[kind])]
    return queues[kind].pop(0)


def make_digit_strings(
    num_strings: int, num_digits: tuple[int, int], seed: int, *, exclude: Collection[str] = ()
) -> list[str]:
    """Different strings of spelt digits, lengths uniform in `num_digits`, none of them in `exclude`.

    Raises:
        SpeechkitError: so many strings do not exist.
    """
    gen = rng(seed, "digits", *num_digits)
    taken, strings = set(exclude), []
    low, high = num_digits
    possible = sum(len(DIGITS) ** length for length in range(low, high + 1))
    if num_strings > possible:
        raise SpeechkitError(
            f"{num_strings} different strings of {low} to {high} digits do not exist",
            expected=f"at most {possible}",
            hint="allow longer strings, or ask for fewer with --digit-strings",
        )
    for _ in range(_MAX_TRIES * num_strings):
        length = int(gen.integers(low, high + 1))
        text = " ".join(DIGITS[digit] for digit in gen.integers(0, 10, length))
        if text in taken:
            continue
        taken.add(text)
        strings.append(text)
        if len(strings) == num_strings:
            return strings
    raise SpeechkitError(f"only {len(strings)} of {num_strings} digit strings found", hint="allow longer strings")


def read_sentences(path: Path) -> list[str]:
    """Different texts of a file in their order: one sentence per line, or the transcripts of a cuts manifest.

    Raises:
        SpeechkitError: missing, empty, not UTF-8, or characters that cannot be said; with all file:line.
    """
    if path.is_dir() or path.name.endswith((".jsonl", ".jsonl.gz")):
        manifest = path / CUTS_FILE if path.is_dir() else path
        lines = [(f"{manifest}  {cut.id}", text_of(cut)) for cut in load_cuts(manifest)]
    else:
        lines = [(f"{path}:{number}", line) for number, line in enumerate(_read_text(path).splitlines(), start=1)]
    faults, texts = [], []
    for where, line in lines:
        text = normalise(line)
        bad = sorted(set(re.findall(r"[^a-z' ]", text)))
        if bad or any(not word.strip("'") for word in text.split()):
            faults.append(f"{where}  {line.strip()!r} holds {' '.join(bad) or 'a lone apostrophe'}")
        elif text:
            texts.append(text)
    if faults:
        raise SpeechkitError(
            f"{len(faults)} of {len(lines)} texts in `{path}` cannot be said word by word",
            where=faults,
            expected="words of a-z and the apostrophe",
            hint="spell numbers and abbreviations out, and write without accents",
        )
    if not texts:
        raise SpeechkitError(f"`{path}` holds no text", expected="one sentence per line")
    return list(dict.fromkeys(texts))


def normalise(text: str) -> str:
    """Lower case, single spaces, hyphens as spaces, punctuation dropped; other characters stay as they are."""
    text = text.lower().replace("\u2019", "'")
    text = re.sub(r"[-\u2013\u2014]", " ", text)
    return " ".join(re.sub(r"[.,;:!?\"()\u201c\u201d]", " ", text).split())


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise SpeechkitError(f"the text file `{path}` does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SpeechkitError(f"cannot read the text file `{path}`", where=str(error), expected="UTF-8 text") from None
