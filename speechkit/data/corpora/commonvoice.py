"""Corpus `commonvoice`: sentences read by volunteers, MP3 (Mozilla Common Voice, CC0), one language.

Layout: `LANG/{train,dev,test,...}.tsv` (client_id, path, sentence, age, gender, accents, locale) and `LANG/clips/`.
Speakers are named by the first 16 characters of client_id.
"""

from __future__ import annotations

from pathlib import Path

from speechkit.data.config import CommonVoiceConfig
from speechkit.data.corpora.items import Prepared
from speechkit.data.corpora.scan import Found, cuts_of, root_with
from speechkit.data.corpora.tables import Row, read_lines, read_table
from speechkit.errors import ConfigError

_NAME_LENGTH = 16


def prepare(source: Path, out: Path, config: CommonVoiceConfig, *, num_jobs: int) -> Prepared:
    """Cuts of the clips that the tables of `splits` name.

    Raises:
        SpeechkitError: no clips, or a table lacks a column.
        ConfigError: a table is missing.
    """
    root = root_with(source, "clips", "Common Voice in one language")
    found = Found(root)
    seen: dict[str, str] = {}
    for split in filter(None, (name.strip() for name in config.splits.split(","))):
        table = root / f"{split}.tsv"
        if not table.is_file():
            present = ", ".join(sorted(path.stem for path in root.glob("*.tsv")))
            raise ConfigError(f"`splits`: no table `{table}`", expected=f"of {present}")
        if len(read_lines(table)[0]) == 1:  # small languages have empty sets
            found.leave_out(str(table), split, "the table has a header line and nothing else")
            continue
        rows, bad = read_table(table, ["client_id", "path", "sentence"])
        found.bad += bad
        for row in rows:
            if row["path"] in seen:
                found.leave_out(row.where, row["path"], f"already in {seen[row['path']]}")
                continue
            seen[row["path"]] = row.where
            _add(found, row, split)
    return cuts_of(found, config, num_jobs=num_jobs)


def _add(found: Found, row: Row, split: str) -> None:
    clip = Path(row["path"] if "." in row["path"] else f"{row['path']}.mp3")
    found.add(
        row.where,
        clip.stem,
        found.root / "clips" / clip.name,
        speaker=row["client_id"][:_NAME_LENGTH],
        text=row["sentence"],
        gender=row.get("gender"),
        lang=row.get("locale") or found.root.name,
        split=split,
        age_range=row.get("age"),
        accent=row.get("accents") or row.get("accent"),
    )
