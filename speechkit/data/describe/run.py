"""The command `data describe`: one pass over each manifest, tables on stdout, JSON and one page on request."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from speechkit.artifact import check_writable, publish_file, write_json
from speechkit.data.corpora.tables import read_lines
from speechkit.data.describe.collect import collect
from speechkit.data.describe.result import result_of
from speechkit.data.describe.tables import (
    as_terminal,
    duration_table,
    example_table,
    field_table,
    headline,
    histogram_of,
    ngram_table,
    overlap_table,
    speaker_table,
    text_table,
)
from speechkit.errors import SpeechkitError, counted
from speechkit.report.histogram import as_svg
from speechkit.report.html import render
from speechkit.text.counts import Vocabulary
from speechkit.text.diversity import Edges, letter_edges

TEMPLATE = Path(__file__).parent / "templates" / "describe.html.j2"
_PAGE_ROWS = 40


def run(
    cuts: Path,
    *,
    against: Sequence[Path] = (),
    lexicon: Path | None = None,
    json_file: Path | None = None,
    html_file: Path | None = None,
) -> None:
    """Print what a manifest holds and what others share with it.

    Raises:
        SpeechkitError: a manifest or the lexicon can not be read, a word is not in the lexicon, or an output can not
            be written.
    """
    check_writable(json_file, html_file)
    result = describe(cuts, against=against, lexicon=lexicon)
    print(as_terminal(result))
    if json_file is not None:
        write_json(json_file, result)
    if html_file is not None:
        with publish_file(html_file) as stream:
            stream.write(page(result))


def describe(cuts: Path, *, against: Sequence[Path] = (), lexicon: Path | None = None) -> dict[str, Any]:
    """The plain values that `run` shows; see `describe.result`."""
    vocabulary: Vocabulary = {}
    own = collect(cuts, vocabulary)
    others = [collect(path, vocabulary) for path in against]
    edges = letter_edges if lexicon is None else read_lexicon(lexicon, vocabulary)
    return result_of(own, others, edges=edges)


def read_lexicon(path: Path, vocabulary: Vocabulary) -> Edges:
    """The first and last phone of each word, from lines `word phone phone ...`; of several lines the first counts.

    Raises:
        SpeechkitError: not UTF-8, a word without phones, or a word of the vocabulary that is not there.
    """
    lines, bad = read_lines(path)
    faults = [f"{item.where}  {item.reason}" for item in bad]
    table: dict[str, tuple[str, str]] = {}
    for number, line in lines:
        word, *phones = line.split() or [""]
        if word and not phones:
            faults.append(f"{path}:{number}  {word}  no phones")
        elif word:
            table.setdefault(word, (phones[0], phones[-1]))
    if faults:
        raise SpeechkitError(f"{counted(len(faults), 'line')} of the lexicon `{path}` can not be used", where=faults)
    missing = [word for word in vocabulary if word not in table]
    if missing:
        raise SpeechkitError(
            f"the lexicon `{path}` lacks {len(missing)} of {counted(len(vocabulary), 'word')}",
            where=missing,
            hint="add them, or leave out --lexicon: letters then stand for phones",
        )
    return table.__getitem__


def page(result: dict[str, Any]) -> str:
    """The result as one HTML page without network."""
    fields = result["fields"].items()
    return render(
        TEMPLATE,
        title=f"Corpus {Path(result['set']).name}",
        result=result,
        headline=headline(result, result["speakers"]["num"], result["texts"]["num_texts"]),
        durations=duration_table(result),
        plot=as_svg(histogram_of(result), unit="seconds", title="utterances by duration"),
        speakers=speaker_table(result, _PAGE_ROWS),
        fields=[field_table(name, field, _PAGE_ROWS) for name, field in fields],
        texts=text_table(result),
        examples=example_table(result["texts"]["most_frequent"], "Texts said most often", _PAGE_ROWS),
        others=[
            (part, headline(part, part["num_speakers"], part["num_texts"]), overlap_table(part), ngram_table(part))
            for part in result["against"]
        ],
    )
