"""Training on transcripts with faults: weights of utterances and words, and the star objective."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from speechkit.data.batch import IGNORED_LABEL, Batch
from speechkit.data.weights import Weights
from speechkit.models.aed import AedModel
from speechkit.models.config import AedConfig, CtcConfig, FrameLossConfig, StarConfig
from speechkit.models.table import make_model
from speechkit.nn.config import AttentionDecoderConfig, DsConvConfig

ENCODER = DsConvConfig(dim=16, num_blocks=1, subsampling=2, subsampling_channels=4, dropout=0.0)
NO_FRAME_LOSS = FrameLossConfig(weight=0.0)


def make(config: CtcConfig | AedConfig) -> nn.Module:
    torch.manual_seed(0)
    return make_model(config, num_mels=20, num_tokens=5)


def batch_of(*texts: list[int], weights: Weights | None = None, labels: torch.Tensor | None = None) -> Batch:
    generator = torch.Generator().manual_seed(0)
    tokens = torch.zeros(len(texts), max(map(len, texts)), dtype=torch.int64)
    for row, text in zip(tokens, texts, strict=True):
        row[: len(text)] = torch.tensor(text)
    return Batch(
        utt_ids=[str(index) for index in range(len(texts))],
        features_BTF=torch.randn(len(texts), 40, 20, generator=generator),
        num_frames_B=torch.full((len(texts),), 40),
        tokens_BU=tokens,
        num_tokens_B=torch.tensor([len(text) for text in texts]),
        frame_labels_BT=labels,
        audio_seconds=0.8,
        words=[[(u, u + 1) for u in range(len(text))] for text in texts],
        weights=weights,
    )


def weights_of(utterances: list[float], words: list[tuple[float, ...]], longest: int) -> Weights:
    utterances_B = torch.tensor(utterances)
    tokens = utterances_B[:, None].repeat(1, longest)
    for row, own in zip(tokens, words, strict=True):
        row[: len(own)] *= torch.tensor(own)
    return Weights(words, utterances_B, tokens, utterances_B[:, None].repeat(1, 40))


def total(model: nn.Module, batch: Batch, progress: float = 1.0) -> float:
    return float(model.loss(batch, progress=progress).total.detach())  # type: ignore[operator]


def test_an_utterance_of_weight_zero_adds_nothing_and_one_of_a_half_adds_half() -> None:
    model = make(CtcConfig(encoder=ENCODER, frame_loss=NO_FRAME_LOSS)).eval()
    both = total(model, batch_of([1, 2], [3, 4]))
    first = total(model, batch_of([1, 2], [3, 4], weights=weights_of([1.0, 0.0], [(1, 1), (1, 1)], 2)))
    half = total(model, batch_of([1, 2], [3, 4], weights=weights_of([1.0, 0.5], [(1, 1), (1, 1)], 2)))
    assert 0 < first < both
    assert half == pytest.approx((first + both) / 2, rel=1e-5)


def test_frames_of_weight_zero_add_nothing_to_the_frame_loss() -> None:
    model = make(CtcConfig(encoder=ENCODER, frame_loss=FrameLossConfig(weight=1.0, end_share=1.0))).eval()
    labels = torch.ones(1, 40, dtype=torch.int64)
    known = labels.clone()
    known[:, 20:] = IGNORED_LABEL
    weights = weights_of([1.0], [(1.0, 1.0)], 2)
    weights.frames_BT[:, 20:] = 0.0
    plain = total(model, batch_of([1, 2]), 0.0)
    ignored = total(model, batch_of([1, 2], labels=known), 0.0) - plain
    weighted = total(model, batch_of([1, 2], labels=labels, weights=weights), 0.0) - plain
    assert weighted == pytest.approx(ignored / 2, rel=1e-4)  # divided by all labelled frames


def test_words_of_weight_zero_add_nothing_to_the_loss_of_the_attention_decoder() -> None:
    config = AedConfig(
        encoder=ENCODER, frame_loss=NO_FRAME_LOSS, ctc_weight=0.0, decoder=AttentionDecoderConfig(dim=16), sampling=0.0
    )
    model = make(config).eval()
    assert isinstance(model, AedModel)
    weighted = [total(model, batch_of([1, last], weights=weights_of([1.0], [(1.0, 0.0)], 2))) for last in (2, 3)]
    plain = [total(model, batch_of([1, last])) for last in (2, 3)]
    # the word still conditions the end of the sentence, so the rest differs a little
    assert abs(weighted[0] - weighted[1]) < abs(plain[0] - plain[1])
    assert weighted[0] < plain[0]


def test_stars_without_weight_give_the_plain_loss() -> None:
    plain = make(CtcConfig(encoder=ENCODER, frame_loss=NO_FRAME_LOSS)).eval()
    star = make(
        CtcConfig(encoder=ENCODER, frame_loss=NO_FRAME_LOSS, star=StarConfig(word_weight=-1e4, gap_weight=-1e4))
    )
    batch = batch_of([1, 2, 2], [3])
    assert total(star.eval(), batch, 0.0) == pytest.approx(total(plain, batch, 0.0), rel=1e-5)
    assert total(star.eval(), batch, 1.0) < total(plain, batch, 1.0)


def test_a_word_weight_opens_the_way_around_its_word_only() -> None:
    config = CtcConfig(
        encoder=ENCODER,
        frame_loss=NO_FRAME_LOSS,
        star=StarConfig(word_weight=-1e4, gap_weight=-1e4, gap_weight_end=-1e4),
    )
    model = make(config).eval()
    sure = total(model, batch_of([1, 2]), 0.0)
    for weights in ((0.5, 1.0), (1.0, 0.5)):
        doubted = batch_of([1, 2], weights=weights_of([1.0], [weights], 2))
        assert total(model, doubted, 0.0) < sure - 0.01
    trusted = batch_of([1, 2], weights=weights_of([1.0], [(1.0, 1.0)], 2))
    assert total(model, trusted, 0.0) == pytest.approx(sure, rel=1e-4)
    assert total(model, trusted, 1.0) == pytest.approx(total(model, trusted, 0.0)), (
        "no schedule where weights are given"
    )


@pytest.mark.parametrize("knows_weights", [True, False])
def test_words_with_a_low_weight_are_not_learned(knows_weights: bool) -> None:
    """One word per utterance, said in one way; two thirds of the labels are the next word instead."""
    torch.manual_seed(0)
    templates = torch.randn(5, 40, 20)
    said = [1 + n % 4 for n in range(24)]
    given = [word if n // 4 % 3 == 0 else 1 + word % 4 for n, word in enumerate(said)]
    weights = weights_of([1.0] * 24, [(1.0 if a == b else 0.01,) for a, b in zip(said, given, strict=True)], 1)
    star = StarConfig(word_weight_end=-12.0, gap_weight_end=-12.0)
    model = make(CtcConfig(encoder=ENCODER, frame_loss=NO_FRAME_LOSS, star=star))
    batch = batch_of(*[[word] for word in given], weights=weights if knows_weights else None)
    batch = dataclasses.replace(batch, features_BTF=templates[said] + 0.3 * batch.features_BTF)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(100):
        optimizer.zero_grad()
        model.loss(batch, progress=0.0).total.backward()  # type: ignore[operator]
        optimizer.step()
    log_probs, _ = model.eval()(batch.features_BTF, batch.num_frames_B)
    heard = log_probs[:, :, 1:].logsumexp(1).argmax(-1) + 1
    share = float((heard == torch.tensor(said)).float().mean())
    assert share >= 0.9 if knows_weights else share <= 0.4
