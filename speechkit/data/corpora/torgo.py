"""Corpus `torgo`: dysarthric speakers and controls, words and sentences, 16 kHz (University of Toronto).

Layout, at any depth: `F01/Session1/{wav_headMic,wav_arrayMic}/0001.wav` and `F01/Session1/prompts/0001.txt`.
Pictures (`input/images/...jpg`) and instructions (`[say Ah-P-Eee repeatedly]`) are no texts: left out and listed.
"""

from __future__ import annotations

import re
from pathlib import Path

from speechkit.data.config import TorgoConfig
from speechkit.data.corpora.items import Prepared
from speechkit.data.corpora.scan import Found, audio_below, cuts_of, first_line
from speechkit.errors import SpeechkitError

_SPEAKER = re.compile(r"([FM])(C?)[0-9]{2}")
_PICTURE = re.compile(r"\.(jpe?g|gif|png)\b", re.IGNORECASE)
_NO_TEXT = {"", "xxx"}


def prepare(source: Path, out: Path, config: TorgoConfig, *, num_jobs: int) -> Prepared:
    """Cuts with the fields group (dysarthric or control), session and mic.

    Raises:
        SpeechkitError: there are no sessions.
    """
    found = Found(source)
    sessions = sorted(path for path in source.rglob("Session*") if _SPEAKER.fullmatch(path.parent.name))
    for session in sessions:
        for mic in ("head", "array") if config.mic == "both" else (config.mic,):
            for path in audio_below(session / f"wav_{mic}Mic", ".wav"):
                _add(found, session, path, mic)
    return cuts_of(found, config, num_jobs=num_jobs)


def _add(found: Found, session: Path, audio: Path, mic: str) -> None:
    speaker = session.parent.name
    match = _SPEAKER.fullmatch(speaker)
    utt_id = f"{speaker}-{session.name}-{mic}-{audio.stem}"
    prompt = session / "prompts" / f"{audio.stem}.txt"
    try:
        text = first_line(prompt)
    except SpeechkitError as error:
        found.refuse(str(audio), utt_id, error.what)
        return
    said = " ".join(re.sub(r"\[[^\]]*\]", " ", text).split())  # `tear [as in tear up that paper]` is one word
    if _PICTURE.search(text) or said.lower() in _NO_TEXT:
        found.leave_out(str(audio), utt_id, f"the prompt is no text: {text:.60}")
        return
    found.add(
        str(audio),
        utt_id,
        audio,
        speaker=speaker,
        text=said,
        gender=match[1].lower() if match else "",
        lang="en",
        group="control" if match and match[2] else "dysarthric",
        session=session.name.lower().removeprefix("session"),
        mic=mic,
    )
