"""Corpora `librispeech` and `mini_librispeech`: read English books, 16 kHz (OpenSLR 12 and 31, CC BY 4.0).

Layout: `LibriSpeech/SUBSET/SPEAKER/CHAPTER/SPEAKER-CHAPTER.trans.txt` beside `SPEAKER-CHAPTER-NNNN.flac`, and
SPEAKERS.TXT. The subset is the field `split`, the chapter `chapter`.
"""

from __future__ import annotations

from pathlib import Path

from speechkit.data.config import CapitalsConfig
from speechkit.data.corpora.items import Prepared
from speechkit.data.corpora.scan import Found, audio_below, cuts_of, lines_of
from speechkit.errors import SpeechkitError

_TRANSCRIPTS = "*.trans.txt"


def prepare(source: Path, out: Path, config: CapitalsConfig, *, num_jobs: int) -> Prepared:
    """Cuts of every subset that lies in the folder.

    Raises:
        SpeechkitError: there are no transcripts.
    """
    found = Found(source)
    genders = _genders(source, found)
    tables = sorted(source.rglob(_TRANSCRIPTS))
    if not tables:
        raise SpeechkitError(f"no `{_TRANSCRIPTS}` below `{source}`", expected="LibriSpeech/SUBSET/SPEAKER/CHAPTER/...")
    for table in tables:
        chapter = table.parent
        for where, line in lines_of(table, found):
            utt_id, _, text = line.partition(" ")
            found.add(
                where,
                utt_id,
                chapter / f"{utt_id}.flac",
                speaker=chapter.parent.name,
                text=text,
                gender=genders.get(chapter.parent.name),
                lang="en",
                split=chapter.parent.parent.name,
                chapter=chapter.name,
            )
    found.refuse_unmentioned(audio_below(source, ".flac"), "transcript")
    return cuts_of(found, config, num_jobs=num_jobs)


def _genders(source: Path, found: Found) -> dict[str, str]:
    """Gender of each speaker from SPEAKERS.TXT, `id | sex | subset | minutes | name`; empty without the file."""
    table = next(iter(sorted(source.rglob("SPEAKERS.TXT"))), None)
    if table is None:
        return {}
    rows = [
        [part.strip() for part in line.split("|")] for _, line in lines_of(table, found) if not line.startswith(";")
    ]
    return {row[0]: row[1] for row in rows if len(row) > 1}
