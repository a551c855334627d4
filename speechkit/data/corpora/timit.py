"""Corpus `timit`: phonetically balanced sentences with word and phone times, 16 kHz (LDC93S1).

Layout, in capitals or small letters: `TRAIN/DR1/FCJF0/SA1.{WAV,TXT,WRD,PHN}`; audio is SPHERE or RIFF
(`SA1.WAV` or `SA1.WAV.wav`). Fields: split, dialect, kind (sa: read by all; sx: by seven; si: by one) and prompt.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from speechkit.audio.io import AudioInfo
from speechkit.data.config import TimitConfig
from speechkit.data.corpora.items import Prepared
from speechkit.data.corpora.scan import Found, audio_below, cuts_of, first_line
from speechkit.data.corpora.tables import Row, read_lines
from speechkit.data.store import Word
from speechkit.errors import SpeechkitError

_PLACE = re.compile(r"(train|test)/(dr[0-9])/([mf][a-z]{3}[0-9])/(s[aix][0-9]+)(\.wav)+")
_TIERS = {"word": ".wrd", "phone": ".phn"}


def prepare(source: Path, out: Path, config: TimitConfig, *, num_jobs: int) -> Prepared:
    """Cuts with the tiers `word` and `phone`.

    Raises:
        SpeechkitError: there is no such audio.
    """
    found = Found(source)
    seen: set[str] = set()
    for path in audio_below(source, ".wav"):
        match = _PLACE.fullmatch("/".join(path.parts[-4:]).lower())
        if match is None:
            found.refuse(str(path), path.stem, "not in SPLIT/DIALECT/SPEAKER/SENTENCE.WAV")
            continue
        split, dialect, speaker, sentence, _ = match.groups()
        utt_id = f"{speaker}-{sentence}"
        if utt_id in seen and path.suffix == ".wav":
            continue  # SA1.WAV.wav beside SA1.WAV: the same audio with another header
        seen.add(utt_id)
        fields = {"split": split, "dialect": dialect, "kind": sentence[:2], "prompt": sentence}
        try:
            text = first_line(_beside(path, ".txt")).split(maxsplit=2)[2:]
        except SpeechkitError as error:
            found.refuse(str(path), utt_id, error.what)
            continue
        found.add(str(path), utt_id, path, speaker=speaker, text=" ".join(text), gender=speaker[0], lang="en", **fields)
    return cuts_of(found, config, num_jobs=num_jobs, tiers=_tiers_of)


def _beside(audio: Path, suffix: str) -> Path:
    """The file of the same sentence with another suffix, in the case that the distribution has."""
    stem = audio.name.split(".")[0]
    names = [f"{stem}{suffix}", f"{stem}{suffix.upper()}"]
    return next((audio.with_name(name) for name in names if audio.with_name(name).is_file()), audio.with_name(names[1]))


def _tiers_of(row: Row, info: AudioInfo) -> Mapping[str, list[Word]]:
    audio = Path(row.where)
    paths = {tier: _beside(audio, suffix) for tier, suffix in _TIERS.items()}
    return {tier: _marks(path, info.sampling_rate) for tier, path in paths.items() if path.is_file()}


def _marks(path: Path, rate: int) -> list[Word]:
    words = []
    for number, line in read_lines(path)[0]:
        start, end, symbol = [*line.split(), "", "", ""][:3]
        if not (start.isdecimal() and end.isdecimal() and symbol) or int(end) < int(start):
            raise SpeechkitError(f"`{path}:{number}` is not `START END LABEL`: {line:.60}")
        words.append(Word(symbol, round(int(start) / rate, 8), round((int(end) - int(start)) / rate, 8)))
    return words
