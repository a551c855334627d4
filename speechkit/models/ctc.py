"""CTC model: an encoder, a linear output, and a second output for the frame loss."""

from __future__ import annotations

import math
from typing import ClassVar

from torch import Tensor, nn

from speechkit.data.batch import IGNORED_LABEL, Batch
from speechkit.kernels.ctc_graph import Graph
from speechkit.kernels.ctc_star import graph_loss, star_graph, with_star
from speechkit.models.config import AedConfig, CtcConfig, StarConfig
from speechkit.models.loss import Loss
from speechkit.nn.encoder import make_encoder

_LEAST = 1e-6  # neither star nor word is ever ruled out


class CtcModel(nn.Module):
    """Log-probs of tokens per encoder frame; blank is token 0."""

    heads: ClassVar[tuple[str, ...]] = ("ctc",)

    def __init__(self, config: CtcConfig | AedConfig, *, num_mels: int, num_tokens: int) -> None:
        super().__init__()
        self.config = config
        self.encoder = make_encoder(num_mels, config.encoder)
        self.output = nn.Linear(int(self.encoder.dim), num_tokens)  # type: ignore[arg-type]
        self.frame_output = nn.Linear(int(self.encoder.dim), num_tokens)  # type: ignore[arg-type]

    def forward(self, features_BTF: Tensor, num_frames_B: Tensor) -> tuple[Tensor, Tensor]:
        """Natural log-probs (B, T', V) float32 and encoder frames (B,)."""
        x_BTD, encoder_frames_B = self.encoder(features_BTF, num_frames_B)
        return self.log_probs(x_BTD), encoder_frames_B

    def log_probs(self, x_BTD: Tensor) -> Tensor:
        """Natural log-probs (B, T', V) float32 of an encoder output."""
        return self.output(x_BTD).float().log_softmax(-1)  # type: ignore[no-any-return]

    def loss(self, batch: Batch, *, progress: float) -> Loss:
        """CTC loss plus the weighted frame loss, both per token or frame.

        Args:
            progress: share of training done, in [0, 1]; the weight of the frame loss falls with it.
        """
        x_BTD, encoder_frames_B = self.encoder(batch.features_BTF, batch.num_frames_B)
        ctc = self._ctc_loss(x_BTD, encoder_frames_B, batch, progress)
        return self._with_frame_loss(Loss(ctc, {"ctc": ctc.detach()}), x_BTD, batch, progress)

    def _ctc_loss(self, x_BTD: Tensor, encoder_frames_B: Tensor, batch: Batch, progress: float) -> Tensor:
        """Weighted sum over utterances, per token."""
        log_probs_BTV = self.log_probs(x_BTD)
        num_tokens = batch.num_tokens_B.sum().clamp(min=1)
        if self.config.star is not None:
            graphs = _star_graphs(batch, self.config.star, progress, star_id=log_probs_BTV.shape[-1])
            losses_B = graph_loss(with_star(log_probs_BTV), encoder_frames_B, graphs)
        else:
            reduction = "sum" if batch.weights is None else "none"
            losses_B = nn.functional.ctc_loss(
                log_probs_BTV.transpose(0, 1),
                batch.tokens_BU,
                encoder_frames_B,
                batch.num_tokens_B,
                reduction=reduction,
            )
        if batch.weights is not None:
            losses_B = losses_B * batch.weights.utterances_B
        return losses_B.sum() / num_tokens

    def _with_frame_loss(self, loss: Loss, x_BTD: Tensor, batch: Batch, progress: float) -> Loss:
        weight = self._frame_weight(progress)
        if weight <= 0 or batch.frame_labels_BT is None:
            return loss
        weights_BT = None if batch.weights is None else batch.weights.frames_BT
        frame = self._frame_loss(x_BTD, batch.frame_labels_BT, weights_BT)
        return Loss(loss.total + weight * frame, loss.parts | {"frame": frame.detach()})

    def _frame_weight(self, progress: float) -> float:
        config = self.config.frame_loss
        return config.weight * max(0.0, 1.0 - progress / config.end_share) if config.end_share else 0.0

    def _frame_loss(self, x_BTD: Tensor, labels_BT: Tensor, weights_BT: Tensor | None) -> Tensor:
        # the label of the feature frame in the centre of what an encoder frame sees
        factor, centre = int(self.encoder.factor), int(self.encoder.centre)  # type: ignore[arg-type]
        missing = factor * x_BTD.shape[1] - labels_BT.shape[1]
        labels_BT = nn.functional.pad(labels_BT, (0, missing), value=IGNORED_LABEL)[:, centre::factor]
        logits_BTV = self.frame_output(x_BTD).float()
        loss = nn.functional.cross_entropy(
            logits_BTV.flatten(0, 1), labels_BT.flatten(), ignore_index=IGNORED_LABEL,
            reduction="sum" if weights_BT is None else "none",
        )  # fmt: skip
        if weights_BT is not None:
            loss = (loss * nn.functional.pad(weights_BT, (0, missing))[:, centre::factor].flatten()).sum()
        return loss / (labels_BT != IGNORED_LABEL).sum().clamp(min=1)


def _star_graphs(batch: Batch, config: StarConfig, progress: float, *, star_id: int) -> list[Graph]:
    """The graph of each utterance; where words have weights w, each is a star with the odds (1 - w) / w."""
    share = min(1.0, progress / config.end_share)
    word_weight = config.word_weight + share * (config.word_weight_end - config.word_weight)
    gap_weight = config.gap_weight + share * (config.gap_weight_end - config.gap_weight)
    given = batch.weights.words if batch.weights is not None else [()] * len(batch)
    graphs = []
    for tokens_U, size, words, doubts in zip(
        batch.tokens_BU.tolist(), batch.num_tokens_B.tolist(), batch.words, given, strict=True
    ):
        odds = [math.log(max(1 - w, _LEAST) / max(w, _LEAST)) for w in doubts]
        weights = odds or [word_weight] * len(words)
        graph = star_graph(tokens_U[:size], words, word_weights=weights, gap_weight=gap_weight, star_id=star_id)
        graphs.append(graph.graph)
    return graphs
