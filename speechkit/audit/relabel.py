"""New transcripts from a better model: what the last one said, where both agree well enough (GigaSpeech 2's filter).

Written: `cuts.jsonl.gz`, and `removed.jsonl` with what disagreed, and by how much.  Yang et al. 2024, "GigaSpeech 2".
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from speechkit import log
from speechkit.artifact import make_artifact
from speechkit.audit.config_run import RelabelConfig
from speechkit.data.store import CUTS_FILE, load_cuts, save_cuts, text_of
from speechkit.data.stream import manifest_path
from speechkit.errors import SpeechkitError
from speechkit.kernels.edit import align_words
from speechkit.score.transcripts import read_transcripts

if TYPE_CHECKING:
    from lhotse import MonoCut

REMOVED_FILE = "removed.jsonl"


def run(config: RelabelConfig, *, cuts: Path, hyp: Path, out: Path, force: bool = False) -> bool:
    """Make the artifact `out`; False when it was up to date.

    Raises:
        SpeechkitError: cuts without a hypothesis, all are listed; or none is left.
    """
    manifest = manifest_path(cuts)
    loaded = list(load_cuts(manifest))
    heard = read_transcripts(hyp)
    texts = dict(zip(heard.ids, heard.texts(), strict=True))
    missing = [cut.id for cut in loaded if cut.id not in texts]
    if missing:
        raise SpeechkitError(f"{len(missing)} of {len(loaded)} cuts have no hypothesis in `{hyp}`", where=missing)

    def build(folder: Path) -> None:
        _write(folder, loaded, texts, config)

    source = hyp / "hyp.jsonl" if (hyp / "hyp.jsonl").is_file() else hyp
    inputs = {"cuts": manifest, "hyp": source}
    return make_artifact(out, command="audit relabel", config=config, inputs=inputs, build=build, force=force)


def _write(folder: Path, cuts: list[MonoCut], texts: dict[str, str], config: RelabelConfig) -> None:
    given = [text_of(cut) for cut in cuts]
    new = [texts[cut.id] for cut in cuts]
    errors = align_words([list(text) for text in given], [list(text) for text in new]).counts.sum(axis=1)
    kept, removed = [], []
    for cut, old, text, num_errors in zip(cuts, given, new, errors.tolist(), strict=True):
        cer = 100.0 * num_errors / max(1, len(old))
        if not text:
            removed.append({"id": cut.id, "reason": "nothing was heard", "before": old})
        elif cer > config.max_cer:
            removed.append(
                {"id": cut.id, "reason": "too far apart", "cer": round(cer, 2), "before": old, "heard": text}
            )
        else:
            kept.append(_relabelled(cut, old, text, cer))
    if not kept:
        raise SpeechkitError(f"no hypothesis is within {config.max_cer:g} % CER of the transcript it would replace")
    save_cuts(kept, folder / CUTS_FILE)
    (folder / REMOVED_FILE).write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in removed))
    num_changed = sum(cut.supervisions[0].custom["audit"]["cer"] > 0 for cut in kept)
    log.info(f"{len(kept)} of {len(cuts)} utterances kept, {num_changed} with another text; the rest: {REMOVED_FILE}")


def _relabelled(cut: MonoCut, old: str, text: str, cer: float) -> MonoCut:
    supervision = cut.supervisions[0]
    custom = {**(supervision.custom or {}), "audit": {"policy": "relabel", "before": old, "cer": round(cer, 2)}}
    alignment = supervision.alignment if text == old else None
    return replace(cut, supervisions=[replace(supervision, text=text, alignment=alignment, custom=custom)])
