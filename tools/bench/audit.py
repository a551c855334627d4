"""Single edits of a CTC transcript against one batched torch ctc_loss over all edited texts, and scoring in whole.

Utterances of 6 digits, T = 155 frames, characters; one thread. Competitors take turns, the least CPU time of the
repeats counts, compilation is left out. One JSON line per claim; a result that differs by more than 1e-4 is an error.
Usage: audit.py [edits|scoring]...
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from speechkit.align.ctc import tokens_of
from speechkit.audit.logprobs import Emission, greedy_text
from speechkit.audit.scores import Lexicon, gather
from speechkit.kernels.ctc_edits import NO_WORDS, Edits, single_edits
from speechkit.text.tokenizer import Tokenizer, train_tokenizer

DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
NUM_UTTERANCES, NUM_WORDS, NUM_FRAMES = 40, 6, 155
REPEATS = 5
MAX_DIFFERENCE = 1e-4
MAX_MS = 10.0


def utterances(tokenizer: Tokenizer) -> list[tuple[Emission, list[str]]]:
    """Log-probs of a model that hears digits in spikes; in a third of the texts a word is wrong or missing."""
    gen = np.random.default_rng(5)
    found = []
    for number in range(NUM_UTTERANCES):
        words = [DIGITS[i] for i in gen.integers(0, 10, size=NUM_WORDS)]
        tokens = tokenizer.encode(" ".join(words))
        logits = gen.normal(size=(NUM_FRAMES, tokenizer.num_tokens))
        labels_T = np.zeros(NUM_FRAMES, np.int64)
        labels_T[np.linspace(3, NUM_FRAMES - 4, len(tokens)).astype(int)] = tokens
        logits[range(NUM_FRAMES), labels_T] += gen.uniform(2.0, 8.0, size=NUM_FRAMES)
        values = torch.from_numpy(logits).log_softmax(-1).numpy().astype(np.float16).astype(np.float32)
        if number % 3 == 0:
            words[number % NUM_WORDS] = DIGITS[int(gen.integers(0, 10))]
        found.append((Emission(values, tokenizer, 0.02, 0.01, 0, greedy_text(values, tokenizer)), words))
    return found


def edited_texts(words: Sequence[str], lexicon: Sequence[str], tokenizer: Tokenizer) -> list[list[int]]:
    """Tokens of all edited texts in the order of the fields of Edits; the star is the number after the last token."""
    star = tokenizer.num_tokens
    tokens, ranges = tokens_of(words, tokenizer)
    starts = [start for start, _ in ranges] + [len(tokens)]

    def spelled(text: Sequence[str]) -> list[int]:
        return tokenizer.encode(" ".join(text))

    places, gaps = range(len(words)), range(len(words) + 1)
    return [
        tokens,
        *[spelled([*words[:i], *words[i + 1 :]]) for i in places],
        *[[*tokens[: ranges[i][0]], star, *tokens[ranges[i][1] :]] for i in places],
        *[spelled([*words[:i], word, *words[i + 1 :]]) for i in places for word in lexicon],
        *[[*tokens[: starts[g]], star, *tokens[starts[g] :]] for g in gaps],
        *[spelled([*words[:g], word, *words[g:]]) for g in gaps for word in lexicon],
    ]


def flat(edits: Edits) -> np.ndarray:
    """The log-probs in the order of `edited_texts`."""
    return np.concatenate([np.ravel(values) for values in edits])


def by_torch(values_TV: np.ndarray, texts: list[list[int]], dtype: torch.dtype) -> np.ndarray:
    """One call for all texts, over the same log-probs with a column of zeros."""
    with_star = torch.nn.functional.pad(torch.from_numpy(values_TV).to(dtype), (0, 1))
    num_tokens = torch.tensor([len(text) for text in texts])
    tokens_BU = torch.zeros(len(texts), int(num_tokens.max()), dtype=torch.int64)
    for row, text in zip(tokens_BU, texts, strict=True):
        row[: len(text)] = torch.tensor(text)
    batch = with_star[:, None].expand(-1, len(texts), -1)
    frames = torch.full((len(texts),), len(values_TV))
    loss = torch.nn.functional.ctc_loss(batch, tokens_BU, frames, num_tokens, reduction="none")
    return -loss.double().numpy()


def least_ms(works: dict[str, Callable[[], Any]], num_utterances: int) -> dict[str, float]:
    """CPU milliseconds per utterance of each, taking turns."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(REPEATS):
        for name, work in works.items():
            start = time.process_time()
            work()
            times[name].append(1000 * (time.process_time() - start) / num_utterances)
    return {name: min(values) for name, values in times.items()}


