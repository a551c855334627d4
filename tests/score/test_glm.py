"""NIST's mapping files: the rules one by one, and equality with NIST's own filter."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest
from nist_tools import nist_tool

from speechkit.errors import SpeechkitError
from speechkit.score.glm import Glm, is_glm, read_glm
from speechkit.score.normalize import read_normalizer

RULES = """;; made for this test
* name "made"
* copy_no_hit = 'T'
* case_sensitive = 'F'
FALKNER => FAULKNER / [WILLIAM ] __  ;; the writer
BINYAMIN => BENJAMIN / __ [ NETANYAHU]
GADDAFI => QADDHAFI
UM => %HESITATION / [ ] __ [ ]
A LOT => ALOT / [ ] __ [ ]
[HE'S] => [{HE IS / HE HAS}] / [ ] __ [ ]
[X ] => ["]
CO => KO / [BA]__ [N]
CO => GO / A __ N
"ES " => [S ]
"""


def made() -> Glm:
    return read_glm(RULES.splitlines(), "made")


CASES = {
    "left context": ("FALKNER WILLIAM FALKNER", "FALKNER WILLIAM FAULKNER"),
    "right context": ("BINYAMIN BINYAMIN NETANYAHU", "BINYAMIN BENJAMIN NETANYAHU"),
    "inside a word": ("GADDAFIS", "QADDHAFIS"),
    "whole word": ("UM UMM THUM UM", "%HESITATION UMM THUM %HESITATION"),
    "two words": ("A LOT ALOT BA LOT", "ALOT ALOT BA LOT"),
    "alternatives": ("HE'S SHE'S", "{HE IS / HE HAS} SHE'S"),
    "any case": ("um Gaddafi's", "%HESITATION QADDHAFI's"),
    "optional word": ("ok (um) (a lot) no", "ok (%HESITATION) (ALOT) no"),
    "several optional words": ("ok (so what) no", "ok (so) (what) no"),
    "context without space": ("BACON ACON", "BAKON AGON"),
    "no word": ("", ""),
}


@pytest.mark.parametrize("case", CASES)
def test_a_rule_rewrites_what_fits(case: str) -> None:
    text, expected = CASES[case]
    assert made().text(text) == expected


def test_the_first_rule_of_the_file_wins_and_contexts_are_those_before_any_rule() -> None:
    glm = read_glm([";;", "AB => X", "ABC => Y", "B => Z / [A] __", "A => Q"], "x")
    assert glm.text("ABC AC B") == "XC QC B"
    assert read_glm([";;", "A => Q", "B => Z / [A] __"], "x").text("AB") == "QZ"


def test_rules_can_be_meant_for_one_format_or_side() -> None:
    lines = [";;", "A => B / [ ] __ [ ]", ';; INPUT_DEPENDENT_APPLICATION = "ctm|hyp"', "C => {C / D} / [ ] __ [ ]"]
    glm = read_glm(lines, "x")
    assert glm.has_alternatives and not glm.for_input("stm", "ref").has_alternatives
    assert glm.for_input("stm", "ref").text("A C") == "B C"
    assert glm.for_input("txt", "hyp").text("A C") == glm.for_input("ctm", "ref").text("A C") == "B {C / D}"


def test_files_of_nist_are_known_by_name_or_header(tmp_path: Path) -> None:
    assert is_glm(["a => b"], "en.glm") and is_glm([";; x", "* FORMAT = 'NIST1'"], "rules")
    assert not is_glm(["a => b"], "rules")
    (tmp_path / "made").write_text(RULES)
    assert read_normalizer(tmp_path / "made", "ascii").text("UM, Um") == "um, %hesitation"


def test_directives_may_stand_in_a_file_of_nist(tmp_path: Path) -> None:
    (tmp_path / "x.glm").write_text(";;\n@lower\n@split-hyphens\nUH-HUH => YES / [ ] __ [ ]\n")
    assert read_normalizer(tmp_path / "x.glm").text("Uh-Huh Re-do part-") == "yes re do part-"


def test_lines_that_are_no_rules_are_named() -> None:
    with pytest.raises(SpeechkitError, match="3 lines are no rules of a GLM") as caught:
        read_glm([";; x", "A B", "A => B", " => ", ';; INPUT_DEPENDENT_APPLICATION = "("'], "x.glm")
    assert [place.split()[0] for place in caught.value.where] == ["x.glm:2", "x.glm:4", "x.glm:5"]


@pytest.mark.parametrize("source", ["nist", "made"])
def test_random_texts_are_rewritten_as_by_nists_filter(corpus_root: Path, tmp_path: Path, source: str) -> None:
    program = nist_tool("rfilter1")
    text = (corpus_root / "scoring" / "sctk" / "example.glm").read_text() if source == "nist" else RULES
    (tmp_path / "x.glm").write_text(text)
    glm = read_glm(text.splitlines(), "x")
    chance = random.Random(5)
    parts = [p for r in glm.rules for p in (r.source, r.target, r.left + r.source + r.right) if not set(p) & set("()/")]
    lines = [" ".join(chance.choice(parts) + chance.choice(["", "", "S"]) for _ in range(9)) for _ in range(2000)]
    lines = [" ".join(line.split()) for line in lines]
    padded = "".join(f" {line} \n" for line in lines)
    done = subprocess.run([program, str(tmp_path / "x.glm")], input=padded, capture_output=True, text=True, check=True)
    expected = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert [glm.text(line) for line in lines] == expected
    assert sum(a != b for a, b in zip(lines, expected, strict=True)) > 1000
