"""A cleaned manifest: what goes, what stays, what is rewritten, and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from audit_rows import audit_row, mark, write_audit, write_cuts, write_rows

from speechkit.audit.apply import clean_span, run_apply
from speechkit.audit.config_verdict import ApplyConfig
from speechkit.audit.verdict import read_verdicts
from speechkit.data.store import load_cuts, text_of
from speechkit.errors import SpeechkitError

WORDS = "one two three four five six"


def rows() -> list[dict[str, Any]]:
    sure = {"suggestion": "one two nine four five six", "suggestion_log_odds": 12.0}
    return [
        mark(audit_row("middle", 1, WORDS, p_error=0.9, **sure), words={2: "nine"}),
        mark(audit_row("end", 2, WORDS, p_error=0.8), words={5: ""}),
        mark(audit_row("start", 3, WORDS, p_error=0.7), gaps=[0]),
        audit_row("nowhere", 4, WORDS, p_error=0.6),
        audit_row("good", 5, WORDS, p_error=0.1),
    ]


class Site:
    """An audit with its cuts, and what apply made of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.audit = write_audit(folder / "audit", rows())
        self.cuts = write_cuts(folder, rows())

    def apply(self, *decisions: dict[str, Any], **config: Any) -> dict[str, Any]:
        path = write_rows(self.folder / "decisions.jsonl", decisions) if decisions else None
        out = self.folder / "out"
        run_apply(self.cuts, out, ApplyConfig(**config), audit=self.audit, decisions=path, force=True)
        return {cut.id: cut for cut in load_cuts(out)}

    def listed(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "out" / name).read_text().splitlines()]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def custom(cut: Any) -> dict[str, Any]:
    found: dict[str, Any] = cut.supervisions[0].custom
    return found


def test_drop_removes_what_is_suspicious_unless_a_person_says_it_is_right(site: Site) -> None:
    assert set(site.apply(policy="drop")) == {"good"}
    kept = site.apply({"id": "end", "decision": "right"}, {"id": "good", "decision": "wrong"}, policy="drop")
    assert set(kept) == {"end"}
    assert custom(kept["end"])["audit"] == {"p_error": 0.0, "policy": "drop", "decision": "right"}
    removed = {row["id"]: row["reason"] for row in site.listed("removed.jsonl")}
    assert removed == {"middle": "suspicious", "start": "suspicious", "nowhere": "suspicious", "good": "decided wrong"}


def test_a_threshold_of_the_user_replaces_that_of_the_audit(site: Site) -> None:
    assert set(site.apply(policy="drop", threshold=0.85)) == {"end", "start", "nowhere", "good"}


def test_unsure_leaves_the_matter_to_the_audit(site: Site) -> None:
    kept = site.apply({"id": "good", "decision": "unsure"}, {"id": "end", "decision": "unsure"}, policy="drop")
    assert set(kept) == {"good"}


def test_weights_are_one_minus_the_probability_for_utterances_and_words(site: Site) -> None:
    kept = site.apply({"id": "end", "decision": "right"}, {"id": "good", "decision": "wrong"}, policy="weight")
    assert len(kept) == 5
    weights = {name: custom(cut)["weight"] for name, cut in kept.items()}
    assert weights == pytest.approx({"middle": 0.1, "end": 1.0, "start": 0.3, "nowhere": 0.4, "good": 0.0})
    assert custom(kept["middle"])["word_weights"] == pytest.approx([0.99, 0.99, 0.1, 0.99, 0.99, 0.99])
    assert custom(kept["good"])["word_weights"] == [0.0] * 6
    assert custom(kept["end"])["word_weights"] == [1.0] * 6
    assert text_of(kept["middle"]) == WORDS


