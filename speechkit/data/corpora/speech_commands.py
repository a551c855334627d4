"""Corpus `speech_commands`: 35 isolated words by thousands of speakers, 16 kHz (Google, v0.01 and v0.02, CC BY 4.0).

Layout: `WORD/SPEAKER_nohash_N.wav`, validation_list.txt, testing_list.txt and _background_noise_/. In a folder of
that name, the separate test set (`speech_commands_test_set_v0.02`) is left out: it repeats recordings.
"""

from __future__ import annotations

import re
from pathlib import Path

from speechkit.data.config import CorpusConfig
from speechkit.data.corpora.items import Prepared
from speechkit.data.corpora.scan import Found, audio_below, cuts_of, lines_of, root_with

_NAME = re.compile(r"([0-9a-f]+)_nohash_([0-9]+)")
_LISTS = {"validation_list.txt": "dev", "testing_list.txt": "test"}


def prepare(source: Path, out: Path, config: CorpusConfig, *, num_jobs: int) -> Prepared:
    """Cuts with the official split in the field `split`; noise is left out and listed.

    Raises:
        SpeechkitError: the folder has no list of test recordings.
    """
    root = root_with(source, "testing_list.txt", "Speech Commands")
    found = Found(root)
    splits = {}
    for name, split in _LISTS.items():
        for where, line in lines_of(root / name, found):
            splits[line] = (split, where)
    for path in audio_below(root, ".wav"):
        word = path.parent.name
        match = _NAME.fullmatch(path.stem)
        if word.startswith("_") or "test_set" in str(path.relative_to(root)):
            found.leave_out(
                str(path), path.stem, "no spoken word" if word.startswith("_") else "of the separate test set"
            )
            continue
        if match is None or path.parent.parent != root:
            found.refuse(str(path), path.stem, "the name is not WORD/SPEAKER_nohash_N.wav")
            continue
        split, _ = splits.pop(f"{word}/{path.name}", ("train", ""))
        utt_id = f"{match[1]}-{word}-{match[2]}"
        found.add(str(path), utt_id, path, speaker=match[1], text=word, lang="en", split=split, take=match[2])
    for name, (_, where) in splits.items():
        found.refuse(where, name, "no such audio file")
    return cuts_of(found, config, num_jobs=num_jobs)
