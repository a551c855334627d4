"""What is made in parts is what is made at once, byte by byte, for any number of parts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from paste_corpus import make_inventory, make_paste_corpus
from tone_corpus import CONFIG_YAML, make_tone_corpus

from speechkit.config import load_config
from speechkit.errors import ConfigError
from speechkit.jobs.shard import Shard, parse_sharing
from speechkit.train import loop
from speechkit.train.config import TrainConfig

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def decode_words(tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    place = tmp_path_factory.mktemp("decode")
    make_tone_corpus(place / "tones", num_utterances=8)
    (place / "conf.yaml").write_text(CONFIG_YAML)
    config = load_config(TrainConfig, place / "conf.yaml", ["optim.num_steps=6"])
    loop.run(config, train=[place / "tones"], dev=None, out=place / "ctc")
    # small batches, so that there are some to share
    return ["decode", place / "tones", "--exp", place / "ctc", "--set", "batch.max_utterances=2"]


@pytest.fixture(scope="module")
def render_words(tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    place = tmp_path_factory.mktemp("render")
    make_inventory(make_paste_corpus(place / "corpus"), place / "inv")
    from speechkit.cutpaste.config import PlanConfig
    from speechkit.cutpaste.plan import TextFiles, run_plan

    run_plan(load_config(PlanConfig, None, ["num=12"]), inventory=place / "inv", out=place / "plan", files=TextFiles())
    return ["cutpaste", "render", place / "plan"]


@pytest.fixture
def synth_words() -> list[object]:
    pytest.importorskip("espeakng_loader", reason="pip install -e '.[synth]'")
    return ["data", "synth", "--speakers", 2, "--sentences", 3, "--noise"]


def tree(folder: Path) -> dict[str, bytes]:
    """Every file but those that name times, in bytes."""
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for name in ("run.json", "log.txt"):
        del files[name]
    if "hyp.jsonl" in files:
        files["summary.json"] = json.dumps({**json.loads(files["summary.json"]), "cpu_seconds": 0}).encode()
    return files


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["decode_words", "render_words", "synth_words"])
def test_the_union_of_any_number_of_parts_is_the_whole(
    kind: str, request: pytest.FixtureRequest, run_speechkit: Run, tmp_path: Path
) -> None:
    words = request.getfixturevalue(kind)
    whole = tmp_path / "whole"
    assert run_speechkit(*words, "--out", whole).exit_code == 0
    for count in (1, 2, 5):
        out = tmp_path / f"of-{count}"
        for index in range(count, 1, -1):  # the first is left to the merge
            done = run_speechkit(*words, "--out", out, "--shard", f"{index}/{count}")
            assert done.exit_code == 0, done.stderr
            assert not out.exists()
        done = run_speechkit(*words, "--out", out, "--merge", count)
        assert (done.exit_code, "up to date" in done.stdout) == (0, False), done.stderr
        assert tree(out) == tree(whole)
        assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("of-")) == sorted(
            f"of-{n}" for n in (1, 2, 5) if n <= count
        )
        again = run_speechkit(*words, "--out", out)  # it is the same artifact
        assert "up to date" in again.stdout


def test_a_part_is_made_once(run_speechkit: Run, render_words: list[object], tmp_path: Path) -> None:
    words = [*render_words, "--out", tmp_path / "out", "--shard", "2/3"]
    first, second = run_speechkit(*words), run_speechkit(*words)
    assert first.stdout == f"{tmp_path}/out.shards/2-of-3\n"
    assert second.stdout == f"up to date: {tmp_path}/out.shards/2-of-3\n"


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "1/0", "a/b", "1/2/3", "-1/2"])
def test_wrong_parts_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is no part"):
        parse_sharing(text, None)


def test_parts_and_the_whole_are_not_asked_for_at_once() -> None:
    with pytest.raises(ConfigError, match="--shard and --merge are given"):
        parse_sharing("1/2", 2)


def test_all_items_are_in_exactly_one_part() -> None:
    items = list(range(10))
    parts = [Shard(index, 3).take(items) for index in (1, 2, 3)]
    assert sorted(item for part in parts for item in part) == items
    assert [len(part) for part in parts] == [4, 3, 3]
