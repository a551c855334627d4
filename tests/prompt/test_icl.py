"""Episodes of in-context learning, their baselines and the command."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lm_folder import make_lm_folder, make_units_folder

from speechkit.config import build_config
from speechkit.errors import ConfigError, SpeechkitError
from speechkit.models.ulm import load_ulm
from speechkit.prompt.config_icl import IclConfig
from speechkit.prompt.examples import Row
from speechkit.prompt.icl import Answers, answers_of, measure, plain_model, svm_answers
from speechkit.prompt.icl_episodes import Demo, Episode, Pool, fit_length, make_pool

K = 20
TASK = {"name": "a", "label": "text", "units": "u", "cuts": "c"}
Run = Callable[..., Any]


def config_of(**fields: Any) -> IclConfig:
    tasks = {"warmup": [TASK], "evaluation": [{**TASK, "name": "b"}]}
    return build_config(IclConfig, {**tasks, "unit_len": 8, **fields})


def make_rows(num_classes: int = 5, per_class: int = 6) -> list[Row]:
    """Classes that a bag of units can tell apart."""
    return [
        Row(f"{label}-{take}", (label, label + 10, take % 3 + 6, label, label + 10), (f"c{label}",))
        for label in range(num_classes)
        for take in range(per_class)
    ]


def pool_of(**fields: Any) -> Pool:
    return make_pool(make_rows(), config_of(**fields), name="a", num_units=K)


def test_an_episode_depends_on_seed_task_stream_and_number_only() -> None:
    pool = pool_of()
    later = [pool.draw("x", number, "new") for number in range(5)]
    assert pool.draw("x", 3, "new") == later[3]
    assert make_pool(make_rows()[::-1], pool.config, name="a", num_units=K).draw("x", 3, "new") == later[3]
    others = [pool_of(seed=1).draw("x", 3, "new"), pool.draw("y", 3, "new"), pool.draw("x", 4, "new")]
    assert all(own.demos != later[3].demos for own in others)


@pytest.mark.parametrize(("classes", "demos"), [(2, 4), (3, 3), (4, 8)])
def test_classes_are_balanced_and_labels_are_drawn_anew(classes: int, demos: int) -> None:
    pool = pool_of(num_classes=classes, num_demos=demos)
    labels: Counter[int] = Counter()
    asked: Counter[int] = Counter()
    for number in range(60):
        episode = pool.draw("x", number, "new")
        assert Counter(Counter(demo.label for demo in episode.demos).values()) == {demos // classes: classes}
        spoken = {demo.label: demo.utt_id.split("-")[0] for demo in episode.demos}
        assert len(set(spoken.values())) == classes
        assert all(spoken[demo.label] == demo.utt_id.split("-")[0] for demo in episode.demos)
        assert spoken[episode.query.label] == episode.query.utt_id.split("-")[0]
        assert len({demo.utt_id for demo in episode.demos} | {episode.query.utt_id}) == demos + 1
        labels.update(episode.shown)
        asked[[demo.label for demo in episode.demos].index(episode.query.label)] += 1
    assert len(labels) > 0.8 * K
    assert len(asked) > 1  # the class that is asked for does not always stand first


@pytest.mark.parametrize("target", ["copy", "new", "both"])
def test_the_target_is_a_demonstration_or_a_new_utterance(target: str) -> None:
    pool = pool_of()
    copies = []
    for number in range(8):
        episode = pool.draw("x", number, target)  # type: ignore[arg-type]
        copies.append(episode.query in episode.demos)
    expected = {"copy": [True] * 8, "new": [False] * 8, "both": [True, True, False, False] * 2}
    assert copies == expected[target]


def test_units_are_cut_or_repeated_to_one_length() -> None:
    assert fit_length((1, 2, 3), 8) == (1, 2, 3, 1, 2, 3, 1, 2)
    assert fit_length((1, 2, 3), 2) == (1, 2)
    assert fit_length((1, 2, 3), 0) == (1, 2, 3)


def test_the_language_model_reads_units_separator_label_and_then_the_query() -> None:
    demos = (Demo("a", (1, 2), 7), Demo("b", (3,), 9))
    example = Episode("e", demos, Demo("c", (4, 5), 9)).example(99)
    assert example.units == (1, 2, 99, 7, 3, 99, 9, 4, 5)
    assert example.labels == (9,)


def test_numbers_say_what_was_right_and_what_was_shown() -> None:
    demos = (Demo("a", (1,), 7), Demo("b", (2,), 9))
    episodes = [Episode(str(n), demos, Demo("c", (1,), label)) for n, label in enumerate([7, 7, 9, 9])]
    found = measure(episodes, Answers([7, 9, 3, 9], [7, 9, 9, 9]))
    assert found == {"accuracy": 50.0, "guessing_rate": 75.0, "accuracy_among_shown": 75.0}


def test_a_machine_on_the_demonstrations_solves_classes_that_units_tell_apart() -> None:
    pool = pool_of()
    episodes = [pool.draw("x", number, "new") for number in range(20)]
    found = measure(episodes, svm_answers(episodes, seed=0))
    assert found["accuracy"] == 100.0
    guesses = measure(episodes, Answers([pool.guess(episode) for episode in episodes]))
    assert guesses["guessing_rate"] == 100.0
    assert 20 <= guesses["accuracy"] <= 80


def test_small_classes_are_left_out_and_too_few_are_refused() -> None:
    rows = [*make_rows(3), Row("small", (1, 2), ("c9",))]
    assert len(make_pool(rows, config_of(), name="a", num_units=K).classes) == 3
    with pytest.raises(SpeechkitError, match="1 classes have 3 utterances or more") as caught:
        make_pool([*make_rows(1), rows[-1]], config_of(), name="a", num_units=K)
    assert "c9  1" in caught.value.where
    with pytest.raises(SpeechkitError, match="too few to name"):
        make_pool(make_rows(), config_of(num_classes=3, num_demos=3), name="a", num_units=2)


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"num_demos": 5}, "no multiple"), ({"evaluation": [TASK]}, "two tasks are called a"), ({"warmup": []}, "warmup")],
)
def test_impossible_settings_are_named(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config_of(**fields)
    assert message in caught.value.render()


def test_an_untrained_model_answers_any_unit(tmp_path: Path) -> None:
    lm, _ = load_ulm(make_lm_folder(tmp_path / "lm", k=K))
    pool = pool_of()
    episodes = [pool.draw("x", number, "new") for number in range(20)]
    answers = answers_of(plain_model(lm), episodes)
    found = measure(episodes, answers)
    assert found["guessing_rate"] < 60
    assert answers.shown is not None
    assert all(label in episode.shown for label, episode in zip(answers.shown, episodes, strict=True))
    alone = [answers_of(plain_model(lm), [episode]).free[0] for episode in episodes[:2]]
    assert alone == answers.free[:2]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A language model, units of two sets of words, and the settings of a short run."""
    folder = tmp_path_factory.mktemp("icl")
    learned: list[list[int]] = []
    for name, first in (("known", 0), ("unknown", 5)):
        rows = [
            (f"{name}{label}-{take}", [label, label + 10, take % 2 + 8, label], f"w{label}")
            for label in range(first, first + 4)
            for take in range(6)
        ]
        make_units_folder(folder / name, rows, k=K)
        learned += [units for _, units, _ in rows]
    make_lm_folder(folder / "lm", k=K, learned=learned)
    tasks = {
        role: [
            {"name": name, "label": "text", "units": str(folder / name), "cuts": str(folder / name / "cuts.jsonl.gz")}
        ]
        for role, name in (("warmup", "known"), ("evaluation", "unknown"))
    }
    small = {"optim": {"num_steps": 3}, "eval_episodes": 12, "repeats": 2, "unit_len": 4, "num_episodes": 50}
    (folder / "icl.yaml").write_text(json.dumps({**tasks, **small}))
    return folder


