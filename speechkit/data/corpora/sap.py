"""Corpus `sap`: Speech Accessibility Project, people with speech disabilities, 16 kHz (data use agreement).

Layout, at any depth: `CONTRIBUTOR/CONTRIBUTOR.json` beside its `CONTRIBUTOR_*.wav`. The JSON has Etiology and Files,
each with Filename and Prompt (`Prompt Text`, Transcript, Category Description, Sub Category Description).
Folders called Train, Dev or Test above give the field `split`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from speechkit.data.config import SapConfig
from speechkit.data.corpora.items import Prepared
from speechkit.data.corpora.scan import Found, audio_below, cuts_of, read_json
from speechkit.errors import SpeechkitError

_SPLITS = {"train": "train", "dev": "dev", "development": "dev", "test": "test", "test1": "test1", "test2": "test2"}


def prepare(source: Path, out: Path, config: SapConfig, *, num_jobs: int) -> Prepared:
    """Cuts with the fields etiology, category, subcategory, prompt and split."""
    found = Found(source)
    for path in sorted(source.rglob("*.json")):
        if path.stem.lower() != path.parent.name.lower():
            continue  # lists of splits and the like
        try:
            contributor = read_json(path)
        except SpeechkitError as error:
            found.refuse(str(path), path.stem, error.what)
            continue
        files = contributor.get("Files") if isinstance(contributor, dict) else None
        if not isinstance(files, list):
            found.refuse(str(path), path.stem, "no list `Files`")
            continue
        for number, item in enumerate(files):
            _add(found, path, item, number=number, etiology=str(contributor.get("Etiology") or ""), config=config)
    found.refuse_unmentioned(audio_below(source, ".wav"), "entry in the JSON of its contributor")
    return cuts_of(found, config, num_jobs=num_jobs)


def _add(found: Found, path: Path, item: Any, *, number: int, etiology: str, config: SapConfig) -> None:
    where = f"{path} Files[{number}]"
    prompt = item.get("Prompt") if isinstance(item, Mapping) else None
    name = item.get("Filename") if isinstance(item, Mapping) else None
    if not isinstance(prompt, Mapping) or not isinstance(name, str) or Path(name).name != name:
        found.refuse(where, str(name or "-"), "no `Filename` or no `Prompt`")
        return
    words = {key: " ".join(str(prompt.get(key) or "").split()) for key in ("Transcript", "Prompt Text")}
    found.add(
        where,
        Path(name).stem,
        path.parent / name,
        speaker=path.parent.name,
        text=words["Transcript" if config.text == "transcript" else "Prompt Text"],
        lang="en",
        split=next((_SPLITS[p.lower()] for p in reversed(path.parts) if p.lower() in _SPLITS), ""),
        etiology=etiology,
        category=str(prompt.get("Category Description") or ""),
        subcategory=str(prompt.get("Sub Category Description") or ""),
        prompt=words["Prompt Text"],
    )
