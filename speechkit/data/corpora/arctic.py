"""Corpora `cmu_arctic` and `l2_arctic`: one list of sentences, each read by all speakers; split by text.

CMU ARCTIC (16 kHz, BSD-style): `cmu_us_SPEAKER_arctic/{wav/arctic_a0001.wav,etc/txt.done.data}`.
L2-ARCTIC (44.1 kHz, CC BY-NC 4.0): `SPEAKER/{wav/arctic_a0001.wav,transcript/arctic_a0001.txt,textgrid/...TextGrid}`,
whose tiers become the alignments `word` and `phone`. The field `prompt` names the sentence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from speechkit.audio.io import AudioInfo
from speechkit.data.config import CorpusConfig
from speechkit.data.corpora.items import Prepared
from speechkit.data.corpora.scan import Found, audio_below, cuts_of, first_line, lines_of
from speechkit.data.corpora.tables import Row
from speechkit.data.formats.textgrid import read_textgrid
from speechkit.data.store import Word
from speechkit.errors import SpeechkitError

_PROMPT = re.compile(r'\(\s*(\S+)\s+"(.*)"\s*\)')
_GENDERS = {"slt": "f", "clb": "f", "bdl": "m", "rms": "m", "jmk": "m", "awb": "m", "ksp": "m"}
_FIRST_LANGUAGES = {
    "Arabic": "ABA SKA YBAA ZHAA",
    "Mandarin": "BWC LXC NCC TXHC",
    "Hindi": "ASI RRBI SVBI TNI",
    "Korean": "HJK HKK YDCK YKWK",
    "Spanish": "EBVS ERMS MBMPS NJS",
    "Vietnamese": "HQTV PNV THV TLV",
}
_L2_WOMEN = {"SKA", "ZHAA", "LXC", "NCC", "SVBI", "TNI", "HJK", "YDCK", "MBMPS", "NJS", "PNV", "THV"}
_LANGUAGE_OF = {speaker: language for language, names in _FIRST_LANGUAGES.items() for speaker in names.split()}
_TIERS = {"words": "word", "phones": "phone"}
_PAUSES = {"", "sil", "sp", "spn"}


def prepare_cmu(source: Path, out: Path, config: CorpusConfig, *, num_jobs: int) -> Prepared:
    """Cuts of every `cmu_us_*_arctic` folder."""
    found = Found(source)
    is_voice = (source / "etc" / "txt.done.data").is_file()
    for folder in [source] if is_voice else sorted(source.rglob("cmu_us_*_arctic")):
        speaker = folder.name.removeprefix("cmu_us_").removesuffix("_arctic")
        gender = _GENDERS.get(speaker)
        for where, line in lines_of(folder / "etc" / "txt.done.data", found):
            match = _PROMPT.fullmatch(line)
            if match is None:
                found.refuse(where, "-", 'not `( ID "TEXT" )`')
                continue
            name, text = match[1], match[2].replace('\\"', '"')
            audio = folder / "wav" / f"{name}.wav"
            found.add(
                where, f"{speaker}-{name}", audio, speaker=speaker, text=text, gender=gender, lang="en", prompt=name
            )
    return cuts_of(found, config, num_jobs=num_jobs)


def prepare_l2(source: Path, out: Path, config: CorpusConfig, *, num_jobs: int) -> Prepared:
    """Cuts of every speaker folder that holds `wav` and `transcript`."""
    found = Found(source)
    for folder in sorted(path.parent for path in source.rglob("transcript") if (path.parent / "wav").is_dir()):
        speaker = folder.name
        gender = None if speaker not in _LANGUAGE_OF else "f" if speaker in _L2_WOMEN else "m"
        for audio in audio_below(folder / "wav", ".wav"):
            if folder.name == "suitcase_corpus":  # minutes of free speech: no sentences to train on
                found.leave_out(
                    str(audio), audio.stem, "spontaneous speech of the suitcase corpus, not cut into sentences"
                )
                continue
            utt_id = f"{speaker}-{audio.stem}"
            try:
                text = first_line(folder / "transcript" / f"{audio.stem}.txt")
            except SpeechkitError as error:
                found.refuse(str(audio), utt_id, error.what)
                continue
            fields = {"first_language": _LANGUAGE_OF.get(speaker), "prompt": audio.stem}
            found.add(str(audio), utt_id, audio, speaker=speaker, text=text, gender=gender, lang="en", **fields)
    return cuts_of(found, config, num_jobs=num_jobs, tiers=_tiers_of)


def _tiers_of(row: Row, info: AudioInfo) -> Mapping[str, list[Word]]:
    audio = Path(row.where)
    path = audio.parent.parent / "textgrid" / f"{audio.stem}.TextGrid"
    if not path.is_file():
        return {}
    tiers = read_textgrid(path).tiers
    kept = {_TIERS[name]: words for name, words in tiers.items() if name in _TIERS}
    return {name: [w for w in words if w.symbol.strip().lower() not in _PAUSES] for name, words in kept.items()}