def test_the_command_measures_all_systems_and_says_the_same_again(world: Path, run_speechkit: Run) -> None:
    command = ["prompt", "icl", world / "icl.yaml", "--lm", world / "lm"]
    result = run_speechkit(*command, "--out", world / "one")
    assert result.exit_code == 0, result.stderr
    found = json.loads((world / "one" / "icl.json").read_text())
    systems = found["tasks"]["unknown"]["systems"]
    assert list(systems) == ["warm-up", "no warm-up", "svm", "random label"]
    assert found["tasks"]["unknown"]["unseen"] is True
    assert len(systems["svm"]["accuracy"]["values"]) == 2
    assert systems["random label"]["guessing_rate"]["mean"] == 100.0
    assert "no warm-up" in result.stdout
    assert run_speechkit(*command, "--out", world / "one").stdout.startswith("up to date")
    run_speechkit(*command, "--out", world / "two")
    assert (world / "two" / "icl.json").read_bytes() == (world / "one" / "icl.json").read_bytes()
    prompt = "warmup-0/model.safetensors"
    assert (world / "two" / prompt).read_bytes() == (world / "one" / prompt).read_bytes()


def test_seen_tasks_are_called_seen(world: Path, run_speechkit: Run) -> None:
    settings = json.loads((world / "icl.yaml").read_text())
    settings["evaluation"] = [{**settings["warmup"][0], "name": "again"}]
    (world / "seen.yaml").write_text(json.dumps(settings))
    result = run_speechkit("prompt", "icl", world / "seen.yaml", "--lm", world / "lm", "--out", world / "seen")
    assert "not unseen: 24 utterances and 4 labels" in result.stderr
    assert "again (seen)" in result.stdout


def test_a_task_that_the_language_model_was_trained_on_is_called_seen(
    world: Path, tmp_path: Path, run_speechkit: Run
) -> None:
    shutil.copytree(world / "lm", tmp_path / "lm")
    (tmp_path / "lm" / "training_ids.txt").write_text("unknown5-0\nunknown6-1\nother\n")
    words = ("--lm", tmp_path / "lm", "--out", tmp_path / "out")
    result = run_speechkit("prompt", "icl", world / "icl.yaml", *words)
    assert "was trained on 2 utterances of task unknown: it is not unseen" in result.stderr
    assert "unknown (seen)" in result.stdout
    assert json.loads((tmp_path / "out" / "icl.json").read_text())["tasks"]["unknown"]["unseen"] is False


def test_wrong_inputs_are_named(world: Path, tmp_path: Path, run_speechkit: Run) -> None:
    def icl(*options: object, conf: Path = world / "icl.yaml", lm: Path = world / "lm") -> tuple[int, str]:
        result = run_speechkit("prompt", "icl", conf, "--lm", lm, "--out", tmp_path / "out", *options)
        assert "Traceback" not in result.stderr
        return result.exit_code, result.stderr

    code, message = icl("--set", "num_demos=3")
    assert code == 2
    assert "no multiple" in message
    code, message = icl("--set", "num_demos=40")
    assert code == 1
    assert "an episode has 2 classes" in message
    assert "holds no unit language model" in icl(lm=tmp_path)[1]
    empty = tmp_path / "empty.yaml"
    empty.write_text("num_demos: 4\n")
    code, message = icl(conf=empty)
    assert code == 2
    assert "warmup" in message
