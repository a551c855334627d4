"""Corpus `an4`: census words and spelt names, 16 kHz (CMU, BSD-style licence), the archive an4_sphere.tar.gz.

Layout: `an4/etc/an4_{train,test}.{transcription,fileids}` and `an4/wav/an4_clstk/fash/an251-fash-b.sph`.
"""

from __future__ import annotations

import re
from pathlib import Path

from speechkit.data.config import CapitalsConfig
from speechkit.data.corpora.items import Prepared
from speechkit.data.corpora.scan import Found, audio_below, cuts_of, lines_of, root_with

_LINE = re.compile(r"(?P<text>.*?)\s*\((?P<id>[^()\s]+)\)")
_SUFFIXES = (".sph", ".wav", ".flac", ".raw")


def prepare(source: Path, out: Path, config: CapitalsConfig, *, num_jobs: int) -> Prepared:
    """Cuts of the official train and test sets.

    Raises:
        SpeechkitError: the folder has no transcripts.
    """
    root = root_with(source, "etc/an4_train.transcription", "AN4")
    found = Found(root)
    files = audio_below(root / "wav", *_SUFFIXES)
    audio = {path.stem: path for path in files if path.suffix != ".raw"}
    raw = {path.stem for path in files} - audio.keys()
    for split in ("train", "test"):
        table = root / "etc" / f"an4_{split}.transcription"
        for where, line in lines_of(table, found):
            match = _LINE.fullmatch(line)
            if match is None:
                found.refuse(where, "-", "not `<s> WORDS </s> (ID)`")
            elif match["id"] not in audio:
                is_raw = match["id"] in raw
                reason = (
                    "its audio is .raw without a header: take an4_sphere.tar.gz" if is_raw else "no audio below wav/"
                )
                found.refuse(where, match["id"], reason)
            else:
                path = audio[match["id"]]
                speaker = path.parent.name
                text = re.sub(r"</?s>", " ", match["text"])
                found.add(
                    where, match["id"], path, speaker=speaker, text=text, gender=speaker[:1], lang="en", split=split
                )
    found.refuse_unmentioned(audio.values(), "transcript")
    return cuts_of(found, config, num_jobs=num_jobs)
