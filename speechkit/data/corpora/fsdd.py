"""Corpus `fsdd`: the Free Spoken Digit Dataset, isolated zero..nine by six speakers, 8 kHz.

Two layouts: a folder with `manifest.tsv`, or a clone of the public repository with
`recordings/{digit}_{speaker}_{take}.wav`. Ids are `speaker-digit-take`, such as `george-0-00`, in both.
"""

from __future__ import annotations

import re
from pathlib import Path

from speechkit.data.config import FsddConfig, TsvConfig
from speechkit.data.corpora.items import BadItem, Prepared
from speechkit.data.corpora.tables import Row, filter_rows, read_table
from speechkit.data.corpora.tsv import MANIFEST, cuts_from_rows
from speechkit.data.sentences import DIGITS
from speechkit.errors import SpeechkitError

SPLIT_OF_SPEAKER = {
    "jackson": "train",
    "nicolas": "train",
    "yweweler": "train",
    "lucas": "train",
    "theo": "dev",
    "george": "test",
}
_NUM_OFFICIAL_TEST_TAKES = 5
_CLONE_NAME = re.compile(r"([0-9])_([a-z]+)_([0-9]+)\.wav")
_COLUMNS = ("path", "id", "speaker", "text", "digit", "take", "split", "official")


def prepare(source: Path, out: Path, config: FsddConfig, *, num_jobs: int) -> Prepared:
    """Cuts of isolated digits with the custom fields split, official, digit and take.

    Raises:
        SpeechkitError: the folder has neither layout.
    """
    rows, bad, folder = read_rows(source)
    rows = filter_rows(rows, config.where)
    return cuts_from_rows(rows, bad, folder, config=TsvConfig(check_audio=config.check_audio), num_jobs=num_jobs)


def read_rows(source: Path) -> tuple[list[Row], list[BadItem], Path]:
    """The recordings of either layout as rows of the same columns, faults, and the folder of the audio paths.

    Raises:
        SpeechkitError: the folder has neither layout.
    """
    if (source / MANIFEST).is_file():
        rows, bad = read_table(source / MANIFEST, _COLUMNS)
        return rows, bad, source
    names = sorted(path.name for path in (source / "recordings").glob("*.wav"))
    if not names:
        raise SpeechkitError(
            f"`{source}` is no copy of the Free Spoken Digit Dataset",
            expected=f"{MANIFEST}, or recordings/DIGIT_SPEAKER_TAKE.wav as in the public repository",
        )
    rows, bad = [], []
    for name in names:
        where = str(source / "recordings" / name)
        match = _CLONE_NAME.fullmatch(name)
        if match is None:
            bad.append(BadItem(where, "-", "the name is not DIGIT_SPEAKER_TAKE.wav"))
        else:
            rows.append(Row(where, _clone_fields(name, int(match[1]), match[2], int(match[3]))))
    return rows, bad, source


def _clone_fields(name: str, digit: int, speaker: str, take: int) -> dict[str, str]:
    return {
        "path": f"recordings/{name}",
        "id": f"{speaker}-{digit}-{take:02d}",
        "speaker": speaker,
        "text": DIGITS[digit],
        "digit": str(digit),
        "take": str(take),
        "split": SPLIT_OF_SPEAKER.get(speaker, ""),
        "official": "test" if take < _NUM_OFFICIAL_TEST_TAKES else "train",
    }
