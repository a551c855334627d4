"""The command `audit inject`: cuts in, the same cuts with planted faults and the truth about them out.

Output: `cuts.jsonl.gz` (same ids), `truth.jsonl` (one row per faulty cut), `audio/` (only what changed) and
`inject.json` (what was asked for and what came out).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from speechkit import log
from speechkit.artifact import make_artifact, publish_file, write_json
from speechkit.audit.config_truth import AUDIO_TYPES, InjectConfig
from speechkit.audit.inject_audio import apply_events, with_fields
from speechkit.audit.inject_choose import Labelers, plan_utterances, plan_words
from speechkit.audit.inject_plan import Counts, Event, Source
from speechkit.audit.vocabulary import Vocabulary
from speechkit.audit.word_lists import read_choices, read_ids, read_sentences
from speechkit.data.store import CUTS_FILE, audio_path, load_cuts, save_cuts
from speechkit.data.stream import manifest_path
from speechkit.errors import ConfigError, SpeechkitError, counted

if TYPE_CHECKING:
    from lhotse import MonoCut

TRUTH_FILE = "truth.jsonl"
REPORT_FILE = "inject.json"
LABELER_FIELD = "labeler"


@dataclass(frozen=True)
class Lists:
    """Files of words that some types need: sentences of another language, confusions, forms, and ids to leave alone."""

    language: Path | None = None
    confusions: Path | None = None
    forms: Path | None = None
    exclude: Path | None = None

    def inputs(self) -> dict[str, Path]:
        """Those that are given, by role."""
        return {name: path for name, path in vars(self).items() if path is not None}


def run(
    config: InjectConfig, *, cuts: Path, out: Path, lists: Lists | None = None, num_jobs: int = 1, force: bool = False
) -> None:
    """Make the folder `out`; prints what was planted.

    Raises:
        ConfigError: a type of the mix lacks its list; SpeechkitError: the cuts can not carry so many faults.
    """
    lists = lists or Lists()
    if "language" in config.weights and lists.language is None:
        raise ConfigError(
            "the type `language` needs sentences of another language", hint="--language FILE, one sentence a line"
        )
    manifest = manifest_path(cuts)
    loaded = list(load_cuts(manifest))
    _check(loaded, manifest)

    def build(folder: Path) -> None:
        _build(config, loaded, folder, lists=lists, num_jobs=num_jobs)

    audio = sorted({audio_path(cut) for cut in loaded}) if set(AUDIO_TYPES) & config.weights.keys() else []
    made = make_artifact(
        out,
        command="audit inject",
        config=config,
        inputs={"cuts": manifest, **lists.inputs()},
        build=build,
        audio=audio,
        force=force,
    )
    if made:
        print(table(orjson.loads((out / REPORT_FILE).read_bytes())))


def _check(cuts: Sequence[MonoCut], manifest: Path) -> None:
    bad = [
        f"{cut.id}  {counted(num, 'supervision')}" if (num := len(cut.supervisions)) != 1 else f"{cut.id}  no text"
        for cut in cuts
        if len(cut.supervisions) != 1 or cut.supervisions[0].text is None
    ]
    if bad:
        raise SpeechkitError(
            f"{counted(len(bad), 'cut')} of `{manifest}` can not carry a fault",
            where=bad,
            expected="one supervision with a text",
            hint="`speechkit data validate` names all faults of a manifest",
        )


def _build(config: InjectConfig, cuts: Sequence[MonoCut], folder: Path, *, lists: Lists, num_jobs: int) -> None:
    source = _source(config, cuts, lists)
    allowed = _allowed(cuts, lists.exclude)
    labelers = Labelers.draw([cut.id for cut in cuts], config) if config.labelers else None
    counts = Counts()
    if config.level == "word":
        events = plan_words(source, config, allowed, labelers)
    else:
        events = plan_utterances(source, config, allowed, labelers, counts)
    changed = apply_events(cuts, events, folder, seed=config.seed, num_jobs=num_jobs)
    if labelers is not None:
        changed = [
            with_fields(cut, custom={**(cut.supervisions[0].custom or {}), LABELER_FIELD: labelers.names[k]})
            for cut, k in zip(changed, labelers.of_cut, strict=True)
        ]
    save_cuts(changed, folder / CUTS_FILE)
    with publish_file(folder / TRUTH_FILE, "wb") as stream:
        stream.writelines(
            orjson.dumps(_truth(event, cuts, config), option=orjson.OPT_APPEND_NEWLINE) for event in events
        )
    report = _report(config, source, events, counts, labelers)
    write_json(folder / REPORT_FILE, report)
    log.info(
        f"{len(events)} of {counted(len(cuts), 'cut')} faulty; {sum(counts.redrawn.values())} draws changed nothing, "
        f"{sum(counts.replaced.values())} types were replaced, {counts.passed_over} cuts passed over"
    )


def _source(config: InjectConfig, cuts: Sequence[MonoCut], lists: Lists) -> Source:
    texts = [(cut.supervisions[0].text or "").split() for cut in cuts]
    vocabulary = Vocabulary.of_texts(
        texts,
        seed=config.seed,
        confusions=read_choices(lists.confusions) if lists.confusions else None,
        forms=read_choices(lists.forms, sep="\t") if lists.forms else None,
    )
    needs = sorted({"sub", "confusable", "pairflip", "ins"} & config.weights.keys())
    if needs and len(vocabulary.words) < 2:
        raise SpeechkitError(
            f"the texts have no vocabulary: {counted(len(vocabulary.words), 'different word')}",
            expected=f"2 words or more for {', '.join(needs)}",
        )
    return Source(cuts, vocabulary, read_sentences(lists.language) if lists.language else ())


def _allowed(cuts: Sequence[MonoCut], exclude: Path | None) -> list[int]:
    if exclude is None:
        return list(range(len(cuts)))
    barred = read_ids(exclude)
    unknown = sorted(barred - {cut.id for cut in cuts})
    if unknown:
        raise SpeechkitError(
            f"{counted(len(unknown), 'id')} of `{exclude}` are not among the cuts",
            where=unknown,
            expected="ids of cuts",
        )
    return [number for number, cut in enumerate(cuts) if cut.id not in barred]


def _truth(event: Event, cuts: Sequence[MonoCut], config: InjectConfig) -> dict[str, Any]:
    return {
        "id": cuts[event.number].id,
        "type": event.kind,
        "seed": config.seed,
        "before": event.said,
        "after": event.text,
        "wrong_words": list(event.wrong_words),
        "wrong_gaps": list(event.wrong_gaps),
        "level": event.level,
        "located": event.is_located,
        **event.details,
    }


def _report(
    config: InjectConfig, source: Source, events: Sequence[Event], counts: Counts, labelers: Labelers | None
) -> dict[str, Any]:
    texts = {event.number: event.text.split() for event in events}
    num_words = sum(len(texts.get(number, words)) for number, words in enumerate(source.words))
    report: dict[str, Any] = {
        "schema": 1,
        "utterances": len(source.cuts),
        "faulty": len(events),
        "share": round(len(events) / len(source.cuts), 6),
        "words": num_words,
        "wrong_words": sum(len(event.wrong_words) for event in events),
        "wrong_gaps": sum(len(event.wrong_gaps) for event in events),
        "types": _sorted(Counter(event.kind for event in events)),
        "redrawn": _sorted(counts.redrawn),
        "replaced": _sorted(counts.replaced),
        "passed_over": counts.passed_over,
    }
    if labelers is not None:
        report["labelers"] = _by_labeler(source, events, labelers)
    return report


def _sorted(counter: Counter[str]) -> dict[str, int]:
    return dict(sorted(counter.items()))


def _by_labeler(source: Source, events: Sequence[Event], labelers: Labelers) -> dict[str, dict[str, Any]]:
    totals = Counter(labelers.of_cut)
    faulty = Counter(labelers.of_cut[event.number] for event in events)
    wrong: Counter[int] = Counter()
    for event in events:
        wrong[labelers.of_cut[event.number]] += len(event.wrong_words) + len(event.wrong_gaps)
    return {
        name: {"utterances": totals[k], "faulty": faulty[k], "wrong": wrong[k], "is_bad": k in labelers.bad}
        for k, name in enumerate(labelers.names)
    }


def table(report: dict[str, Any]) -> str:
    """What was planted, type by type."""
    lines = [f"{'type':<16}{'cuts':>8}"]
    lines += [f"{name:<16}{number:>8}" for name, number in report["types"].items()]
    lines.append(
        f"{report['faulty']} of {report['utterances']} cuts are faulty ({report['share']:.1%}), with "
        f"{report['wrong_words']} wrong words and {report['wrong_gaps']} gaps where words are missing"
    )
    return "\n".join(lines)
