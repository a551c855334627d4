"""Corpus `so762`: speechocean762, read English by Mandarin-speaking children and adults, 16 kHz.

Reads the folder with `manifest.tsv`; age, gender, native and phones are custom fields.
"""

from __future__ import annotations

from pathlib import Path

from speechkit.data.config import So762Config, TsvConfig
from speechkit.data.corpora.items import Prepared
from speechkit.data.corpora.tables import filter_rows, read_table
from speechkit.data.corpora.tsv import cuts_from_rows, find_table


def prepare(source: Path, out: Path, config: So762Config, *, num_jobs: int) -> Prepared:
    """Cuts of sentences and digit strings, texts in lower case unless told otherwise.

    Raises:
        SpeechkitError: the table is missing, empty or lacks a column.
    """
    path = find_table(source)
    rows, bad = read_table(path, ["path", "id", "speaker", "text", "split", "kind", "gender", "age", "native"])
    rows = filter_rows(rows, "" if config.kind == "all" else f"kind:{config.kind}")
    rows = filter_rows(rows, config.where)
    as_tsv = TsvConfig(case=config.case, check_audio=config.check_audio)
    return cuts_from_rows(rows, bad, path.parent, config=as_tsv, num_jobs=num_jobs)
