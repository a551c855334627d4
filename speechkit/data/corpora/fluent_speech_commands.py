"""Corpus `fluent_speech_commands`: 248 phrases with 31 intents by 97 speakers, 16 kHz (Fluent.ai, academic licence).

Layout: `data/{train,valid,test}_data.csv` (path, speakerId, transcription, action, object, location),
`data/speaker_demographics.csv` and `wavs/speakers/SPEAKER/UUID.wav`. The test phrases are those of training.
"""

from __future__ import annotations

from pathlib import Path

from speechkit.data.config import CorpusConfig
from speechkit.data.corpora.items import Prepared
from speechkit.data.corpora.scan import Found, cuts_of, read_csv, root_with

_SPLITS = {"train": "train", "valid": "dev", "test": "test"}
_SLOTS = ("action", "object", "location")


def prepare(source: Path, out: Path, config: CorpusConfig, *, num_jobs: int) -> Prepared:
    """Cuts with intent slots, first language and age range as fields.

    Raises:
        SpeechkitError: a table is missing or lacks a column.
    """
    root = root_with(source, "data/train_data.csv", "Fluent Speech Commands")
    found = Found(root)
    people = _speakers(root / "data" / "speaker_demographics.csv")
    for name, split in _SPLITS.items():
        table = root / "data" / f"{name}_data.csv"
        for where, row in read_csv(table, ["path", "speakerId", "transcription", *_SLOTS]):
            speaker = row["speakerId"]
            utt_id = f"{speaker}-{Path(row['path']).stem}" if row["path"] else ""
            person = people.get(speaker, {})
            found.add(
                where,
                utt_id,
                root / row["path"],
                speaker=speaker,
                text=row["transcription"],
                gender=person.get("gender"),
                lang="en",
                split=split,
                first_language=person.get("First Language spoken"),
                age_range=person.get("ageRange"),
                **{slot: row[slot] for slot in _SLOTS},
            )
    return cuts_of(found, config, num_jobs=num_jobs)


def _speakers(table: Path) -> dict[str, dict[str, str]]:
    if not table.is_file():
        return {}
    return {row["speakerId"]: row for _, row in read_csv(table, ["speakerId"])}
