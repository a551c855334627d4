"""CTC feasibility before the first step: an utterance needs a frame per token and one more per repeated pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from speechkit.audio.config import FeatureConfig
from speechkit.audio.features import num_frames
from speechkit.data.batch import Utterance
from speechkit.nn.config import EncoderConfig
from speechkit.nn.encoder import encoder_frames
from speechkit.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Infeasible:
    """An utterance that no CTC path can produce."""

    utt_id: str
    frames: int
    needed: int
    text: str


def tokenize(
    utterances: Sequence[Utterance], tokenizer: Tokenizer, features: FeatureConfig, encoder: EncoderConfig
) -> tuple[list[Utterance], list[Infeasible]]:
    """Utterances with tokens and the speed up to which they stay feasible, and those that are not feasible at all."""
    good, bad = [], []
    for utt in utterances:
        tokens = tuple(tokenizer.encode(utt.text))
        needed = required_frames(tokens)
        samples = round(utt.duration_seconds * features.sampling_rate)
        frames = encoder_frames(num_frames(samples, features), encoder)
        if frames < needed:
            bad.append(Infeasible(utt.utt_id, frames, needed, utt.text))
        else:
            # the margin of 10 % pays for rounding in resampling and subsampling
            max_speed = max(1.0, 0.9 * frames / max(1, needed))
            good.append(replace(utt, tokens=tokens, max_speed=max_speed))
    return good, bad


def required_frames(tokens: Sequence[int]) -> int:
    """Encoder frames that CTC needs: tokens plus adjacent equal pairs, which need a blank between them."""
    return len(tokens) + sum(a == b for a, b in zip(tokens, tokens[1:], strict=False))
