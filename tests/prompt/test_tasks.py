"""Tasks: what a YAML file may say, which labels there are, which utterances count."""

from __future__ import annotations

from pathlib import Path

import pytest
from prompt_corpus import WORDS, write_source

from speechkit.data.store import load_cuts, save_cuts
from speechkit.errors import ConfigError, SpeechkitError
from speechkit.log import log_to
from speechkit.prompt.config import TaskConfig
from speechkit.prompt.examples import Row, draw_shots, encode_rows, read_rows
from speechkit.prompt.tasks import Task, load_task, make_task, split_value, task_of_json
from speechkit.units.unit_file import load_units


def _config(**fields: object) -> TaskConfig:
    return TaskConfig.model_validate({"name": "t", "label": "first", **fields})


def _rows(*values: tuple[str, ...]) -> list[Row]:
    return [Row(f"u{number}", (1, 2), own) for number, own in enumerate(values)]


def _task(config: TaskConfig, rows: list[Row]) -> Task:
    return make_task(config, [row.values for row in rows], ids=[row.utt_id for row in rows])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("label: first\n", "`name` is missing"),
        ("name: t\nlabl: first\n", "unknown key `labl`, did you mean `label`"),
        ("name: t\nlabel: a\nabsent: none\n", "`absent` is a label of slots"),
        ("name: t\nlabel: [a, b]\n", "a task of kind classification has one `label`, not 2"),
        ("name: t\nkind: slots\nlabel: [a, b]\nlabels: [x]\n", "the labels of slots are those of the training data"),
        ("name: t\nlabel: a\nlabels: [x, x]\n", "`labels` holds a label twice"),
        ("name: ../t\nlabel: a\n", "`name`"),
        ("name: t\nlabel: a\nverbalizer: frequency\n", "`verbalizer`"),
    ],
)
def test_a_wrong_task_is_told_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "task.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_task(path)
    assert said in str(caught.value) and "task.yaml:" in str(caught.value)


def test_labels_are_those_of_the_training_data_in_order() -> None:
    task = _task(_config(), _rows(("no",), ("yes",), ("no",)))
    assert task.labels == ("no", "yes") and task.num_outputs == 2
    assert task.encode(("yes",)) == (1,) and task.encode(("maybe",)) is None
    assert task_of_json(task.as_json()) == task


def test_slots_have_labels_of_their_own_even_of_the_same_name() -> None:
    config = _config(kind="slots", label=["act", "place"])
    task = _task(config, _rows(("on", "none"), ("none", "hall"), ("off", "hall")))
    assert task.labels == ("none", "off", "on", "hall", "none")
    assert task.encode(("none", "none")) == (0, 4)
    assert list(task.allowed(0)) == [0, 1, 2] and list(task.allowed(1)) == [3, 4]
    assert task.values((0, 4)) == ("none", "none")


def test_a_sequence_is_words_or_characters_and_has_an_end() -> None:
    words, chars = _config(kind="sequence", label="text"), _config(kind="sequence", label="text", token="char")
    assert split_value(words, " one  two ") == ("one", "two")
    assert split_value(chars, "ab  c") == ("a", "b", " ", "c")
    task = _task(chars, _rows(("a", "b", " ", "c")))
    assert task.end_label == 4 and task.num_outputs == 5
    assert task.text(task.values((1, 2, 4))) == "ab"
    assert _task(words, _rows(("one", "two"))).text(("one", "two")) == "one two"


def test_a_label_that_is_not_listed_and_one_never_seen_are_told() -> None:
    rows = _rows(("yes",), ("no",), ("maybe",))
    with pytest.raises(SpeechkitError, match="1 training utterance with labels that `labels` does not list") as caught:
        _task(_config(labels=["yes", "no"]), rows)
    assert caught.value.where == ["u2  maybe"]
    with pytest.raises(SpeechkitError, match="1 label without a training utterance") as caught:
        _task(_config(labels=["yes", "no", "maybe", "never"]), rows)
    assert caught.value.where == ["never"]


def test_one_label_is_no_task() -> None:
    with pytest.raises(SpeechkitError, match="fewer than two labels"):
        _task(_config(), _rows(("yes",), ("yes",)))


