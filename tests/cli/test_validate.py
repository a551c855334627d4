"""`speechkit data validate` from the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from make import make_table, make_wav


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPEECHKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def make_corpus(folder: Path, *rows: str) -> Path:
    for i in range(2):
        make_wav(folder / f"{i}.wav", 0.5, frequency=300 + 100 * i)
    return make_table(folder / "manifest.tsv", "id path speaker text", *rows)


def test_a_sound_manifest_is_described_in_a_few_lines(run_speechkit: Callable[..., Any], tmp_path: Path) -> None:
    path = make_corpus(tmp_path / "in", "u1 0.wav ann one_two", "u2 1.wav bob three")
    done = run_speechkit("data", "validate", path)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == (
        f"{path}: tsv, 2 utterances, 0.00 h, 2 speakers\n\n"
        "note speaker-single (1): speakers with a single utterance\n"
        f"  {path}  -  2 of 2 speakers: ann bob\n\n"
        "0 faults, 1 note\n"
    )


def test_faults_have_place_cause_and_cure_and_exit_code_3(run_speechkit: Callable[..., Any], tmp_path: Path) -> None:
    path = make_corpus(tmp_path / "in", "u1 0.wav ann one_two", "u2 2.wav ann three")
    done = run_speechkit("data", "validate", path)
    assert done.exit_code == 3
    assert (
        "fault audio-missing (1): the audio file does not exist\n"
        f"  {path}:3  u2  {tmp_path / 'in' / '2.wav'}\n"
        "  cure: copy the file again, or drop the utterance\n"
    ) in done.stdout
    assert done.stderr == (
        "error: 1 fault of 1 kind\n"
        "  1 x audio-missing: the audio file does not exist\n"
        "hint: `--fix DIR` leaves out 1 of 2 utterances and lines\n"
    )


def test_json_and_list_hold_all_and_the_table_ten(run_speechkit: Callable[..., Any], tmp_path: Path) -> None:
    rows = [f"u{i:02d} missing{i}.wav ann one" for i in range(25)]
    path = make_corpus(tmp_path / "in", *rows)
    done = run_speechkit("data", "validate", path, "--json", tmp_path / "r.json", "--list", tmp_path / "r.tsv")
    assert done.stdout.count("missing") - done.stdout.count("audio-missing") == 10
    assert "... and 15 more" in done.stdout
    result = orjson.loads((tmp_path / "r.json").read_bytes())
    assert list(result) == ["schema_version", "num_faults", "num_notes", "sets", "kinds", "fix"]
    (kind,) = [kind for kind in result["kinds"] if kind["severity"] == "fault"]
    assert (kind["kind"], kind["group"], kind["fix"], kind["count"]) == ("audio-missing", "audio", "quarantined", 25)
    assert kind["items"][24] == {
        "set": "in",
        "where": f"{path}:26",
        "id": "u24",
        "detail": str(tmp_path / "in" / "missing24.wav"),
    }
    assert result["sets"] == [
        {
            "name": "in",
            "path": str(path),
            "format": "tsv",
            "num_utterances": 25,
            "num_speakers": 1,
            "hours": None,
            "sampling_rates": {},
        }
    ]
    lines = (tmp_path / "r.tsv").read_text().splitlines()
    assert lines[0] == "severity\tkind\twhere\tid\tdetail"
    assert sum(line.startswith("fault\taudio-missing\t") for line in lines) == 25


def test_groups_can_be_left_out_and_overlap_allowed(run_speechkit: Callable[..., Any], tmp_path: Path) -> None:
    first = make_corpus(tmp_path / "a", "u1 0.wav ann one", "u2 9.wav ann two")
    second = make_table(tmp_path / "b" / "manifest.tsv", "id path speaker text", "v1 7.wav ann one")
    make_wav(tmp_path / "b" / "7.wav", 0.4)
    everything = run_speechkit("data", "validate", first, second)
    assert "3 faults of 3 kinds" in everything.stderr
    some = run_speechkit("data", "validate", first, second, "--skip", "audio", "--may-share", "speaker,text")
    assert some.exit_code == 0
    assert "note overlap-text" in some.stdout and "note overlap-speaker" in some.stdout
    wrong = run_speechkit("data", "validate", first, "--skip", "sound")
    assert wrong.exit_code == 2 and "skip" in wrong.stderr


def test_no_cache_leaves_none(run_speechkit: Callable[..., Any], tmp_path: Path, cache: Path) -> None:
    path = make_corpus(tmp_path / "in", "u1 0.wav ann one", "u2 1.wav ann two")
    assert run_speechkit("data", "validate", path, "--no-cache").exit_code == 0
    assert not cache.exists()
    assert run_speechkit("data", "validate", path).exit_code == 0
    assert cache.exists()


def test_the_configuration_can_be_shown_and_set(run_speechkit: Callable[..., Any], tmp_path: Path) -> None:
    shown = run_speechkit("data", "validate", tmp_path, "--show-config", "--set", "subsampling=8")
    assert shown.exit_code == 0 and "subsampling: 8" in shown.stdout
    path = make_corpus(tmp_path / "in", "u1 0.wav ann one", "u2 1.wav ann two")
    assert run_speechkit("data", "validate", path, "--set", "min_seconds=0.6").exit_code == 3
    assert run_speechkit("data", "validate", tmp_path / "nowhere").exit_code == 1
