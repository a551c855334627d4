"""NIST markup: the rules one by one, and NIST's own inputs with sclite's results."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from speechkit.errors import SpeechkitError
from speechkit.score.marked import score_marked, split_plain
from speechkit.score.nist import Markup, Step, align_marked
from speechkit.score.normalize import Normalizer
from speechkit.score.transcripts import read_transcripts
from speechkit.score.wer import score


def counts(steps: list[Step]) -> list[int]:
    return [sum(step[0] == op for step in steps) for op in range(4)]


CASES = {
    "alternatives": ("a { b / c d } e", "a c d e", Markup(), [4, 0, 0, 0]),
    "no word": ("a { um / @ } b", "a b", Markup(), [2, 0, 0, 0]),
    "nested": ("a { b / { c / d } e }", "a d e", Markup(), [3, 0, 0, 0]),
    "in the hypothesis": ("the tea", "{the/this} tea", Markup(), [2, 0, 0, 0]),
    "none fits": ("a { b / c d } e", "a x e", Markup(), [2, 1, 0, 0]),
    "tags": ("one;tag two", "one two;other", Markup(), [2, 0, 0, 0]),
    "escaped": ("a\\;s", "a\\;s;tag", Markup(), [1, 0, 0, 0]),
    "fragment": ("fi- now", "five now", Markup(fragments=True), [2, 0, 0, 0]),
    "fragment off": ("fi- now", "five now", Markup(), [1, 1, 0, 0]),
    "end fragment": ("-ive now", "five now", Markup(fragments=True), [2, 0, 0, 0]),
    "optional left out": ("a (um) b", "a b", Markup(optional=True), [3, 0, 0, 0]),
    "optional said": ("a (um) b", "a um b", Markup(optional=True), [3, 0, 0, 0]),
    "optional off": ("a (um) b", "a b", Markup(), [2, 0, 1, 0]),
    "characters": ("a (bc) { de / f }", "ab e", Markup(unit="char", optional=True), [4, 0, 1, 0]),
    "tagged characters": ("ab;tag @", "ab", Markup(unit="char"), [2, 0, 0, 0]),
    "mixed": ("the {\u5929\u5730 / \u4eba} ok", "the \u5929 ok", Markup(unit="mixed"), [3, 0, 1, 0]),
    "empty": ("", "a", Markup(), [0, 0, 0, 1]),
}


@pytest.mark.parametrize("case", CASES)
def test_markup_is_scored_by_sclites_rules(case: str) -> None:
    ref, hyp, markup, expected = CASES[case]
    assert counts(align_marked(ref, hyp, markup)) == expected


def test_an_open_brace_is_refused_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "ref.trn").write_text("a b (u-1)\na { b / c (u-2)\n")
    (tmp_path / "hyp.trn").write_text("a b (u-1)\na b (u-2)\n")
    scored = score(read_transcripts(tmp_path / "ref.trn"), read_transcripts(tmp_path / "hyp.trn"))
    with pytest.raises(SpeechkitError, match="never closed") as caught:
        score_marked(scored, Markup())
    assert caught.value.where == [f"{tmp_path / 'ref.trn'}:2"]


RUNS = {
    "spu": ("tests.ref", "tests.hyp", "ascii", Markup()),
    "spu_noD": ("tests.ref", "tests.hyp", "ascii", Markup(fragments=True, optional=True)),
    "utf8": ("tests.ref.utf8-3bytes", "tests.hyp.utf8-3bytes", "unicode", Markup()),
    "turkish": ("test.turkish.ref", "test.turkish.hyp", "unicode", Markup()),
    "char_utf8": ("tests.ref.utf8-3bytes", "tests.hyp.utf8-3bytes", "unicode", Markup(unit="char")),
    "vietnamese": ("test.vietnamese.ref.trn", "test.vietnamese.hyp.trn", "ascii", Markup()),
}


@pytest.mark.parametrize("run", RUNS)
def test_nists_own_inputs_have_sclites_counts_in_every_utterance(corpus_root: Path, run: str) -> None:
    folder = corpus_root / "scoring" / "sctk"
    ref, hyp, case, markup = RUNS[run]
    normalizer = Normalizer(case=case)
    texts = [normalizer.transcripts(read_transcripts(folder / name, "trn")) for name in (ref, hyp)]
    sides = [split_plain(side, markup, is_marked=True) for side in texts]
    scored = score_marked(score(sides[0], sides[1], ties="sclite"), markup)
    text = (folder / "expected" / f"{run}.pra").read_text(errors="replace")
    expected = dict(re.findall(r"id: \((.*?)\)\nScores: \(#C #S #D #I\) (.*)\n", text))
    assert len(expected) == len(scored)
    for u, name in enumerate(scored.ids):
        sub, dele, ins, num_ref, _ = scored.words[u].tolist()
        assert f"{num_ref - sub - dele} {sub} {dele} {ins}" == expected[name.lower()].strip(), name
