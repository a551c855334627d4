"""Corpus `uaspeech`: isolated words of dysarthric speakers and controls, up to eight microphones, 16 kHz (Illinois).

Layout: `audio/original/F02/F02_B1_C10_M2.wav` (or audio/F02, audio/control/CF02) and `mlf/F02/F02_word.mlf`.
Fields: group, block (B1 to B3), mic, word_key, and prompt, which is common to all who read it (uncommon words differ
between blocks). The words of the blocks repeat, uncommon ones apart: split by text, not by block.
"""

from __future__ import annotations

import re
from pathlib import Path

from speechkit.data.config import UaSpeechConfig
from speechkit.data.corpora.items import Prepared
from speechkit.data.corpora.scan import Found, audio_below, cuts_of, lines_of, root_with
from speechkit.errors import SpeechkitError

_NAME = re.compile(r"((C?)([FM])[0-9]{2})_(B[1-3])_([A-Z]+[0-9]*)_(M[0-9])")
_VARIANTS = {"original", "noisereduce", "normalized"}


def prepare(source: Path, out: Path, config: UaSpeechConfig, *, num_jobs: int) -> Prepared:
    """Cuts of one variant of the audio.

    Raises:
        SpeechkitError: no word-level MLF, or no audio.
    """
    root = root_with(source, "audio", "UASpeech")
    found = Found(root)
    words = _read_words(root, found)
    folder = root / "audio" / config.variant
    is_split = any((root / "audio" / name).is_dir() for name in _VARIANTS)
    for path in audio_below(folder if is_split else root / "audio", ".wav"):
        match = _NAME.fullmatch(path.stem)
        if match is None:
            found.refuse(str(path), path.stem, "the name is not SPEAKER_BLOCK_WORD_MIC.wav")
            continue
        speaker, control, gender, block, key, mic = match.groups()
        if path.stem not in words:
            found.refuse(str(path), path.stem, "no word for it in mlf/")
            continue
        found.add(
            str(path),
            path.stem,
            path,
            speaker=speaker,
            text=words[path.stem],
            gender=gender,
            lang="en",
            group="control" if control else "dysarthric",
            block=block,
            mic=mic,
            word_key=key,
            prompt=f"{block}-{key}" if key.startswith("UW") else key,
        )
    return cuts_of(found, config, num_jobs=num_jobs)


def _read_words(root: Path, found: Found) -> dict[str, str]:
    """The word of each file, from HTK master label files: a name in quotes, a word, a point."""
    tables = sorted((root / "mlf").rglob("*_word.mlf"))
    if not tables:
        raise SpeechkitError(f"no `mlf/SPEAKER/SPEAKER_word.mlf` in `{root}`", hint="get the MLF files of the corpus")
    words: dict[str, str] = {}
    for table in tables:
        name = ""
        for _, line in lines_of(table, found):
            label = re.fullmatch(r'"\*?/?(.*)\.lab"', line)
            if label:
                name = label[1].rpartition("/")[2]
            elif name and line != ".":
                *_, word = line.split()[:3]  # a word, or start, end and word
                words.setdefault(name, word)
    return words
