"""The keys of the JSON results are written down in docs/scores.md, and the other way round."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from source_code import REPO

Run = Callable[..., Any]
DOCUMENT = (REPO / "docs" / "scores.md").read_text(encoding="utf-8")
FREE = {"groups", "counts", "metrics", "tests"}  # their keys are values of fields, flags, metrics, tests


def keys(value: Any, *, is_free: bool = False) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from keys(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if not is_free:
                yield key
            yield from keys(item, is_free=key in FREE)


def written(title: str) -> set[str]:
    part = DOCUMENT.split(f"## `{title}`\n")[1].split("\n## ")[0]
    return set(re.findall(r"`([a-z_0-9]+)`", part))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "ref.jsonl").write_text(
        "".join(f'{{"id": "a-{k}", "text": "one two {k}", "speaker": "s{k % 2}", "duration": 0.2}}\n' for k in range(9))
    )
    (tmp_path / "hyp.jsonl").write_text(
        "".join(f'{{"id": "a-{k}", "text": "one tea {k}{" tea" * 9 * (k == 3)}"}}\n' for k in range(9))
    )
    (tmp_path / "words").write_text("two\n")
    (tmp_path / "train.txt").write_text("one two 1\n")
    (tmp_path / "nbest").write_text("".join(f'{{"id": "a-{k}", "nbest": ["one two {k}"]}}\n' for k in range(9)))
    return tmp_path


def result(run_speechkit: Run, folder: Path, *command: object) -> Any:
    done = run_speechkit("score", *command, "--json", folder / "out.json")
    assert done.exit_code == 0, done.stderr
    return json.loads((folder / "out.json").read_text())


def test_keys_of_wer(run_speechkit: Run, folder: Path) -> None:
    options = ["--by", "speaker", "--words", folder / "words", "--nbest", folder / "nbest"]
    options += ["--train-text", folder / "train.txt"]
    found = result(run_speechkit, folder, "wer", folder / "ref.jsonl", folder / "hyp.jsonl", *options)
    groups = found["groups"]
    found["groups"] = {}
    assert set(keys(found)) | set(keys(list(groups["speaker"].values()))) <= written("score wer")
    assert set(keys(found["lists"])) == {*found["lists"], "ref", "hyp", "count", "word"}
    for name in ("words", "oracle", "lists", "flags", "seen", "unseen", "parrot_ci"):
        assert found[name], name
    assert set(found["flags"]["counts"]) <= {"loop", "insertions", "words_per_second", "silent"} <= written("score wer")


def test_keys_of_compare(run_speechkit: Run, folder: Path) -> None:
    hyps = [folder / "hyp.jsonl", folder / "ref.jsonl"]
    found = result(run_speechkit, folder, "compare", folder / "ref.jsonl", *hyps, "--by", "speaker")
    known = written("score compare")
    assert set(keys(found)) <= known
    for test in found["pairs"][0]["tests"].values():
        assert set(test) <= known and {"unit", "n", "effect", "interval", "level", "p", "p_holm"} <= set(test)


def test_keys_of_multi(run_speechkit: Run, tmp_path: Path) -> None:
    pytest.importorskip("meeteval", reason="the extra meeteval is not installed; it is built with a C++ compiler")
    (tmp_path / "r.stm").write_text("s 1 anna 0 2 one two\nt 1 bob 0 1 three\n")
    (tmp_path / "h.stm").write_text("s 1 x 0 2 one too\n")
    found = result(run_speechkit, tmp_path, "multi", tmp_path / "r.stm", tmp_path / "h.stm", "--missing", "delete")
    assert set(keys(found)) <= written("score multi")
