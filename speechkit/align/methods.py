"""The three ways to align: models trained on the corpus, models trained before, or a CTC model finds the words."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from pathlib import Path

from speechkit import log
from speechkit.align import flat_start, hmm
from speechkit.align.config import AlignConfig
from speechkit.align.ctc import Heard, hear
from speechkit.align.features import Frames, FrameStore
from speechkit.align.hmm_model import WEIGHTS_FILE, Chain, HmmModel, Ints, load_hmm
from speechkit.align.pieces import cut_pieces, first_states, merge, rough_edges
from speechkit.align.result import NotAligned, Outcome
from speechkit.data.batch import Utterance
from speechkit.errors import SpeechkitError
from speechkit.models.table import WEIGHTS_FILE as CTC_WEIGHTS_FILE
from speechkit.models.table import Trained, check_device, load_trained

MIN_SAMPLING_RATE = 4000  # of the features
_ENOUGH_SECONDS = 120.0  # below, a tenth of the words of read sentences were off by 50 ms or more


def load_exp(exp: Path, config: AlignConfig) -> HmmModel | Trained:
    """The Gaussian models of an earlier `align forced`, or a model of `speechkit train` that has a CTC output.

    Raises:
        SpeechkitError: neither, or it is damaged; ConfigError: the device is not there.
    """
    if (exp / WEIGHTS_FILE).is_file():
        return load_hmm(exp)
    if exp.is_dir() and not (exp / CTC_WEIGHTS_FILE).is_file() and not exp.with_name(f"{exp.name}.partial").exists():
        raise SpeechkitError(
            f"`{exp}` holds no model to align with",
            expected=f"`{WEIGHTS_FILE}` of `speechkit align forced`, or `{CTC_WEIGHTS_FILE}` of `speechkit train`",
        )
    check_device(config.ctc.device)
    trained = load_trained(exp)
    if "ctc" not in trained.model.heads:  # type: ignore[operator]
        raise SpeechkitError(f"the model in `{exp}` has no CTC output")
    trained.model.to(config.ctc.device)
    return trained


def sampling_rate_of(model: HmmModel | Trained | None, config: AlignConfig, utterance_rates: Sequence[int]) -> int:
    """Sampling rate that every utterance needs at least."""
    if isinstance(model, HmmModel):
        return model.sampling_rate
    if model is not None:
        return model.features.sampling_rate
    return min([config.hmm.max_sampling_rate, *(rate for rate in utterance_rates if rate >= MIN_SAMPLING_RATE)])


def align_with_models(
    model: HmmModel, utterances: Sequence[Utterance], speakers: Sequence[str | None], pool: Executor
) -> list[Outcome]:
    """With Gaussian models trained before."""
    store = FrameStore(model.config, model.sampling_rate, keep_seconds=0.0)
    return hmm.align(model, utterances, speakers, store, pool)


def align_alone(
    config: AlignConfig, utterances: Sequence[Utterance], speakers: Sequence[str | None], pool: Executor
) -> tuple[list[Outcome], HmmModel]:
    """With Gaussian models trained on these utterances from nothing."""
    store = _store_for(config, utterances)
    model = flat_start.train(utterances, store, pool)
    seconds = sum(utt.duration_seconds for utt in utterances)
    if seconds < _ENOUGH_SECONDS:
        log.warn(
            f"{seconds:.0f} s of audio are little to learn from: words may be seconds off, above all in long"
            " utterances; --exp takes the models of a larger corpus, such as an earlier output of `align forced`"
        )
    return hmm.align(model, utterances, speakers, store, pool), model


def align_with_ctc(
    config: AlignConfig,
    trained: Trained,
    utterances: Sequence[Utterance],
    speakers: Sequence[str | None],
    pool: Executor,
) -> tuple[list[Outcome], HmmModel | None]:
    """CTC finds the words; Gaussian models trained from there find their boundaries."""
    found = pool.map(lambda utt: hear(trained, utt, config.ctc), utterances)
    heard = list(log.track(found, "hearing", total=len(utterances)))
    pieces = [
        cut_pieces(utt, item, max_seconds=config.ctc.piece_seconds) if isinstance(item, Heard) else []
        for utt, item in zip(utterances, heard, strict=True)
    ]
    every = [piece for parts in pieces for piece in parts]
    if not every:
        return [item for item in heard if isinstance(item, NotAligned)], None
    spikes = {piece.utterance.utt_id: piece.spikes for piece in every}
    store = _store_for(config, [piece.utterance for piece in every])

    def start(utt: Utterance, frames: Frames, chain: Chain) -> Ints:
        edges_W2 = rough_edges(frames, spikes[utt.utt_id], config.hmm.hop_ms / 1000)
        return first_states(frames, chain, edges_W2)

    model = flat_start.train([piece.utterance for piece in every], store, pool, first_states=start)
    voices = [speaker for speaker, parts in zip(speakers, pieces, strict=True) for _ in parts]
    outcomes = hmm.align(model, [piece.utterance for piece in every], voices, store, pool)
    by_id = {piece.utterance.utt_id: outcome for piece, outcome in zip(every, outcomes, strict=True)}
    return [
        item if isinstance(item, NotAligned) else merge(utt, item, parts, by_id)
        for utt, item, parts in zip(utterances, heard, pieces, strict=True)
    ], model


def _store_for(config: AlignConfig, utterances: Sequence[Utterance]) -> FrameStore:
    rate = min([config.hmm.max_sampling_rate, *(utt.sampling_rate for utt in utterances)])
    return FrameStore(config.hmm, rate, keep_seconds=60.0 * config.hmm.train_minutes)
