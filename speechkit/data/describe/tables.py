"""The result of `data describe` as tables, and as text for a terminal."""

from __future__ import annotations

from typing import Any

from speechkit.data.describe.collect import MAX_VALUES
from speechkit.errors import counted
from speechkit.report.histogram import Histogram, as_bars
from speechkit.report.tables import Table, as_text

_MAX_ROWS = 12
_MAX_TEXT = 60


def histogram_of(result: dict[str, Any]) -> Histogram:
    """The histogram of durations."""
    stored = result["durations"]["histogram"]
    return Histogram(stored["edges_seconds"], stored["counts"])


def headline(part: dict[str, Any], num_speakers: int, num_texts: int) -> str:
    """A set in one line."""
    counts = [counted(part["num_utterances"], "utterance"), f"{part['hours']:.2f} h"]
    return ", ".join([*counts, counted(num_speakers, "speaker"), counted(num_texts, "text")])


def duration_table(result: dict[str, Any]) -> Table:
    """Percentiles of the durations."""
    found = result["durations"]
    middle = found["percentile_seconds"]
    names = ["min", *(f"{p} %" for p in middle), "max", "mean"]
    values = [found["min_seconds"], *middle.values(), found["max_seconds"], found["mean_seconds"]]
    return Table("Durations in seconds", names, [[f"{value:.2f}" for value in values]], num_names=0)


def speaker_table(result: dict[str, Any], max_rows: int = _MAX_ROWS) -> Table:
    """The speakers with most speech, and what the others have together."""
    found = result["speakers"]
    rows = _rows(found["list"], "speaker", max_rows, total=found["num"])
    return Table(f"Speakers ({found['num']})", ["speaker", "utterances", "hours"], rows)


def field_table(name: str, field: dict[str, Any], max_rows: int = _MAX_ROWS) -> Table:
    """Utterances and hours of each value of a field."""
    unknown = counted(field["num_without_value"], "utterance")
    title = f"{name}, of {unknown} unknown" if field["num_without_value"] else name
    columns = [name, "utterances", "hours"]
    if field["values"] is None:
        return Table(f"{title}: {_many(field)}", columns, [])
    return Table(title, columns, _rows(field["values"], "value", max_rows, total=len(field["values"])))


def _rows(items: list[dict[str, Any]], key: str, max_rows: int, *, total: int) -> list[list[str]]:
    shown = items if len(items) <= max_rows and total == len(items) else items[: max_rows - 1]
    rows = [[str(item[key]), str(item["num_utterances"]), f"{item['hours']:.3f}"] for item in shown]
    if total > len(shown):
        rest = items[len(shown) :]
        hours = f"{sum(item['hours'] for item in rest):.3f}" if len(items) == total else "-"
        number = str(sum(item["num_utterances"] for item in rest)) if len(items) == total else "-"
        rows.append([f"({total - len(shown)} more)", number, hours])
    return rows


def text_table(result: dict[str, Any]) -> Table:
    """The text-diversity table."""
    found = result["texts"]
    pairs = found["junctions"]
    rows = [
        [
            "different texts",
            f"{found['num_texts']}",
            "of all utterances: unique ratio " + f"{found['unique_ratio']:.3f}",
        ],
        ["prompts", f"{found['num_prompts']}", "different texts when case and punctuation do not count"],
        [
            "effective texts",
            f"{found['effective_texts']:.0f}",
            "as diverse as so many equally frequent ones, exp(entropy)",
        ],
        ["Simpson number", f"{found['simpson_texts']:.0f}", "the same, frequent texts weigh more"],
        ["speakers per text", f"{found['speakers_per_text']:.1f}", ""],
        ["words", f"{found['num_words']}", f"{found['words_per_utterance']:.1f} per utterance"],
        ["different words", f"{found['num_types']}", ""],
        ["different word pairs", f"{found['bigram_types']}", ""],
        ["next-word entropy", f"{found['conditional_entropy_bits']:.2f}", "bits; 0 when each word has one successor"],
        ["zlib ratio", f"{found['zlib_ratio']:.3f}", "packed size over size; low is repetitive"],
        [
            "junctions",
            f"{pairs['types']}",
            f"word boundaries by their sounds: {pairs['coverage']:.0%} of the possible ones",
        ],
    ]
    if found["num_without_text"]:
        rows.insert(0, ["without text", f"{found['num_without_text']}", "in no other number of this table"])
    return Table("Texts", ["measure", "meaning", "value"], [[name, meaning, value] for name, value, meaning in rows], 2)


