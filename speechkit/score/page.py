"""One HTML file of a scoring: summary, plots, sortable utterances with coloured alignments, players; no network."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import orjson
from markupsafe import Markup

from speechkit import log
from speechkit.artifact import publish_file
from speechkit.errors import SpeechkitError
from speechkit.score.report import HEADS, notes
from speechkit.score.summary import group_counts, percent
from speechkit.score.transcripts import guess_format
from speechkit.score.units import NAMES as UNIT_NAMES
from speechkit.score.wer import Scored

MAX_UTTERANCES = 2000
MAX_BARS = 15
MAX_PLAYER_SECONDS = 120.0
_LENGTHS = (1, 3, 6, 11, 21, 41, 81)
_HEADS = [
    ("id", "utterance", "text"),
    ("errors", "errors", ""),
    ("sub", "sub", ""),
    ("del", "del", ""),
    ("ins", "ins", ""),
    ("words", "words", ""),
    ("wer", "WER %", ""),
    ("flags", "flags", "text"),
]


def write_page(
    path: Path, scored: Scored, result: dict[str, Any], *, audio: Path | None = None, num_players: int = 20
) -> None:
    """Write the page.

    Args:
        result: what `report` returned for `scored`.
        audio: a cuts manifest whose cuts have the ids of the utterances; by default the reference, if it is one.
        num_players: the worst utterances get a player with their audio inside the page.
    """
    rows = np.argsort(-scored.words[:, :3].sum(axis=1), kind="stable")[:MAX_UTTERANCES]
    worst = [scored.ids[u] for u in rows[:num_players].tolist()]
    sounds = _players(audio, worst) if audio else _players_if_there(audio_source(Path(result["ref"])), worst)
    flagged = {item["id"]: item for item in result["flags"]["utterances"]}
    items = [_item(scored, u, flagged, sounds) for u in rows.tolist()]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    data = orjson.dumps(items).decode().replace("<", "\\u003c")  # no tag can end the script element
    html = environment.get_template("wer.html.j2").render(
        result=result,
        unit=UNIT_NAMES[result["unit"]],
        counted=HEADS[result["unit"]],
        notes=notes(result),
        parts=list(_parts(result).items()),
        plots=[(title, bars) for title, bars in _plots(scored, result) if bars],
        heads=_HEADS,
        num_left_out=len(scored) - len(items),
        data=Markup(data),
        rate=lambda value: "-" if value is None else f"{value:.2f}",
    )
    with publish_file(path) as stream:
        stream.write(html)


def _item(scored: Scored, u: int, flagged: dict[str, dict[str, Any]], sounds: dict[str, str]) -> dict[str, Any]:
    sub, dele, ins, words, _ = scored.words[u].tolist()
    name = scored.ids[u]
    steps = scored.align(u)
    flags = ", ".join(f"{k}: {v}" for k, v in flagged.get(name, {}).items() if k not in ("id", "errors"))
    said = " ".join(word for _, ref, hyp in steps for word in (ref, hyp) if word is not None)
    return {
        "number": u,
        "id": name,
        "errors": sub + dele + ins,
        "sub": sub,
        "del": dele,
        "ins": ins,
        "words": words,
        "wer": round(100.0 * (sub + dele + ins) / words, 1) if words else 0.0,
        "flags": flags,
        "steps": steps,
        "search": f"{name} {said} {flags}".lower(),
        "audio": sounds.get(name, ""),
    }


def _parts(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    parts = {"all": result}
    parts |= {f"{part} text": result[part] for part in ("seen", "unseen") if result.get(part)}
    for name, groups in result.get("groups", {}).items():
        parts |= {f"{name} {value or '(none)'}": group for value, group in groups.items()}
    return parts


def _plots(scored: Scored, result: dict[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    rate = HEADS[result["unit"]][1].rstrip("%")
    plots = [(f"{rate} by length of the reference", _by_length(scored, HEADS[result["unit"]][0]))]
    fields = list(result.get("groups", {})) or [name for name in ("speaker",) if name in scored.field_names]
    for name in fields:
        rates = {value or "(none)": percent(sum(c[:3]), c[3]) or 0.0 for value, c in group_counts(scored, name).items()}
        worst = sorted(rates.items(), key=lambda item: -item[1])
        left_out = f" (worst {MAX_BARS} of {len(worst)})" if len(worst) > MAX_BARS else ""
        plots.append((f"{rate} by {name}{left_out}", _bars(worst[:MAX_BARS], " %")))
    lists = result["lists"]
    confusions = [(f"{item['ref']} \u2192 {item['hyp']}", item["count"]) for item in lists["confusions"][:MAX_BARS]]
    plots.append(("Confusions", _bars(confusions)))
    for title in ("deleted", "inserted"):
        plots.append((f"Most often {title}", _bars([(i["word"], i["count"]) for i in lists[title][:MAX_BARS]])))
    return plots


def _by_length(scored: Scored, unit: str) -> list[dict[str, Any]]:
    lengths, errors = scored.words[:, 3], scored.words[:, :3].sum(axis=1)
    values = []
    for low, high in zip(_LENGTHS, (*_LENGTHS[1:], 1 << 60), strict=True):
        inside = (lengths >= low) & (lengths < high)
        label = f"{low}-{high - 1}" if high < 1 << 60 else f"{low} and more"
        if inside.any():
            values.append((f"{label} {unit} ({inside.sum()})", 100.0 * errors[inside].sum() / lengths[inside].sum()))
    return _bars(values, " %")


def _bars(values: list[tuple[str, float]], unit: str = "") -> list[dict[str, Any]]:
    longest = max((value for _, value in values), default=0.0) or 1.0
    shown = [f"{value:.1f}{unit}" if unit else str(value) for _, value in values]
    return [
        {"label": label, "share": 100.0 * value / longest, "shown": text}
        for (label, value), text in zip(values, shown, strict=True)
    ]


def _players(cuts_path: Path, ids: list[str]) -> dict[str, str]:
    """Audio of some cuts as data addresses (16-bit FLAC); what is too long for a page is left out and counted."""
    import soundfile

    from speechkit.audio.io import audio_info
    from speechkit.data.store import audio_path, load_cuts

    cuts = {cut.id: cut for cut in load_cuts(cuts_path)}
    wanted = [cuts[name] for name in ids if name in cuts]
    if not wanted:
        raise SpeechkitError(
            f"no cut of `{cuts_path}` has the id of one of the {len(ids)} worst utterances",
            where=[f"{cuts_path}: {next(iter(cuts))}, ...", f"utterances: {ids[0]}, ..."],
        )
    found = {}
    for cut in wanted:
        audio_info(audio_path(cut))  # names a missing file
        if cut.duration <= MAX_PLAYER_SECONDS:
            stream = io.BytesIO()
            soundfile.write(stream, cut.load_audio()[0], cut.sampling_rate, format="FLAC", subtype="PCM_16")
            found[cut.id] = "data:audio/flac;base64," + base64.b64encode(stream.getvalue()).decode()
    if len(found) < len(ids):
        log.warn(f"{len(ids) - len(found)} of the {len(ids)} worst utterances have no player: no cut, or too long")
    return found


def _players_if_there(cuts_path: Path | None, ids: list[str]) -> dict[str, str]:
    """The same for audio that nobody asked for: without it the page has no players."""
    try:
        return _players(cuts_path, ids) if cuts_path else {}
    except SpeechkitError as error:
        log.warn(f"the page has no players: {error.what}")
        return {}


def audio_source(ref: Path) -> Path | None:
    """REF itself when it is a cuts manifest (its cuts have audio), else None."""
    path = ref / "cuts.jsonl.gz" if ref.is_dir() else ref
    return path if path.is_file() and guess_format(path) == "cuts" else None
