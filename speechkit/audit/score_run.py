"""`speechkit audit score`: a manifest and the log-probs of its utterances in, evidence and scores of each out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from speechkit import log
from speechkit.align.ctc import tokens_of
from speechkit.artifact import make_artifact, write_json
from speechkit.audio.config import FeatureConfig
from speechkit.audio.features import log_mel
from speechkit.audio.resample import resample
from speechkit.audit.config_evidence import ScoreConfig
from speechkit.audit.corpus import CORPUS_SCORES, Corpus, Item, speaker_distances
from speechkit.audit.evidence import Evidence, Floats
from speechkit.audit.k2_edits import PURPOSE, EditPosteriors, edit_posteriors
from speechkit.audit.logprobs import LEFT_OUT_FILE as NOT_HEARD_FILE
from speechkit.audit.logprobs import Emission, LogProbs, open_log_probs, read_lines
from speechkit.audit.score_file import LEFT_OUT_FILE, META_FILE, SCORES_FILE, add_posteriors, row_of, write_rows
from speechkit.audit.scores import SCORES, STAR_FRAME_PENALTY, Lexicon, gather
from speechkit.data.batch import Utterance, read_samples, utterances_of
from speechkit.data.store import audio_path, load_cuts, text_of
from speechkit.data.stream import manifest_path
from speechkit.decode.k2_info import import_k2
from speechkit.errors import SpeechkitError, counted

if TYPE_CHECKING:
    from lhotse import MonoCut

_SAME_SECONDS = 0.02
_NUM_MELS = 40
K2_SCORES = {"edits_k2": "S7 by k2: log of the sum over all edited texts, any number of edits each, over P(text)"}


@dataclass(frozen=True)
class _Found:
    """An utterance with its evidence, or why there is none."""

    cut: MonoCut
    evidence: Evidence | None
    part: int = 0
    seconds: float = 0.0
    posteriors: EditPosteriors | None = None
    reason: str = ""

    @property
    def speaker(self) -> str:
        """Of the cut; empty when it is not known."""
        return self.cut.supervisions[0].speaker or ""


def run(
    config: ScoreConfig,
    *,
    cuts: Path,
    log_probs: Sequence[Path],
    out: Path,
    num_jobs: int = 1,
    force: bool = False,
) -> None:
    """Make the artifact `out` and print one summary line.

    Raises:
        SpeechkitError: utterances without log-probs, or with those of other audio; all are listed.
    """
    if config.k2:
        import_k2(PURPOSE)  # its absence shows before the work
    manifest = manifest_path(cuts)
    found = list(load_cuts(manifest))
    inputs = {"cuts": manifest, **{f"log_probs_{number}": folder for number, folder in enumerate(log_probs)}}
    lexicon_file = None if config.lexicon in ("auto", "none") else Path(config.lexicon)
    if lexicon_file is not None:
        inputs["lexicon"] = lexicon_file

    def build(folder: Path) -> None:
        stored = open_log_probs(log_probs)
        not_heard = {row["id"]: row["reason"] for part in log_probs for row in read_lines(part / NOT_HEARD_FILE)}
        _check(found, stored, not_heard)
        lexicon = _lexicon(config, found)
        _tell_unknown(lexicon, stored, log_probs)
        start = time.process_time()
        items = _score(found, stored, not_heard, config, lexicon, num_jobs=num_jobs)
        seconds = time.process_time() - start
        done = [item for item in items if item.evidence is not None]
        _complete(done, config)
        words = () if lexicon is None else lexicon.words
        rows = [_row(item, words) for item in done]
        write_rows(folder / SCORES_FILE, rows)
        left_out = [{"id": item.cut.id, "reason": item.reason} for item in items if item.evidence is None]
        write_rows(folder / LEFT_OUT_FILE, left_out)
        if left_out:
            log.warn(f"{len(left_out)} of {counted(len(items), 'utterance')} can not be scored: see {LEFT_OUT_FILE}")
        write_json(folder / META_FILE, _meta(manifest, log_probs, config, lexicon, rows, left_out))
        log.info(f"{1000 * seconds / len(items):.2f} ms CPU per utterance")

    made = make_artifact(
        out, command="audit score", config=config, inputs=inputs, build=build, force=force,
        audio=[audio_path(cut) for cut in found] if config.speaker_distance else (),
    )  # fmt: skip
    if made:
        num_left_out = len(read_lines(out / LEFT_OUT_FILE))
        more = f", {num_left_out} left out (see {out / LEFT_OUT_FILE})" if num_left_out else ""
        print(f"{out}: {counted(len(found) - num_left_out, 'utterance')} scored{more}")


def _check(cuts: Sequence[MonoCut], stored: LogProbs, not_heard: dict[str, str]) -> None:
    missing = [cut.id for cut in cuts if cut.id not in stored and cut.id not in not_heard]
    if missing:
        raise SpeechkitError(
            f"{len(missing)} of {counted(len(cuts), 'utterance')} have no log-probs",
            where=missing,
            hint="name all folders of `speechkit audit logprobs`: --log-probs DIR1 --log-probs DIR2",
        )
    other = []
    for cut in cuts:
        seconds = stored.seconds_of(cut.id) if cut.id in stored else cut.duration
        if abs(seconds - cut.duration) > _SAME_SECONDS:
            other.append(f"{cut.id}  {cut.duration:.2f} s in the manifest, {seconds:.2f} s in the log-probs")
    if other:
        raise SpeechkitError(
            f"the log-probs of {counted(len(other), 'utterance')} were made from other audio",
            where=other,
            expected="log-probs of this manifest",
            hint="run `speechkit audit logprobs` on it",
        )


def _lexicon(config: ScoreConfig, cuts: Sequence[MonoCut]) -> Lexicon | None:
    if config.lexicon == "none":
        return None
    if config.lexicon == "auto":
        words = {word for cut in cuts for item in cut.supervisions for word in (item.text or "").split()}
        if len(words) > config.max_auto_words:
            log.info(f"no lexicon: the texts have {len(words)} different words, more than {config.max_auto_words}")
            return None
        return Lexicon(tuple(sorted(words)))
    return Lexicon(_read_lexicon(Path(config.lexicon)))


def _read_lexicon(path: Path) -> tuple[str, ...]:
    words: dict[str, None] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise SpeechkitError(f"`{path}` is not UTF-8: {error.reason}") from None
    for number, line in enumerate(lines, start=1):
        parts = line.split()
        if len(parts) > 1:
            raise SpeechkitError(f"{len(parts)} words in a line", where=f"{path}:{number}", expected="one word a line")
        words.update(dict.fromkeys(parts))
    if not words:
        raise SpeechkitError(f"`{path}` holds no words")
    return tuple(words)


def _tell_unknown(lexicon: Lexicon | None, stored: LogProbs, folders: Sequence[Path]) -> None:
    for tokenizer, folder in zip(stored.tokenizers, folders, strict=True):
        unknown = () if lexicon is None else lexicon.for_tokenizer(tokenizer).unknown
        if unknown:
            shown = ", ".join(f"`{word}`" for word in unknown[:3])
            log.warn(f"{counted(len(unknown), 'word')} of the lexicon unknown to `{folder}` and not tried: {shown}")


def _score(
    cuts: Sequence[MonoCut],
    stored: LogProbs,
    not_heard: dict[str, str],
    config: ScoreConfig,
    lexicon: Lexicon | None,
    *,
    num_jobs: int,
) -> list[_Found]:
    def score(cut: MonoCut) -> _Found:
        if cut.id in not_heard:
            return _Found(cut, None, reason=not_heard[cut.id])
        emission: Emission = stored.get(cut.id)
        try:
            words = text_of(cut).split()
            evidence = gather(emission, words, lexicon=lexicon, star_penalty=config.star_penalty)
        except SpeechkitError as error:
            return _Found(cut, None, reason=error.what)
        return _Found(
            cut, evidence, emission.part, len(emission.log_probs_TV) * emission.step_seconds,
            _by_k2(emission, words, config.star_penalty) if config.k2 else None,
        )  # fmt: skip

    with ThreadPoolExecutor(num_jobs) as pool:
        items = list(log.track(pool.map(score, cuts), "scoring", total=len(cuts)))
    if all(item.evidence is None for item in items):
        raise SpeechkitError("no utterance can be scored", where=[f"{item.cut.id}  {item.reason}" for item in items])
    return items


def _by_k2(emission: Emission, words: Sequence[str], star_penalty: float) -> EditPosteriors:
    tokens, ranges = tokens_of(words, emission.tokenizer)
    values_TV = torch.from_numpy(emission.log_probs_TV)
    return edit_posteriors(
        values_TV, tokens, ranges, star_penalty=star_penalty, skip_penalty=star_penalty,
        star_frame_penalty=STAR_FRAME_PENALTY,
    )  # fmt: skip


def _row(item: _Found, lexicon: Sequence[str]) -> dict[str, Any]:
    assert item.evidence is not None
    row = row_of(item.cut.id, item.evidence, lexicon, part=item.part, speaker=item.speaker, seconds=item.seconds)
    if item.posteriors is not None:
        add_posteriors(row, item.posteriors)
    return row


def _complete(found: Sequence[_Found], config: ScoreConfig) -> None:
    """Add the scores that need the whole corpus."""
    items = [
        Item(item.evidence.words, item.speaker, item.seconds, item.evidence.scores)
        for item in found
        if item.evidence is not None
    ]
    corpus = Corpus(items)
    for item in items:
        corpus.complete(item)
    if config.speaker_distance:
        rate = min(item.cut.sampling_rate for item in found)
        features = FeatureConfig(sampling_rate=rate, num_mels=_NUM_MELS, normalize="none")
        utterances = utterances_of([item.cut for item in found], features)
        spectra_NF = np.stack([_spectrum(utt, features) for utt in log.track(utterances, "spectra")])
        distances_N = speaker_distances(spectra_NF, [item.speaker for item in items])
        for item, distance in zip(items, distances_N, strict=True):
            item.scores["speaker_distance"] = float(distance)


def _spectrum(utt: Utterance, features: FeatureConfig) -> Floats:
    """Mean and standard deviation of the log-mel bands over the louder half of the frames, whatever their level."""
    samples = torch.from_numpy(resample(read_samples(utt), utt.sampling_rate, features.sampling_rate))
    log_TF = log_mel(samples[None], torch.tensor([len(samples)]), features)[0][0].numpy().astype(np.float64)
    energy_T = log_TF.mean(axis=1)
    loud_TF = log_TF[energy_T >= np.median(energy_T)]
    mean_F = loud_TF.mean(axis=0)
    return np.concatenate([mean_F - mean_F.mean(), loud_TF.std(axis=0)])


def _meta(
    manifest: Path,
    log_probs: Sequence[Path],
    config: ScoreConfig,
    lexicon: Lexicon | None,
    rows: Sequence[dict[str, Any]],
    left_out: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    return {
        "cuts": str(manifest.absolute()),
        "log_probs": [str(folder.absolute()) for folder in log_probs],
        "lexicon": None if lexicon is None else list(lexicon.words),
        "star_penalty": config.star_penalty,
        "star_frame_penalty": STAR_FRAME_PENALTY,
        "num_utterances": len(rows),
        "num_left_out": len(left_out),
        "scores": {
            name: text for name, text in (SCORES | K2_SCORES | CORPUS_SCORES).items() if name in rows[0]["scores"]
        },
    }
