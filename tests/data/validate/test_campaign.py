"""Faults planted in a corpus of 30 utterances: alone and all together, each is named; the clean corpus is silent."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from planted import FROM_RESEARCH, OF_OUR_OWN, Planted
from planted_corpus import DEV, TEST, TRAIN, Corpus

from speechkit.data.validate.config import ValidateConfig
from speechkit.data.validate.report import Report, as_json
from speechkit.data.validate.run import validate

ALL = (*FROM_RESEARCH, *OF_OUR_OWN)
NO_CACHE = ValidateConfig(cache=False)


def check(corpus: Corpus) -> Report:
    return validate(corpus.write(), NO_CACHE)


def is_named(planted: Planted, report: Report) -> bool:
    """A finding of the kind, with the id, at a line of the file that shows the id."""
    for finding in report.faults:
        file, _, line = finding.where.partition(":")
        if (finding.kind, Path(file).name, finding.utt_id) != (planted.kind, planted.file, planted.utt_id):
            continue
        if planted.utt_id == "-" or not line or file.endswith(".gz"):
            return True
        return planted.utt_id.encode() in Path(file).read_bytes().split(b"\n")[int(line) - 1]
    return False


def test_a_clean_corpus_has_neither_faults_nor_notes(tmp_path: Path) -> None:
    report = check(Corpus(tmp_path / "clean"))
    assert sum(map(len, report.sets)) == TRAIN + DEV + TEST == 30
    assert report.findings == []


def test_there_are_forty_faults_to_plant() -> None:
    assert (len(FROM_RESEARCH), len(OF_OUR_OWN)) == (23, 17)
    assert len({planted.name for planted in ALL}) == 40


@pytest.mark.parametrize("planted", ALL, ids=lambda planted: planted.name.replace(" ", "-"))
def test_a_fault_alone_is_named_and_nothing_else_is(planted: Planted, tmp_path: Path) -> None:
    corpus = Corpus(tmp_path / "corpus")
    planted.plant(corpus)
    report = check(corpus)
    assert is_named(planted, report), report.findings
    assert {finding.kind for finding in report.faults} == {planted.kind, *planted.also}


def test_forty_faults_at_once_are_all_named_in_one_pass(tmp_path: Path) -> None:
    corpus = Corpus(tmp_path / "corpus")
    for planted in ALL:
        planted.plant(corpus)
    report = check(corpus)
    missed = [planted.name for planted in ALL if not is_named(planted, report)]
    assert missed == []
    expected = Counter(planted.kind for planted in ALL) + Counter(kind for planted in ALL for kind in planted.also)
    expected["text-of-another-prompt"] += 1  # a swap has two sides
    assert Counter(finding.kind for finding in report.faults) == expected


def test_the_command_names_all_forty_and_leaves_with_3(
    run_speechkit: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPEECHKIT_CACHE", str(tmp_path / "cache"))
    corpus = Corpus(tmp_path / "corpus")
    for planted in ALL:
        planted.plant(corpus)
    manifests = corpus.write()
    done = run_speechkit("data", "validate", *manifests, "--json", tmp_path / "1.json", "--list", tmp_path / "1.tsv")
    assert done.exit_code == 3
    for planted in ALL:
        assert f"fault {planted.kind} (" in done.stdout
    result = orjson.loads((tmp_path / "1.json").read_bytes())
    assert result["num_faults"] == sum(k["count"] for k in result["kinds"] if k["severity"] == "fault") >= 40
    assert len((tmp_path / "1.tsv").read_text().splitlines()) == 1 + result["num_faults"] + result["num_notes"]
    again = run_speechkit("data", "validate", *manifests, "--nj", 3, "--json", tmp_path / "3.json")
    assert (again.stdout, again.stderr) == (done.stdout, done.stderr)
    assert (tmp_path / "3.json").read_bytes() == (tmp_path / "1.json").read_bytes()


_IN_A_FRESH_PROCESS = """
import sys
from pathlib import Path
import orjson
from speechkit.data.validate.config import ValidateConfig
from speechkit.data.validate.report import as_json
from speechkit.data.validate.run import validate
result = as_json(validate([Path(p) for p in sys.argv[1:]], ValidateConfig(cache=False)))
heavy = {"torch", "lhotse", "numba", "scipy"} & set(sys.modules)
assert not heavy, heavy
sys.stdout.buffer.write(orjson.dumps(result))
"""


def test_the_answer_does_not_depend_on_the_hashes_of_a_process_and_needs_no_heavy_package(tmp_path: Path) -> None:
    corpus = Corpus(tmp_path / "corpus")
    for planted in ALL:
        planted.plant(corpus)
    manifests = corpus.write()
    command = [sys.executable, "-c", _IN_A_FRESH_PROCESS, *map(str, manifests)]
    there = subprocess.run(command, capture_output=True, check=True).stdout  # Python draws new hashes
    assert orjson.loads(there) == as_json(validate(manifests, NO_CACHE))