def overlap_table(part: dict[str, Any]) -> Table:
    """What another set shares with the first."""
    rows = [
        ["texts that occur in the first set", f"{part['shared_texts']} of {part['num_texts']}"],
        ["utterances that say them", f"{part['utterance_share']:.1%}"],
        ["utterances that say a prompt of it", f"{part['prompt_utterance_share']:.1%}"],
        ["utterances of the first set with a text of this", f"{part['own_utterance_share']:.1%}"],
        ["speakers that occur in the first set", f"{part['shared_speakers']} of {part['num_speakers']}"],
        ["words never said in it (OOV)", f"{part['oov_rate']:.1%}"],
        ["word pairs never said in it", f"{part['unseen_bigram_rate']:.1%}"],
        ["word boundaries that occur in it", f"{part['junction_coverage']:.1%}"],
    ]
    return Table(f"Against {part['set']}", ["overlap", "value"], rows)


def ngram_table(part: dict[str, Any]) -> Table:
    """Types and tokens of orders 1 to 4 of another set, and what the first set has of them."""
    rows = [
        [f"{n['order']}", f"{n['types']}", f"{n['shared_types']}", f"{n['tokens']}", f"{n['unseen_rate']:.1%}"]
        for n in part["ngrams"]
    ]
    return Table("n-grams of " + part["set"], ["n", "different", "in common", "spoken", "unseen"], rows, num_names=0)


def example_table(items: list[dict[str, Any]], title: str, max_rows: int = _MAX_ROWS) -> Table:
    """Texts and how often they are said."""
    rows = [[_short(item["text"]), str(item["num_utterances"])] for item in items[:max_rows]]
    return Table(title, ["text", "utterances"], rows)


def _short(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT - 3]}..."


def as_terminal(result: dict[str, Any]) -> str:
    """Everything in plain text."""
    texts = result["texts"]
    parts = [f"{result['set']}: {headline(result, result['speakers']['num'], texts['num_texts'])}"]
    parts.append(f"durations (s)\n{as_text(duration_table(result))}\n{as_bars(histogram_of(result))}")
    if result["speakers"]["num"]:
        parts.append(as_text(speaker_table(result)))
    parts += [_field_text(name, field) for name, field in result["fields"].items()]
    if texts["num_utterances"]:
        parts.append(as_text(text_table(result)))
        parts.append(as_text(example_table(texts["most_frequent"], "", 5)))
    parts.append(f"verdict: {result['verdict']['line']}")
    for part in result["against"]:
        parts.append(f"against {part['set']}: {headline(part, part['num_speakers'], part['num_texts'])}")
        parts += [as_text(overlap_table(part)), as_text(ngram_table(part))]
        parts.append(f"verdict: {part['verdict']['line']}")
    return "\n\n".join(parts)


def _field_text(name: str, field: dict[str, Any]) -> str:
    if field["values"] is None:
        return f"{name}: {_many(field)}"
    unknown = (
        f"\n{counted(field['num_without_value'], 'utterance')} without {name}" if field["num_without_value"] else ""
    )
    return as_text(field_table(name, field)) + unknown


def _many(field: dict[str, Any]) -> str:
    number = field["num_values"]
    if field["range"]:
        return f"{number} numbers from {field['range'][0]:g} to {field['range'][1]:g}"
    return f"more than {MAX_VALUES} values" if number is None else f"{number} values, most of one utterance"