def test_nothing_is_corrected_without_a_person_or_a_limit(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    assert {text_of(cut) for cut in site.apply(policy="correct").values()} == {WORDS}
    assert site.listed("changed.jsonl") == []


def test_corrections_come_from_decisions_or_from_sure_suggestions(site: Site) -> None:
    decisions = [{"id": "end", "decision": "wrong", "text": " one  two "}, {"id": "start", "decision": "wrong"}]
    kept = site.apply(*decisions, policy="correct", accept_above=10.0)
    assert set(kept) == {"middle", "end", "nowhere", "good"}
    assert text_of(kept["middle"]) == "one two nine four five six" and text_of(kept["end"]) == "one two"
    assert custom(kept["middle"])["audit"]["before"] == WORDS
    assert custom(kept["middle"])["audit"]["source"] == "by suggestion"
    changed = {row["id"]: (row["reason"], row["after"]) for row in site.listed("changed.jsonl")}
    assert changed == {
        "middle": ("by suggestion", "one two nine four five six"),
        "end": ("by decision", "one two"),
    }
    assert [row["reason"] for row in site.listed("removed.jsonl")] == ["decided wrong, without a correction"]
    assert text_of(site.apply(policy="correct", accept_above=12.5)["middle"]) == WORDS
    right = {"id": "middle", "decision": "right"}
    assert text_of(site.apply(right, policy="correct", accept_above=0.0)["middle"]) == WORDS


def test_trim_cuts_the_side_with_the_fault_away(site: Site) -> None:
    kept = site.apply(policy="trim", margin_ms=50)
    assert set(kept) == {"end", "start", "good", "middle"}
    end, start, middle = kept["end"], kept["start"], kept["middle"]
    assert text_of(end) == "one two three four five" and end.start == 0.0
    assert end.duration == pytest.approx(1.25)  # the margin ends where the fault begins
    assert text_of(start) == WORDS and start.duration == 1.5  # nothing can lie before a word at 0 s
    assert text_of(middle) == "four five six" and middle.start == pytest.approx(0.75)
    assert middle.supervisions[0].duration == middle.duration == pytest.approx(0.75)
    assert middle.load_audio().shape == (1, 6000)
    assert custom(middle)["audit"]["before"] == WORDS and custom(middle)["audit"]["start_seconds"] == 0.75
    assert {row["id"]: row["reason"] for row in site.listed("removed.jsonl")} == {
        "nowhere": "suspicious, no place of the fault"
    }
    assert set(site.apply(policy="trim", min_kept=0.6)) == {"end", "start", "good"}


def test_a_missing_first_word_takes_its_audio_with_it(tmp_path: Path) -> None:
    row = mark(audit_row("a", 1, "one two three", p_error=0.9), gaps=[0])
    for word in row["words"]:
        word["start"], word["end"] = word["start"] + 0.5, word["end"] + 0.5
    cuts = write_cuts(tmp_path, [row | {"words": row["words"] * 2}])
    audit = write_audit(tmp_path / "audit", [row])
    run_apply(cuts, tmp_path / "out", ApplyConfig(policy="trim"), audit=audit)
    (cut,) = load_cuts(tmp_path / "out")
    assert text_of(cut) == "one two three" and cut.start == pytest.approx(0.4) and cut.end == pytest.approx(1.5)


@pytest.mark.parametrize(
    "words, gaps, span",
    [((), (), (0, 6)), ((0,), (), (1, 6)), ((5,), (), (0, 5)), ((2,), (), (3, 6)), ((), (0, 6), (0, 6)),
     ((), (4,), (0, 4)), ((1,), (3,), (3, 6)), (range(6), (), (0, 0))],
)  # fmt: skip
def test_the_longest_run_without_fault_is_kept(
    tmp_path: Path, words: tuple[int, ...], gaps: tuple[int, ...], span: tuple[int, int]
) -> None:
    row = mark(audit_row("a", 1, WORDS), words=dict.fromkeys(words, ""), gaps=gaps)
    (verdict,) = read_verdicts(write_audit(tmp_path, [row]))
    assert clean_span(verdict) == span


def test_cuts_without_an_audit_stay_and_other_texts_are_an_error(site: Site) -> None:
    write_rows(site.audit / "audit.jsonl", rows()[:1])
    assert len(site.apply(policy="drop")) == 4
    write_rows(site.audit / "audit.jsonl", [rows()[0], audit_row("good", 2, "another text")])
    with pytest.raises(SpeechkitError, match="1 transcript changed since the audit"):
        site.apply(policy="drop")
    write_rows(site.audit / "audit.jsonl", [audit_row("nobody", 1, "one")])
    with pytest.raises(SpeechkitError, match="no cut is in the audit"):
        site.apply(policy="drop")
    write_rows(site.audit / "audit.jsonl", rows()[:4])
    with pytest.raises(SpeechkitError, match="no utterance would be left"):
        write_cuts(site.folder, rows()[:4])
        site.apply(policy="drop")


@pytest.mark.parametrize("policy", ["weight", "trim"])
def test_what_a_person_wrote_is_taken_whatever_the_policy(site: Site, policy: str) -> None:
    cuts = site.apply({"id": "middle", "decision": "wrong", "text": "one two nine"}, policy=policy)
    assert text_of(cuts["middle"]) == "one two nine"
    assert custom(cuts["middle"]).get("weight", 1.0) == 1.0
    assert custom(cuts["middle"])["audit"]["source"] == "by decision"
    assert next((row["id"], row["after"]) for row in site.listed("changed.jsonl")) == ("middle", "one two nine")


def test_rows_without_a_decision_are_counted(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.apply({"id": "middle", "decision": None}, {"id": "good", "decision": "wrong"}, policy="weight")
    assert "1 of 2 rows of" in caplog.text


def test_the_folder_of_a_whole_run_is_an_audit(site: Site) -> None:
    inside = write_audit(site.folder / "run" / "audit", rows())
    assert read_verdicts(site.folder / "run") == read_verdicts(inside)
