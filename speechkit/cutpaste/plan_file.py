"""Plans: which snippets make which utterance. A folder of three small files that renders to the same samples anywhere.

`plan.jsonl`, an utterance per line: `{"id", "speaker", "text", "pieces": [[source, first sample, end sample,
[word start, word end, ...], [quiet samples at its start, at its end]], ...], "pauses": [samples after each piece but
the last], "lead", "tail", "cost"}`; `sources.jsonl`, the recordings it needs, as in the inventory, plus
their gain; `plan.json`, the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from speechkit.config import build_config
from speechkit.cutpaste.config import PasteConfig
from speechkit.cutpaste.inventory import Source, read_jsonl, read_sources, write_sources
from speechkit.data.corpora.items import is_file_name
from speechkit.errors import SpeechkitError

PLAN_FILE = "plan.jsonl"
SOURCES_FILE = "sources.jsonl"
HEADER_FILE = "plan.json"


@dataclass(frozen=True)
class Piece:
    """A stretch of one source, samples from its start, end exclusive.

    `marks` hold (start, end) of each word in it; `quiet`: as many samples before and behind its start, and its end,
    are of no word.
    """

    source: int
    start: int
    end: int
    marks: tuple[tuple[int, int], ...]
    quiet: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Planned:
    """One utterance of a plan; pauses, lead and tail in samples, `cost` is that of its snippets per word."""

    utt_id: str
    speaker: str
    text: str
    pieces: tuple[Piece, ...]
    pauses: tuple[int, ...]
    lead: int
    tail: int
    cost: float

    @property
    def num_samples(self) -> int:
        """Length of the rendered utterance."""
        return self.lead + sum(piece.end - piece.start for piece in self.pieces) + sum(self.pauses) + self.tail


@dataclass(frozen=True)
class Plan:
    """A whole plan; `gains` are factors, one per source; `header` is what plan.json holds besides."""

    utterances: list[Planned]
    sources: list[Source]
    gains_db: list[float]
    paste: PasteConfig
    header: dict[str, Any]

    @property
    def sampling_rate(self) -> int:
        """That of all sources, Hz."""
        return self.sources[0].sampling_rate


def save_plan(plan: Plan, folder: Path) -> None:
    """Write the three files."""
    with (folder / PLAN_FILE).open("wb") as stream:
        stream.writelines(map(plan_line, plan.utterances))
    write_sources(plan.sources, folder / SOURCES_FILE)
    header = {**plan.header, "paste": plan.paste.model_dump(mode="json"), "gains_db": plan.gains_db}
    (folder / HEADER_FILE).write_bytes(orjson.dumps(header, option=orjson.OPT_INDENT_2) + b"\n")


def plan_line(utterance: Planned) -> bytes:
    """An utterance as a line of plan.jsonl."""
    pieces = [
        [p.source, p.start, p.end, [place for mark in p.marks for place in mark], p.quiet] for p in utterance.pieces
    ]
    return orjson.dumps(
        {
            "id": utterance.utt_id,
            "speaker": utterance.speaker,
            "text": utterance.text,
            "pieces": pieces,
            "pauses": utterance.pauses,
            "lead": utterance.lead,
            "tail": utterance.tail,
            "cost": utterance.cost,
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )


def load_plan(folder: Path) -> Plan:
    """Read a plan and check that it can be rendered.

    Raises:
        SpeechkitError: missing, damaged, or a line that names what does not exist; with file:line.
    """
    header_file = folder / HEADER_FILE
    try:
        header = orjson.loads(header_file.read_bytes())
        stored = header.pop("paste")
        stored.setdefault("quiet_fade_ms", stored["fade_ms"])  # plans made before fades grew render as they did
        paste, gains_db = build_config(PasteConfig, stored), [float(g) for g in header.pop("gains_db")]
    except FileNotFoundError:
        raise SpeechkitError(
            f"`{folder}` is not a plan", expected="a folder made by `speechkit cutpaste plan`"
        ) from None
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise SpeechkitError("not the header of a plan", where=f"{header_file}  {error}") from None
    sources = read_sources(folder / SOURCES_FILE)
    if len(gains_db) != len(sources) or not sources or len({source.sampling_rate for source in sources}) > 1:
        raise SpeechkitError(f"the files of the plan `{folder}` do not fit together", hint="make it again with --force")
    path = folder / PLAN_FILE
    utterances, seen = [], set()
    for number, record in enumerate(read_jsonl(path), start=1):
        where = f"{path}:{number}"
        try:
            utterance = _planned(record)
        except (KeyError, TypeError, ValueError) as error:
            raise SpeechkitError("not a line of a plan", where=f"{where}  {error}") from None
        fault = fault_of(utterance, sources)
        if not fault and utterance.utt_id in seen:
            fault = f"the id `{utterance.utt_id}` occurs twice"
        if fault:
            raise SpeechkitError(fault, where=where, hint="make the plan again")
        seen.add(utterance.utt_id)
        utterances.append(utterance)
    if not utterances:
        raise SpeechkitError(f"`{path}` holds no utterance")
    return Plan(utterances, sources, gains_db, paste, header)


def joins_of(utterance: Planned) -> list[tuple[int, tuple[str, str]]]:
    """Samples at which two stretches of speech meet without a pause between them, each with the words there."""
    found = []
    position, said = utterance.lead, 0
    words = utterance.text.split()
    for piece, pause in zip(utterance.pieces[:-1], utterance.pauses, strict=True):
        position += piece.end - piece.start
        said += len(piece.marks)
        if pause == 0:
            found.append((position, (words[said - 1], words[said])))
        position += pause
    return found


def join_places(utterance: Planned) -> list[int]:
    """The samples of `joins_of`."""
    return [place for place, _ in joins_of(utterance)]


def _planned(record: dict[str, Any]) -> Planned:
    pieces = tuple(_piece(*fields) for fields in record["pieces"])
    return Planned(
        utt_id=str(record["id"]), speaker=str(record["speaker"]), text=str(record["text"]), pieces=pieces,
        pauses=tuple(map(int, record["pauses"])), lead=int(record["lead"]), tail=int(record["tail"]),
        cost=float(record["cost"]),
    )  # fmt: skip


def _piece(source: int, start: int, end: int, marks: list[int], quiet: Sequence[int] = (0, 0)) -> Piece:
    """A piece of a line; those of older plans do not say how quiet it is at their edges."""
    places = tuple(zip(map(int, marks[::2]), map(int, marks[1::2]), strict=True))
    before, after = map(int, quiet)
    return Piece(int(source), int(start), int(end), places, (before, after))


def fault_of(utterance: Planned, sources: Sequence[Source]) -> str:
    """Why an utterance can not be rendered as it says, or an empty text."""
    if not is_file_name(utterance.utt_id):
        return f"the id {utterance.utt_id!r:.80} can not be the name of a file"
    if not utterance.pieces or len(utterance.pauses) != len(utterance.pieces) - 1:
        return f"{len(utterance.pieces)} pieces do not fit to {len(utterance.pauses)} pauses"
    if min(*utterance.pauses, utterance.lead, utterance.tail, 0) < 0:
        return "a pause is negative"
    if sum(len(piece.marks) for piece in utterance.pieces) != len(utterance.text.split()):
        return f"the pieces do not hold as many words as the text {utterance.text!r:.80}"
    for piece in utterance.pieces:
        if not 0 <= piece.source < len(sources):
            return f"there is no source {piece.source}"
        if not 0 <= piece.start < piece.end <= sources[piece.source].num_samples:
            return f"samples {piece.start}-{piece.end} are not within source {piece.source}"
        if not piece.marks:
            return f"samples {piece.start}-{piece.end} of source {piece.source} hold no word"
    return ""
