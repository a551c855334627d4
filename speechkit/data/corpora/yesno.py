"""Corpus `yesno`: 60 recordings of eight words each, `yes` or `no` in Hebrew, one speaker, 8 kHz (OpenSLR 1).

Layout: `waves_yesno/0_1_1_0_1_0_0_1.wav`, 1 for yes; the first half of the names is train, the second test.
"""

from __future__ import annotations

import re
from pathlib import Path

from speechkit.data.config import CorpusConfig
from speechkit.data.corpora.items import Prepared
from speechkit.data.corpora.scan import Found, audio_below, cuts_of

_WORDS = {"0": "no", "1": "yes"}


def prepare(source: Path, out: Path, config: CorpusConfig, *, num_jobs: int) -> Prepared:
    """Cuts of all recordings.

    Raises:
        SpeechkitError: there are none.
    """
    found = Found(source)
    files = audio_below(source, ".wav")
    for number, path in enumerate(files):
        if re.fullmatch(r"[01](_[01])*", path.stem) is None:
            found.refuse(str(path), path.stem, "the name is not of 0 and 1 joined by _")
            continue
        text = " ".join(_WORDS[digit] for digit in path.stem.split("_"))
        split = "train" if number < len(files) // 2 else "test"
        found.add(str(path), path.stem, path, speaker="global", text=text, lang="he", split=split)
    return cuts_of(found, config, num_jobs=num_jobs)