def test_rows_have_the_fields_of_the_manifest(tmp_path: Path) -> None:
    source = write_source(tmp_path, 5, prefix="a")
    units = load_units(source / "units")
    rows = read_rows(units, source / "cuts", _config(kind="slots", label=["first", "count", "speaker"]))
    assert [row.utt_id for row in rows] == [f"a-{number}" for number in range(5)]
    for row in rows:
        first, count, speaker = row.values
        assert row.units[:4] == WORDS[first] and len(row.units) == 4 * int(count) and speaker == "a"
    texts = read_rows(units, source / "cuts", _config(kind="sequence", label="text"))
    assert [len(row.values) for row in texts] == [int(row.values[1]) for row in rows]


def test_utterances_without_a_value_are_counted_and_none_at_all_is_an_error(tmp_path: Path) -> None:
    source = write_source(tmp_path, 4, prefix="a")
    cuts = list(load_cuts(source / "cuts"))
    cuts[1].supervisions[0].custom = {"first": " "}
    del cuts[2].supervisions[0].custom["first"]
    save_cuts(cuts, source / "cuts" / "cuts.jsonl.gz")
    units = load_units(source / "units")
    with log_to(tmp_path / "log.txt"):
        rows = read_rows(units, source / "cuts", _config())
    assert [row.utt_id for row in rows] == ["a-0", "a-3"]
    assert "2 of 4 utterances have no value of `first`; left out: a-1 a-2" in (tmp_path / "log.txt").read_text()
    with pytest.raises(SpeechkitError, match=r"no utterance of .* has a value of `nothing`"):
        read_rows(units, source / "cuts", _config(label="nothing"))
    save_cuts(cuts[1:], source / "cuts" / "cuts.jsonl.gz")
    with pytest.raises(SpeechkitError, match="the manifest lacks 1 utterance of the units") as caught:
        read_rows(units, source / "cuts", _config())
    assert caught.value.where == ["a-0"]


def test_a_slot_that_an_utterance_lacks_may_have_a_label_of_its_own(tmp_path: Path) -> None:
    source = write_source(tmp_path, 3, prefix="a")
    cuts = list(load_cuts(source / "cuts"))
    first = cuts[0].supervisions[0].custom["first"]
    del cuts[0].supervisions[0].custom["count"]
    cuts[1].supervisions[0].custom = {}
    save_cuts(cuts, source / "cuts" / "cuts.jsonl.gz")
    units = load_units(source / "units")
    config = _config(kind="slots", label=["first", "count"], absent="none")
    assert {row.utt_id: row.values for row in read_rows(units, source / "cuts", config)}["a-0"] == (first, "none")
    assert [row.utt_id for row in read_rows(units, source / "cuts", config)] == ["a-0", "a-2"]  # a-1 has nothing
    without = _config(kind="slots", label=["first", "count"])
    assert [row.utt_id for row in read_rows(units, source / "cuts", without)] == ["a-2"]


def test_unknown_labels_are_kept_apart() -> None:
    task = _task(_config(), _rows(("no",), ("yes",)))
    examples, unknown = encode_rows(_rows(("yes",), ("maybe",)), task)
    assert [example.labels for example in examples] == [(1,)] and unknown == ["u1"]


def test_shots_are_drawn_by_seed_and_id_and_more_hold_fewer() -> None:
    rows = _rows(*[("yes",), ("no",)] * 10)
    task = _task(_config(), rows)
    two, five = (draw_shots(rows, task, shots, seed=1) for shots in (2, 5))
    assert [row.values for row in two].count(("yes",)) == 2 and len(two) == 4 and len(five) == 10
    assert {row.utt_id for row in two} < {row.utt_id for row in five}
    assert draw_shots(rows[::-1], task, 2, seed=1) == two[::-1]
    assert {row.utt_id for row in draw_shots(rows, task, 2, seed=2)} != {row.utt_id for row in two}
    assert draw_shots(rows, task, None, seed=1) == rows


def test_shots_of_sequences_are_utterances_and_small_classes_are_told(tmp_path: Path) -> None:
    rows = _rows(*[(word, "x") for word in "abcdef"])
    task = _task(_config(kind="sequence", label="text"), rows)
    assert len(draw_shots(rows, task, 3, seed=0)) == 3
    few = _rows(("yes",), ("no",), ("no",))
    with log_to(tmp_path / "log.txt"):
        assert len(draw_shots(few, _task(_config(), few), 2, seed=0)) == 3
    assert "1 of 2 classes have fewer than 2 training utterances" in (tmp_path / "log.txt").read_text()
