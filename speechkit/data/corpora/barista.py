"""Corpus `barista`: spoken drink orders with intent and slots, nobody says by whom, 16 kHz (Picovoice, Apache-2.0).

Layout: a folder with `manifest.tsv` (id, path, slots, intent), or a clone of speech-to-intent-benchmark with
`data/speech/clean/UUID.wav` and `data/label/label.json`. There is no transcript: the text is the column `text_auto`,
a machine's guess, where there is one, else the words of the slots; score the field `slots`, never a WER.
"""

from __future__ import annotations

import json
from pathlib import Path

from speechkit.data.config import CorpusConfig
from speechkit.data.corpora.items import Prepared
from speechkit.data.corpora.scan import Found, cuts_of, joined, read_json, root_with
from speechkit.data.corpora.tables import read_table
from speechkit.data.corpora.tsv import MANIFEST

_NOT_FIELDS = ("id", "path", "speaker", "text", "text_auto")


def prepare(source: Path, out: Path, config: CorpusConfig, *, num_jobs: int) -> Prepared:
    """Cuts without speakers, with the fields intent and slots (JSON) and one field per slot."""
    found = Found(source)
    if (source / MANIFEST).is_file():
        rows, found.bad = read_table(source / MANIFEST, ["id", "path", "intent", "slots"])
        for row in rows:
            fields = {k: v for k, v in row.fields.items() if k not in _NOT_FIELDS}
            _add(found, row.where, row["id"], audio=source / row["path"], text=row.get("text_auto"), fields=fields)
    else:
        root = root_with(source, "data/label/label.json", "the speech-to-intent benchmark")
        found = Found(root)
        labels = read_json(root / "data" / "label" / "label.json")
        for name, label in sorted(labels.items() if isinstance(labels, dict) else []):
            audio = root / "data" / "speech" / "clean" / name
            if not isinstance(label, dict) or Path(name).name != name:
                found.refuse(
                    f"{root}/data/label/label.json", name, "no object with `intent` and `slots`, or no file name"
                )
                continue
            _add(found, f"{root}/data/label/label.json {name}", audio.stem, audio=audio, text="", fields=joined(label))
    return cuts_of(found, config, num_jobs=num_jobs, may_be_empty="speaker")


def _add(found: Found, where: str, utt_id: str, *, audio: Path, text: str, fields: dict[str, str]) -> None:
    try:
        slots = {name: " ".join(str(value).split()) for name, value in json.loads(fields.get("slots") or "{}").items()}
    except (ValueError, AttributeError):
        found.refuse(where, utt_id, f"`slots` is no JSON object: {fields.get('slots', ''):.60}")
        return
    named = {f"slot_{name}": value for name, value in slots.items()}
    found.add(
        where, utt_id, audio, speaker="", text=text or " ".join(slots.values()), **{"lang": "en"} | fields | named
    )
