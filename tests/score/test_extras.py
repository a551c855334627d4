"""Rule files, error lists, flags, listed words, compounds and n-best lists."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from speechkit.errors import SpeechkitError
from speechkit.score.flags import flag, flags, longest_loop
from speechkit.score.lists import error_lists, join_compounds, word_rates
from speechkit.score.nbest import oracle, read_nbest
from speechkit.score.normalize import Normalizer, read_normalizer, strip_punctuation
from speechkit.score.summary import summarise
from speechkit.score.transcripts import Transcripts, from_texts
from speechkit.score.wer import Scored, score


def texts(*items: str, **options: object) -> Transcripts:
    return from_texts([f"u{k}" for k in range(len(items))], items, source="x", **options)  # type: ignore[arg-type]


def scored(refs: list[str], hyps: list[str]) -> Scored:
    return score(texts(*refs), texts(*hyps))


def test_rules_replace_the_longest_match_and_directives_switch(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.write_text(
        ";; comment\n@lower\n@no-punctuation\na lot => many\na => one\n[GONNA] => [GOING TO] / [ ] __ [ ]\nuh =>\n"
    )
    found = read_normalizer(rules)
    assert found.text("A lot, a gonna! Uh it's well-known.") == "many one going to it's well-known"


def test_rules_may_ask_for_words_around(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.write_text("falkner => faulkner / william __\nto => two / __ euros now\nto => too\na => b / c\n")
    with pytest.raises(SpeechkitError, match="1 lines are no rules"):
        read_normalizer(rules)
    rules.write_text("falkner => faulkner / william __\nto => two / __ [ euros now ]\nto => too / [ ] __ [ ]\n")
    found = read_normalizer(rules)
    assert found.text("falkner william falkner") == "falkner william faulkner"
    assert found.text("to euros now to euros") == "two euros now too euros"


def test_hyphens_are_split_inside_words_only(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.write_text("@split-hyphens\nuh-huh => yes\n")
    assert (
        read_normalizer(rules).text("well-known uh-huh part- -end a-b-c (re-do)")
        == "well known yes part- -end a b c (re do)"
    )


def test_lines_that_are_no_rules_are_named(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.write_text("a => b\nwhat\n@upper\n => y\n")
    with pytest.raises(SpeechkitError, match="3 lines are no rules") as caught:
        read_normalizer(rules)
    assert [w.split("  ")[0].rsplit(":", 1)[1] for w in caught.value.where] == ["2", "3", "4"]


def test_case_and_unicode_form() -> None:
    assert Normalizer(case="ascii").text("\u00c4B") == "\u00c4b"
    assert Normalizer(case="unicode", nfkc=True).text("\ufb01X") == "fix"
    assert strip_punctuation("'\u00abwell-known\u00bb,'") == "well-known"


def test_lists_count_words_in_errors() -> None:
    found = error_lists(scored(["a b c", "a b", "d", "e"], ["a x c", "a x", "", "e f f"]))
    assert found["confusions"] == [{"ref": "b", "hyp": "x", "count": 2}]
    assert found["deleted"] == [{"word": "d", "count": 1}]
    assert found["inserted"] == [{"word": "f", "count": 2}]


def test_listed_words_and_others_have_their_own_rates() -> None:
    found = word_rates(
        scored(["call anna now", "call bob"], ["call hannah now", "tall bob anna"]), frozenset({"anna", "bob"})
    )
    assert (found["num_biased_words"], found["biased_errors"], found["biased_wer"]) == (2, 2, 100.0)
    assert (found["num_unbiased_words"], found["unbiased_errors"]) == (3, 1)


def test_words_split_or_joined_are_compounds() -> None:
    before = scored(["the car port is here", "a b"], ["the carport is her", "a c"])
    found = before.with_alignments({u: join_compounds(before.align(u)) for u in range(2)})
    assert summarise(found)["sub"] == 2 and summarise(found)["del"] == 0 and summarise(found)["ins"] == 0
    assert found.words[:, 3].tolist() == [5, 2]
    assert [w for _, w in sorted((i["ref"], i["hyp"]) for i in error_lists(found)["confusions"])] == ["c", "her"]


def test_loops_bursts_silence_and_fast_speech_are_flagged() -> None:
    refs = texts("one two", "one two three", "yes yes yes yes", "ok", seconds=np.array([1.0, 1.0, 1.0, 0.5]))
    hyps = texts("one two " + "thank you " * 4, "", "yes yes yes yes", "a b c d e f g h i")
    found = flags(score(refs, hyps))
    by_id = {item["id"]: item for item in found["utterances"]}
    assert by_id["u0"]["loop"] == "thank you x4" and by_id["u0"]["insertions"] == 8
    assert by_id["u1"]["silent"] == 3
    assert "u2" not in by_id
    assert by_id["u3"]["words_per_second"] == 18.0
    assert found["num_flagged"] == 3


def test_no_flag_is_missed_among_many_utterances() -> None:
    source = random.Random(5)
    refs = [source.choices("ab", k=source.randrange(8)) for _ in range(1000)]
    hyps = [ref + source.choices("ab", k=source.randrange(3)) * source.randrange(5) for ref in refs]
    found = scored(*([" ".join(words) for words in side] for side in (refs, hyps)))
    expected = {name: flag(found, u) for u, name in enumerate(found.ids)}
    items = flags(found)["utterances"]
    assert all(item.items() >= expected[item["id"]].items() for item in items)
    assert len(items) == sum(map(bool, expected.values())) > 100


def test_the_longest_loop_covers_most_words() -> None:
    assert longest_loop(["a", "b", "a", "b", "a", "b", "c"]) == (["a", "b"], 3)
    assert longest_loop(["x", "x", "x", "x", "y"]) == (["x"], 4)
    assert longest_loop(["x", "x", "x", "y"]) is None


def test_the_oracle_takes_the_best_candidate(tmp_path: Path) -> None:
    path = tmp_path / "nbest.jsonl"
    path.write_text('{"id": "u0", "nbest": ["a x", {"text": "a b"}]}\n{"id": "u1", "nbest": ["x y", "c"]}\n')
    found = oracle(scored(["a b", "c d"], ["a x", "x y"]), read_nbest(path))
    assert (found["errors"], found["wer"], found["depth"]) == (1, 25.0, 2)


NBEST_FAULTS = {
    '{"id": "a"}': "the list `nbest` of `a` is missing or empty",
    '{"id": "a", "nbest": []}': "the list `nbest` of `a` is missing or empty",
    "x": "not valid JSON",
    '{"id": "a", "nbest": [1]}': "a candidate of `a` has no text",
    "[]": "the field `id` is missing",
    '{"id": "z", "nbest": ["b"]}': "the id `z` occurs twice",
    '{"id": "a", "nbest": [{"text": "b", "rank": 1}, {"text": "c", "rank": 3}]}': "`a` are 1, 3, not 1 to 2",
    '{"id": "a", "nbest": [{"text": "b", "rank": 1}, {"text": "c"}]}': "the ranks of `a` are 1, not 1 to 2",
}


@pytest.mark.parametrize("line", NBEST_FAULTS)
def test_faults_of_nbest_files_are_named_with_their_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "nbest.jsonl"
    path.write_text('{"id": "z", "nbest": ["a"]}\n' + line + "\n{\n")
    with pytest.raises(SpeechkitError, match="2 lines are no n-best lists") as caught:
        read_nbest(path)
    assert caught.value.where[0].startswith(f"{path}:2  ") and NBEST_FAULTS[line] in caught.value.where[0]
    assert f"{path}:3" in caught.value.where[1]


def test_candidates_are_sorted_by_rank_and_lists_of_nobody_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "nbest.jsonl"
    path.write_text('{"id": "u0", "nbest": [{"text": "a x", "rank": 2}, {"text": "a", "rank": 1}]}\n')
    found = read_nbest(path)
    assert found == {"u0": ["a", "a x"]}
    path.write_text("\n")
    with pytest.raises(SpeechkitError, match="holds no n-best lists"):
        read_nbest(path)
    assert oracle(scored(["a b"], ["a x"]), {**found, "u9": ["z"]}, source="n")["ci"]["wer"] == [50.0, 50.0]
