"""Corpus `dspspeech20`: twelve Mandarin and eight English words, 20 takes by each student, 16 kHz (MIT).

Layout: a folder with `manifest.tsv`, or a clone of the public repository with `STUDENT/STUDENT-WORD-TAKE.wav`; student
numbers become s01, s02, ... in their order.
"""

from __future__ import annotations

import re
from pathlib import Path

from speechkit.data.config import CorpusConfig
from speechkit.data.corpora.items import Prepared
from speechkit.data.corpora.scan import Found, audio_below, cuts_of
from speechkit.data.corpora.tables import read_table
from speechkit.data.corpora.tsv import MANIFEST

# in the order of the numbers in the file names
_MANDARIN = (
    *("\u6570\u5b57", "\u8bed\u97f3", "\u8bed\u8a00", "\u8bc6\u522b", "\u4e2d\u56fd", "\u603b\u5de5"),
    *("\u5317\u4eac", "\u80cc\u666f", "\u4e0a\u6d77", "\u5546\u884c", "\u590d\u65e6", "\u996d\u5e97"),
)
_ENGLISH = ("speech", "speaker", "signal", "process", "print", "open", "close", "project")
WORDS = (*_MANDARIN, *_ENGLISH)
_NAME = re.compile(r"([0-9]+)-([0-9]{2})-([0-9]{2})")


def prepare(source: Path, out: Path, config: CorpusConfig, *, num_jobs: int) -> Prepared:
    """Cuts of isolated words with the fields word (its number) and take; `lang` is zh or en."""
    found = Found(source)
    if (source / MANIFEST).is_file():
        rows, found.bad = read_table(
            source / MANIFEST, ["id", "path", "speaker", "text", "lang", "word", "take", "split"]
        )
        for row in rows:
            fields = {k: v for k, v in row.fields.items() if k not in ("id", "path", "speaker", "text")}
            found.add(row.where, row["id"], source / row["path"], speaker=row["speaker"], text=row["text"], **fields)
        return cuts_of(found, config, num_jobs=num_jobs)
    files = [path for path in audio_below(source, ".wav") if re.fullmatch(r"[0-9]+", path.parent.name)]
    names = {student: f"s{k:02d}" for k, student in enumerate(sorted({path.parent.name for path in files}), start=1)}
    for path in files:
        match = _NAME.fullmatch(path.stem)
        if match is None or match[1] != path.parent.name or int(match[2]) >= len(WORDS):
            found.refuse(str(path), "-", "the name is not STUDENT-WORD-TAKE.wav with a word from 00 to 19")
            continue
        word, speaker = int(match[2]), names[match[1]]
        fields = {"lang": "zh" if word < len(_MANDARIN) else "en", "word": str(word), "take": str(int(match[3]))}
        found.add(str(path), f"{speaker}-w{match[2]}-t{match[3]}", path, speaker=speaker, text=WORDS[word], **fields)
    return cuts_of(found, config, num_jobs=num_jobs)
