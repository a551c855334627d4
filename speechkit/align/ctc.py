"""Where a CTC model hears the words of a text: spikes, not boundaries; what text and audio do not share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from speechkit.align.config import CtcConfig
from speechkit.align.emissions import emission_seconds, emissions
from speechkit.align.result import NotAligned
from speechkit.data.batch import Utterance
from speechkit.data.store import Word
from speechkit.errors import SpeechkitError
from speechkit.kernels.ctc import required_frames
from speechkit.kernels.ctc_align import Search, TokenPath, align_tokens
from speechkit.models.table import Trained
from speechkit.text.tokenizer import SPACE, Tokenizer

_DIGITS = 5


@dataclass(frozen=True)
class Heard:
    """What CTC says of an utterance; times in seconds from the start of the cut.

    Args:
        spikes: time at which the first and the last token of each word are surest; None where the word is left out.
        confidence: geometric mean of the posteriors of a word's tokens there; 0 where it is left out.
        extra: stretches of speech that the text lacks.
        tokens: CTC's own spans of the tokens, which are no boundaries.
    """

    spikes: tuple[tuple[float, float] | None, ...]
    confidence: tuple[float, ...]
    extra: tuple[tuple[float, float], ...]
    tokens: tuple[Word, ...]
    log_prob: float


def tokens_of(words: Sequence[str], tokenizer: Tokenizer) -> tuple[list[int], list[tuple[int, int]]]:
    """Tokens of a text, and first and end index of those of each word; blanks between words belong to none.

    Raises:
        SpeechkitError: the tokenizer does not know a word or a symbol.
    """
    separator = [tokenizer.tokens.index(SPACE)] if SPACE in tokenizer.tokens else []
    tokens: list[int] = []
    ranges: list[tuple[int, int]] = []
    for word in words:
        own = tokenizer.encode(word)
        if tokenizer.unknown_id is not None and tokenizer.unknown_id in own:
            raise SpeechkitError(f"the model does not know `{word}`")
        tokens += separator if ranges else []
        ranges.append((len(tokens), len(tokens) + len(own)))
        tokens += own
    return tokens, ranges


def hear(trained: Trained, utt: Utterance, config: CtcConfig) -> Heard | NotAligned:
    """Find the words of one utterance."""
    try:
        tokens, ranges = tokens_of(utt.text.split(), trained.tokenizer)
        log_probs_TV = emissions(trained, utt, config)
    except SpeechkitError as error:
        return NotAligned(error.what)
    needed = required_frames(tokens)
    if len(log_probs_TV) < needed and config.skip_penalty is None:
        return NotAligned(f"too short for its text: {len(log_probs_TV)} encoder frames, {needed} needed")
    search = Search(config.beam, config.star_penalty, config.skip_penalty)
    path = align_tokens(log_probs_TV, tokens, words=ranges, search=search)
    if not math.isfinite(path.log_prob):
        return NotAligned(f"the model gives its text no probability: path log-prob {path.log_prob}")
    step, first = emission_seconds(trained)
    peaks_U = _peaks(log_probs_TV, np.asarray(tokens), path)
    surest_U = log_probs_TV[np.maximum(peaks_U, 0), tokens]
    is_out_U = path.end_frames_U == path.start_frames_U
    spikes: list[tuple[float, float] | None] = []
    confidence = []
    for start, end in ranges:
        is_out = bool(is_out_U[start:end].any())
        spikes.append(None if is_out else (first + step * peaks_U[start], first + step * peaks_U[end - 1]))
        confidence.append(0.0 if is_out else float(np.exp(surest_U[start:end].mean())))
    if all(spike is None for spike in spikes):
        return NotAligned("none of its words is heard in the audio")
    return Heard(
        tuple(spikes),
        tuple(confidence),
        _stretches(path, step=step, first=first, min_seconds=config.min_extra_seconds),
        _token_spans(trained.tokenizer, tokens, path, surest_U, utt.duration_seconds, step=step, first=first),
        path.log_prob / max(1, len(log_probs_TV)),
    )


def _peaks(log_probs_TV: NDArray[np.float32], tokens_U: NDArray[np.int64], path: TokenPath) -> NDArray[np.int64]:
    """The surest frame of each token; of one that is left out, the frame before which it would be."""
    peaks_U = path.start_frames_U.copy()
    for u, (token, start, end) in enumerate(zip(tokens_U, path.start_frames_U, path.end_frames_U, strict=True)):
        if end > start + 1:
            peaks_U[u] = start + int(np.argmax(log_probs_TV[start:end, token]))
    return np.minimum(peaks_U, len(log_probs_TV) - 1)


def _stretches(path: TokenPath, *, step: float, first: float, min_seconds: float) -> tuple[tuple[float, float], ...]:
    """From the first to the last extra frame between two neighbouring tokens, where there are enough of them."""
    frames = np.flatnonzero(path.is_extra_T)
    gaps = np.searchsorted(path.start_frames_U, frames, side="right")
    found = []
    for gap in np.unique(gaps):
        own = frames[gaps == gap]
        if len(own) * step >= min_seconds:
            begin, stop = first + step * (own[0] - 0.5), first + step * (own[-1] + 0.5)
            found.append((round(max(0.0, float(begin)), _DIGITS), round(float(stop), _DIGITS)))
    return tuple(found)


def _token_spans(
    tokenizer: Tokenizer,
    tokens: Sequence[int],
    path: TokenPath,
    surest_U: NDArray[np.float32],
    duration_seconds: float,
    *,
    step: float,
    first: float,
) -> tuple[Word, ...]:
    spans = []
    rows = zip(tokens, path.start_frames_U.tolist(), path.end_frames_U.tolist(), surest_U.tolist(), strict=True)
    for token, start, end, surest in rows:
        begin = min(max(0.0, first + step * (start - 0.5)), duration_seconds)
        stop = min(first + step * (end - 0.5), duration_seconds)
        if end > start and stop > begin:
            times = round(begin, _DIGITS), round(stop - begin, _DIGITS)
            spans.append(Word(tokenizer.tokens[token], *times, round(math.exp(surest), 4)))
    return tuple(spans)