def race_edits(claim: str, words: Sequence[str], num_utterances: int = NUM_UTTERANCES) -> None:
    """Our kernel and torch on the same edits."""
    tokenizer = train_tokenizer([" ".join([*DIGITS, *words])], kind="char")
    problems = utterances(tokenizer)[:num_utterances]
    lexicon = Lexicon(tuple(words)).for_tokenizer(tokenizer).edits if words else NO_WORDS
    # strings to tokens is no part of the claim
    spelled = [(item, *tokens_of(text, tokenizer)) for item, text in problems]
    texts = [edited_texts(text, words, tokenizer) for _, text in problems]

    def ours() -> list[np.ndarray]:
        return [
            flat(single_edits(item.log_probs_TV, tokens, places, lexicon=lexicon)) for item, tokens, places in spelled
        ]

    def theirs(dtype: torch.dtype = torch.float32) -> list[np.ndarray]:
        return [by_torch(item.log_probs_TV, rows, dtype) for (item, _), rows in zip(problems, texts, strict=True)]

    exact = np.concatenate(theirs(torch.float64))
    difference = np.abs(np.concatenate(ours()) - exact) / np.maximum(1.0, np.abs(exact))
    if not difference.max() <= MAX_DIFFERENCE:
        raise SystemExit(f"{claim}: log-probs differ by {difference.max():.2e}")
    found = least_ms({"ours": ours, "theirs": theirs}, num_utterances)
    line = {
        "claim": claim,
        "peer": "torch.nn.functional.ctc_loss, one batch of all edited texts, float32",
        "edits": len(texts[0]),
        "ratio": round(found["theirs"] / found["ours"], 1),
        "ours_ms": round(found["ours"], 2),
        "theirs_ms": round(found["theirs"], 2),
        "largest_relative_difference": float(f"{difference.max():.1e}"),
    }
    print(json.dumps(line), flush=True)


def edits() -> None:
    """Open vocabulary, a closed lexicon, a lexicon of 200 words."""
    gen = np.random.default_rng(1)
    letters = sorted(set("".join(DIGITS)))
    many = {"".join(gen.choice(letters, size=gen.integers(2, 9))) for _ in range(240)}
    race_edits("edits, open vocabulary", ())
    race_edits("edits, lexicon of 10 words", DIGITS)
    race_edits("edits, lexicon of 200 words", sorted(many)[:200], num_utterances=4)


def scoring() -> None:
    """All evidence and scores of an utterance."""
    tokenizer = train_tokenizer([" ".join(DIGITS)], kind="char")
    problems = utterances(tokenizer)
    lexicon = Lexicon(tuple(DIGITS))

    def score(used: Lexicon | None) -> Callable[[], Any]:
        return lambda: [gather(item, words, lexicon=used) for item, words in problems]

    works = {"open vocabulary": score(None), "lexicon of 10 words": score(lexicon)}
    for work in works.values():
        work()
    for name, milliseconds in least_ms(works, NUM_UTTERANCES).items():
        line = {
            "claim": f"scoring, {name}",
            "ms": round(milliseconds, 2),
            "limit": MAX_MS,
            "ok": milliseconds <= MAX_MS,
        }
        print(json.dumps(line), flush=True)


def main() -> None:
    """Run the parts named, or all."""
    torch.set_num_threads(1)
    for name in sys.argv[1:] or ["edits", "scoring"]:
        {"edits": edits, "scoring": scoring}[name]()


if __name__ == "__main__":
    main()
