"""Attention encoder-decoder: a CTC model with a decoder on the same encoder (Watanabe et al. 2017)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from speechkit.audio.features import padding_mask
from speechkit.data.batch import IGNORED_LABEL, Batch
from speechkit.models.config import AedConfig
from speechkit.models.ctc import CtcModel
from speechkit.models.loss import Loss
from speechkit.nn.attention import SENTENCE_ID, AttentionDecoder


class AedModel(CtcModel):
    """Log-probs of the next token through `decoder`; `forward` gives those of the auxiliary CTC output."""

    heads: ClassVar[tuple[str, ...]] = ("attention", "ctc")
    config: AedConfig

    def __init__(self, config: AedConfig, *, num_mels: int, num_tokens: int) -> None:
        super().__init__(config, num_mels=num_mels, num_tokens=num_tokens)
        self.decoder = AttentionDecoder(num_tokens, int(self.encoder.dim), config.decoder)  # type: ignore[arg-type]

    def loss(self, batch: Batch, *, progress: float) -> Loss:
        """(1 - w) cross-entropy of the decoder + w CTC, both per token, plus the weighted frame loss.

        Args:
            progress: share of training done, in [0, 1]; it decides the weight of the frame loss and, in training mode,
                the sampling.
        """
        weight = self.config.ctc_weight
        x_BTD, encoder_frames_B = self.encoder(batch.features_BTF, batch.num_frames_B)
        sampling = progress * self.config.sampling if self.training else 0.0
        attention = self._attention_loss(x_BTD, encoder_frames_B, batch, sampling=sampling)
        loss = Loss((1.0 - weight) * attention, {"attention": attention.detach()})
        if weight > 0:
            ctc = self._ctc_loss(x_BTD, encoder_frames_B, batch, progress)
            loss = Loss(loss.total + weight * ctc, loss.parts | {"ctc": ctc.detach()})
        return self._with_frame_loss(loss, x_BTD, batch, progress)

    def _attention_loss(self, x_BTD: Tensor, encoder_frames_B: Tensor, batch: Batch, *, sampling: float) -> Tensor:
        """Weighted cross-entropy with smoothed labels; the end of a sentence counts as a token."""
        memory = self.decoder.attention.memory(x_BTD, encoder_frames_B)
        logits_BUV = self.decoder(batch.tokens_BU, memory, sampling=sampling)
        size_U = logits_BUV.shape[1]
        # padding comes after the tokens and is SENTENCE_ID already: the first one is the end of the sentence
        targets_BU = nn.functional.pad(batch.tokens_BU, (0, 1), value=SENTENCE_ID)
        targets_BU = targets_BU.masked_fill(~padding_mask(batch.num_tokens_B + 1, size_U), IGNORED_LABEL)
        loss = nn.functional.cross_entropy(
            logits_BUV.float().flatten(0, 1), targets_BU.flatten(), ignore_index=IGNORED_LABEL,
            reduction="sum" if batch.weights is None else "none", label_smoothing=self.config.label_smoothing,
        )  # fmt: skip
        if batch.weights is not None:
            end_B1 = batch.weights.utterances_B[:, None]
            loss = (loss * torch.cat([batch.weights.tokens_BU, end_B1], 1).flatten()).sum()
        return loss / (batch.num_tokens_B + 1).sum()
