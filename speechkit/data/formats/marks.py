"""Times and texts that lie beside audio (CTM, STM, a folder of TextGrids) to and from utterances.

These formats name recordings but not their files: `AudioIndex` finds them in a folder by name, or in a manifest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from speechkit.audio.io import AudioInfo, audio_info
from speechkit.data.corpora.items import BadItem, Prepared, is_file_name
from speechkit.data.formats.ctm import read_ctm, write_ctm
from speechkit.data.formats.fields import is_field, unused_name
from speechkit.data.formats.stm import NOBODY, Segment, read_stm, segment_id
from speechkit.data.formats.textgrid import read_textgrid, write_textgrid
from speechkit.data.formats.utterance import Losses, Utterance, cut_of, utterances_of
from speechkit.data.store import Word, iter_cuts
from speechkit.errors import ConfigError, SpeechkitError

TEXT_TIER = "text"
SUFFIX = ".TextGrid"
_AUDIO_SUFFIXES = {".wav", ".flac", ".ogg", ".opus", ".mp3", ".sph"}
_TIER_NAMES = {"words": "word", "phones": "phone"}  # of the Montreal Forced Aligner
_PLACE_TOLERANCE_SECONDS = 0.02


@dataclass
class AudioIndex:
    """Audio files by the name of the recording, and the utterances of a manifest by id, if there is one."""

    files: dict[str, Path]
    utterances: dict[str, Utterance]

    @classmethod
    def of(cls, path: Path | None) -> AudioIndex:
        """Every audio file below a folder by its name without suffix, or the utterances of a manifest.

        Raises:
            ConfigError: no path was given.
            SpeechkitError: two files have one name, or the manifest can not be read.
        """
        if path is None:
            raise ConfigError(
                "the format names recordings but not their files",
                expected="--audio FOLDER with files of these names, or --audio CUTS",
            )
        if path.is_file() or (path / "cuts.jsonl.gz").is_file():
            found = list(utterances_of(iter_cuts(path), Losses()))
            return cls({u.recording_id: u.audio for u in found}, {u.utt_id: u for u in found})
        files: dict[str, Path] = {}
        for file in sorted(p for p in path.rglob("*") if p.suffix.lower() in _AUDIO_SUFFIXES):
            if file.stem in files:
                raise SpeechkitError(
                    f"two audio files are called `{file.stem}`", where=[str(files[file.stem]), str(file)]
                )
            files[file.stem] = file
        return cls(files, {})

    def open(self, name: str) -> tuple[Path, AudioInfo]:
        """The file of a recording and its header.

        Raises:
            SpeechkitError: there is none, or it can not be read.
        """
        if name not in self.files:
            raise SpeechkitError(f"no audio file `{name}` and no recording of this id in --audio")
        return self.files[name], audio_info(self.files[name])

    def whole(self, name: str) -> Utterance:
        """The whole recording as an utterance.

        Raises:
            SpeechkitError: as `open`.
        """
        audio, info = self.open(name)
        return Utterance(name, name, audio, info.sampling_rate, info.num_samples, 0.0, info.duration_seconds)


def write_ctm_of(utterances: Iterable[Utterance], path: Path, losses: Losses) -> int:
    """Write the word alignments of utterances as CTM; returns how many utterances are in it."""
    found: list[tuple[str, list[Word]]] = []
    for u in utterances:
        words = [replace(w, start_seconds=round(u.start_seconds + w.start_seconds, 8)) for w in u.tiers.get("word", [])]
        if not words:
            losses.add("the utterance: it has no word alignment", u.utt_id)
            continue
        if not is_field(u.recording_id) or not all(is_field(w.symbol) and w.start_seconds >= 0 for w in words):
            losses.add(
                "the utterance: its recording or a word holds a blank or is empty, or it starts before 0", u.utt_id
            )
            continue
        losses.add_missing(
            replace(u, text="", tiers={k: v for k, v in u.tiers.items() if k != "word"}), ("place", "recording")
        )
        if u.text != " ".join(w.symbol for w in words):
            losses.add("text: it is not that of the aligned words", u.utt_id)
        if u.recording_id != u.utt_id or not u.is_whole:
            losses.add("the bounds and the id of the utterance in its recording", u.utt_id)
        found.append((u.recording_id, words))
    losses.refuse_nothing(len(found))
    write_ctm(path, found)
    return len(found)


def read_ctm_as_cuts(path: Path, audio: AudioIndex) -> Prepared:
    """The words of a CTM as alignments of the utterances of a manifest, or of whole recordings.

    A word belongs to the utterance in which its middle lies; those that lie in none are bad items. Without a manifest,
    words are the text, too.
    """
    recordings, bad = read_ctm(path)
    utterances: list[Utterance] = []
    if audio.utterances:
        by_recording: dict[str, list[Utterance]] = {}
        for u in audio.utterances.values():
            by_recording.setdefault(u.recording_id, []).append(u)
        bad += [
            BadItem(str(path), name, "no recording of this id in --audio")
            for name in recordings.keys() - by_recording.keys()
        ]
        for name, items in by_recording.items():
            words = recordings.get(name, [])
            utterances += [_with_words(u, words) for u in items]
            bad += [_outside(path, name, w) for w in words if not any(_is_inside(w, u) for u in items)]
        return Prepared([cut_of(u) for u in utterances], sorted(bad, key=lambda b: (b.where, b.utt_id)))
    for name, words in recordings.items():
        try:
            u = audio.whole(name)
        except SpeechkitError as error:
            bad.append(BadItem(str(path), name, error.what))
            continue
        inside = [w for w in words if _is_inside(w, u)]
        bad += [_outside(path, name, w) for w in words if not _is_inside(w, u)]
        utterances.append(replace(u, text=" ".join(w.symbol for w in inside), tiers={"word": inside}))
    return Prepared([cut_of(u) for u in utterances], bad)


def _is_inside(word: Word, u: Utterance) -> bool:
    middle = word.start_seconds + word.duration_seconds / 2
    return u.start_seconds <= middle < u.start_seconds + u.duration_seconds


def _outside(path: Path, name: str, word: Word) -> BadItem:
    return BadItem(str(path), name, f"`{word.symbol}` at {word.start_seconds:g} s lies in no utterance")


def _with_words(u: Utterance, words: Iterable[Word]) -> Utterance:
    inside = (w for w in words if _is_inside(w, u))
    own = [replace(w, start_seconds=round(w.start_seconds - u.start_seconds, 8)) for w in inside]
    return replace(u, tiers={**u.tiers, "word": own}) if own else u


def read_stm_as_cuts(path: Path, audio: AudioIndex) -> Prepared:
    """One cut per segment of an STM; a second segment of one speaker in the same milliseconds gets a number."""
    segments, bad = read_stm(path)
    headers: dict[str, Utterance | str] = {}
    utterances: dict[str, Utterance] = {}
    for segment in segments:
        name = segment.recording_id
        if name not in headers:
            try:
                headers[name] = audio.whole(name)
            except SpeechkitError as error:
                headers[name] = error.what
        made = _utterance_of(segment, headers[name])
        if isinstance(made, BadItem):
            bad.append(made)
            continue
        utt_id = unused_name(made.utt_id, utterances, separator="-")
        utterances[utt_id] = replace(made, utt_id=utt_id)
    return Prepared([cut_of(u) for u in utterances.values()], bad)


def _utterance_of(segment: Segment, whole: Utterance | str) -> Utterance | BadItem:
    start, end = segment.start_seconds, segment.end_seconds
    utt_id = segment_id(segment.recording_id, segment.speaker, start, end)
    if isinstance(whole, str):
        return BadItem(segment.where, utt_id, whole)
    if end > whole.duration_seconds + _PLACE_TOLERANCE_SECONDS:
        return BadItem(segment.where, utt_id, f"it ends at {end:g} s, the audio at {whole.duration_seconds:g} s")
    return replace(
        whole,
        utt_id=utt_id,
        start_seconds=start,
        duration_seconds=round(min(end, whole.duration_seconds) - start, 8),
        text=segment.text,
        speaker=None if segment.speaker == NOBODY else segment.speaker,
    )


def write_textgrids(utterances: Iterable[Utterance], folder: Path, losses: Losses) -> int:
    """Write `<id>.TextGrid` for each utterance: the tier `text`, then its alignments; returns their number."""
    count = 0
    for u in utterances:
        if not is_file_name(u.utt_id):
            losses.add("the utterance: its id can not be the name of a file", u.utt_id)
            continue
        losses.add_missing(u, ("text", "tiers"))
        if u.text and not u.text.strip():
            losses.add("white space in the text", u.utt_id)
        whole = [Word(u.text, 0.0, u.duration_seconds)] if u.text.strip() else []
        tiers: dict[str, list[Word]] = {TEXT_TIER: whole}
        for name, words in u.tiers.items():
            fault = _fault_of_tier(name, words, u.duration_seconds)
            if fault:
                losses.add(f"alignment `{name}`: {fault}", u.utt_id)
                continue
            tiers[name] = words
            if any(word.score is not None for word in words):
                losses.add(f"scores of alignment `{name}`", u.utt_id)
        write_textgrid(folder / f"{u.utt_id}{SUFFIX}", tiers, end_seconds=u.duration_seconds)
        count += 1
    losses.refuse_nothing(count)
    return count


def _fault_of_tier(name: str, words: list[Word], end_seconds: float) -> str:
    """Why a TextGrid can not hold a tier, in words that are the same for all utterances."""
    if name == TEXT_TIER or not name.strip():
        return "the name is taken or empty"
    if not words:
        return "it is empty"
    at = 0.0
    for word in words:
        end = word.start_seconds + word.duration_seconds
        if not word.symbol.strip():
            return "an item is empty"
        if word.start_seconds < at - 1e-6 or end > end_seconds + 1e-6:
            return "items overlap or lie outside the utterance"
        at = end
    is_points = not any(word.duration_seconds for word in words)
    return "" if is_points or all(word.duration_seconds > 2e-6 for word in words) else "an item has no duration"


def read_textgrids(folder: Path, audio: AudioIndex) -> Prepared:
    """One cut per `*.TextGrid` of a folder, with its tiers as alignments.

    The tier `text` is the transcript; without it, the words are. The id is the name of the file; speaker and place
    come from the manifest of `audio`, else the cut is a whole file.
    """
    cuts, bad = [], []
    for path in sorted(folder.rglob(f"*{SUFFIX}") if folder.is_dir() else [folder]):
        try:
            u = audio.utterances.get(path.stem) or audio.whole(path.stem)
            cuts.append(cut_of(replace(u, **_labels(path, u))))
        except SpeechkitError as error:
            bad.append(BadItem(str(path), path.stem, error.what))
    if not cuts and not bad:
        raise SpeechkitError(f"no `*{SUFFIX}` in `{folder}`")
    return Prepared(cuts, bad)


def _labels(path: Path, u: Utterance) -> dict[str, Any]:
    grid = read_textgrid(path)
    if abs(grid.end_seconds - u.duration_seconds) > _PLACE_TOLERANCE_SECONDS:
        raise SpeechkitError(f"it ends at {grid.end_seconds:g} s, the audio at {u.duration_seconds:g} s")
    tiers = dict(_renamed(grid.tiers))
    whole = tiers.pop(TEXT_TIER, None)
    text = " ".join(w.symbol for w in (tiers.get("word", []) if whole is None else whole))
    return {"text": text or u.text, "tiers": {**u.tiers, **{name: words for name, words in tiers.items() if words}}}


def _renamed(tiers: Mapping[str, list[Word]]) -> Iterator[tuple[str, list[Word]]]:
    for name, words in tiers.items():
        last = name.rpartition(" - ")[2] if len(tiers) <= 2 else name  # `speaker - words`
        yield _TIER_NAMES.get(last, name), words
