"""The table of everything that `data validate` can say: cause, cure, and what `--fix` does about it.

A fault makes the exit code 3; a note is worth knowing and changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple


class Remedy(Enum):
    """What `--fix` does: write it right, put the utterance into quarantine, or nothing (it takes a decision)."""

    REPAIR = "repaired"
    DROP = "quarantined"
    KEEP = "left"


@dataclass(frozen=True)
class Kind:
    """One kind of fault or note.

    Args:
        group: structure, text, audio, timing, duplicates, speakers or leaks.
        cause: what is wrong with the items, as a sentence without its subject's id.
        cure: what the user can do.
    """

    name: str
    group: str
    remedy: Remedy
    cause: str
    cure: str
    is_fault: bool = True


class Finding(NamedTuple):
    """One place of a kind.

    Args:
        set_index: number of the manifest, in the order given.
        row: number of the utterance in its set, or -1 when it concerns none or the line could not be read.
        where: `file:line`.
    """

    kind: str
    set_index: int
    row: int
    where: str
    utt_id: str
    detail: str


def _kinds(group: str, *rows: tuple[str, Remedy, str, str], is_fault: bool = True) -> list[Kind]:
    return [Kind(name, group, remedy, cause, cure, is_fault) for name, remedy, cause, cure in rows]


_R, _D, _K = Remedy.REPAIR, Remedy.DROP, Remedy.KEEP
_COPY = "copy the file again, or drop the utterance"
_LISTEN = "listen, then correct the text or drop the utterance"
_PICK = "drop the utterance, or put it right in the source"

_ALL = [
    *_kinds(
        "structure",
        ("no-utterances", _K, "the manifest holds no utterance", "make it again"),
        ("file-missing", _K, "a file of the data directory is missing", "make it"),
        ("spk2utt-missing", _R, "the data directory has no spk2utt", "utils/utt2spk_to_spk2utt.pl"),
        ("column-missing", _K, "the table lacks a column or has it twice", "mend the header line"),
        ("gzip-truncated", _D, "the packed file ends too early: the lines behind are lost", "copy or make it again"),
        ("json-broken", _D, "the line is not JSON", "write the line again"),
        ("not-a-cut", _D, "the line is not a cut of the first channel of a file",
         "write it with lhotse or `data prepare`"),
        ("field-unknown", _R, "the cut has a field that lhotse does not know and refuses", "put it under `custom`"),
        ("field-value", _D, "a field holds what it can not hold", _PICK),
        ("line-not-utf8", _D, "the line is not UTF-8", "convert the file: iconv -f latin1 -t utf-8"),
        ("line-fields", _D, "the line has the wrong number of fields", _PICK),
        ("line-empty", _R, "an empty line", "remove it"),
        ("line-ends", _R, "lines end in CR LF: the last field gets an invisible character", "dos2unix FILE"),
        ("byte-order-mark", _R, "the file starts with an invisible byte order mark", "remove its first three bytes"),
        ("unsorted", _R, "the file is not sorted by its first field in C order", "LC_ALL=C sort"),
        ("id-duplicate", _D, "the id occurs twice", "give each utterance an id of its own"),
        ("id-characters", _D, "the id is empty or holds blanks, control characters or invisible ones", "rename it"),
        ("utterance-incomplete", _D, "the utterance is not in all the files it must be in", "add or remove its lines"),
        ("spk2utt-differs", _R, "spk2utt does not say what utt2spk says", "utils/utt2spk_to_spk2utt.pl"),
        ("audio-command", _D, "the audio is a command, and commands in data are never executed", "write audio files"),
        ("segment-times", _D, "the segment starts before 0, or does not end after its start", _PICK),
        ("segment-outside", _D, "the segment ends behind the end of its audio", _PICK),
        ("supervision-count", _D, "the cut has not exactly one supervision", "`lhotse cut trim-to-supervisions`"),
        ("supervision-outside", _D, "the supervision does not lie inside its cut", _PICK),
        ("alignment-outside", _D, "the alignment does not lie inside its supervision, in order", "align again"),
        ("supervision-recording", _R, "the supervision names another recording than its cut",
         "name the recording of the cut"),
        ("recording-conflict", _D, "one recording id stands for different audio", "give each file an id of its own"),
    ),
    *_kinds(
        "text",
        ("text-empty", _D, "the transcript is empty", "transcribe it, or drop the utterance"),
        ("text-unknown-symbol", _D, "the tokenizer does not know a symbol", "normalise the text"),
        ("text-encoding", _D, "characters were lost or misread in a conversion", "convert the source again, as UTF-8"),
        ("text-spaces", _R, "no-break, invisible or other odd blanks split words wrongly",
         "replace them by plain blanks"),
        ("text-control", _R, "control characters in the transcript", "remove them"),
        ("text-composition", _R, "letters are written in pieces (not Unicode NFC): they become other tokens",
         "compose them"),
        ("text-markup", _R, "HTML entities in the transcript", "replace them by the characters they mean"),
        ("text-scripts", _D, "a word mixes alphabets: some letters only look right", "type the word again"),
        ("text-placeholder", _D, "a program's word for `nothing` stands where a transcript should", "transcribe it"),
        ("text-case", _R, "other letter case than nearly all transcripts", "change the case"),
        ("text-punctuation", _R, "punctuation, which nearly all transcripts lack", "remove it"),
        ("text-of-another-prompt", _D, "ids tell the text, and this one has that of other ids (swapped?)", _LISTEN),
    ),
    *_kinds(
        "text",
        ("text-blanks", _R, "doubled, leading or trailing blanks", "remove them"),
        ("text-digits", _K, "digits where nearly all transcripts spell numbers out", "spell them out"),
        ("text-style", _K, "letter case or punctuation follow no rule", "normalise the texts before scoring"),
        ("text-rare-symbol", _K, "a symbol that only one utterance has", "check that it is meant"),
        ("alignment-words", _K, "the aligned words are not those of the text: training ignores their times",
         "align again"),
        is_fault=False,
    ),
    *_kinds(
        "audio",
        ("audio-missing", _D, "the audio file does not exist", _COPY),
        ("audio-empty", _D, "the audio file has 0 bytes", _COPY),
        ("audio-unreadable", _D, "the audio file can not be read", "convert it to wav or flac, or drop the utterance"),
        ("audio-no-samples", _D, "the audio holds no samples", _COPY),
        ("audio-truncated", _D, "the audio file is truncated", _COPY),
        ("audio-damaged", _D, "the audio file is damaged", _COPY),
        ("audio-not-finite", _D, "samples that are not finite numbers", "write the file again, as 16-bit integers"),
        ("audio-silent", _D, "the audio is silent", _COPY),
        ("audio-clipped", _D, "the audio is clipped", "record it again, or drop the utterance"),
        ("audio-dc", _D, "the audio has a large constant offset", "subtract the mean"),
        ("audio-rate", _D, "another sampling rate than nearly all files", "resample the file"),
        ("audio-channels", _D, "another number of channels than nearly all files", "mix or split the channels"),
        ("declared-rate", _R, "the manifest says another sampling rate than the file", "prepare the data again"),
        ("declared-length", _R, "the manifest says another length than the file", "prepare the data again"),
    ),
    *_kinds(
        "audio",
        ("audio-rates", _K, "several sampling rates", "resample, or name the right one with --set rate=HZ"),
        ("audio-multichannel", _K, "files with several channels: the first is used", "mix them down if that is wrong"),
        ("audio-peaks", _K, "some flat tops at full scale", "lower the recording level"),
        ("audio-quiet", _K, "very quiet audio", "check the recording level"),
        ("audio-gap", _K, "a long run of digital zeros", "check that nothing is missing"),
        ("segment-rounded", _K, "segments end up to 20 ms behind their audio and are clipped there", "none needed"),
        ("recording-unused", _K, "recordings that no utterance uses", "none needed"),
        is_fault=False,
    ),
    *_kinds(
        "timing",
        ("audio-short", _D, "the audio is too short", "drop the utterance"),
        ("audio-long", _D, "the audio is far longer than the others", "cut it into utterances, or drop it"),
        ("text-too-long", _D, "more text than can be said in so short a time", _LISTEN),
        ("ctc-infeasible", _D, "CTC can not produce the text: fewer frames than tokens + repeats",
         "drop the utterance"),
    ),
    *_kinds(
        "timing",
        ("text-sparse", _K, "little text for so much audio", "listen: is it all transcribed?"),
        ("ctc-characters", _K, "too short for characters at this subsampling, not for words", "use words or pieces"),
        is_fault=False,
    ),
    *_kinds(
        "duplicates",
        ("audio-twice", _D, "the same audio under two ids", "drop all but one"),
        ("audio-twice-texts-differ", _D, "the same audio under two ids with different texts",
         "listen, keep the right one"),
    ),
    *_kinds(
        "speakers",
        ("speaker-missing", _D, "no speaker", "name one; the id of the utterance, if nothing is known"),
        ("speaker-unknown", _K, "a placeholder instead of speakers: no split by speaker is possible",
         "name the speakers"),
        ("speaker-characters", _D, "the name of the speaker holds invisible characters", "rename the speaker"),
        ("speaker-spelling", _R, "one speaker in two spellings", "use one"),
        ("speaker-gender", _K, "a speaker of two genders: probably two speakers under one name", "check the speaker"),
        ("speaker-order", _R, "the speaker is no prefix of the id, so that Kaldi's two sort orders differ",
         "rename the ids"),
    ),
    *_kinds(
        "speakers",
        ("speaker-single", _K, "speakers with a single utterance", "none needed"),
        ("speaker-one", _K, "all utterances are of one speaker", "none needed"),
        is_fault=False,
    ),
    *_kinds(
        "leaks",
        ("leak-utterance", _D, "the utterance is in two sets", "drop it from one"),
        ("leak-audio", _D, "the same audio is in two sets under different ids", "drop it from one"),
        ("leak-recording", _K, "parts of one recording are in two sets", "split by recording or speaker"),
        ("leak-speaker", _K, "a speaker is in two sets", "`data split --by speaker`, or --may-share speaker"),
        ("leak-text", _K, "a text is in two sets", "`data split --by text`, or --may-share text"),
    ),
    *_kinds(
        "leaks",
        ("overlap-speaker", _K, "speakers in two sets, as allowed", "none needed"),
        ("overlap-text", _K, "texts in two sets, as allowed", "none needed"),
        is_fault=False,
    ),
]  # fmt: skip
KINDS = {kind.name: kind for kind in _ALL}
