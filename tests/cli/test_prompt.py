"""`speechkit prompt`: from units and a manifest to a table, and what is told when things do not belong together."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prompt_corpus import train_lm, write_source

from speechkit.data.overlap import TRAINING_SET_FILE, heard_of_manifest, training_set

Run = Callable[..., Any]
SHORT = ("--set", "optim.num_steps=6", "--set", "optim.warmup_steps=2")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A language model, units and manifests to train and test on, and tasks."""
    folder = tmp_path_factory.mktemp("prompts")
    train_lm(folder)
    write_source(folder / "train", 60, prefix="tr")
    write_source(folder / "test", 20, prefix="te")
    for name, text in {
        "first": "name: first\nlabel: first\n",
        "words": "name: words\nkind: sequence\nlabel: text\n",
        "slots": "name: slots\nkind: slots\nlabel: [first, count]\n",
    }.items():
        (folder / f"{name}.yaml").write_text(text)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def world(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same in a folder where results may lie."""
    monkeypatch.chdir(tmp_path)
    for path in made.iterdir():
        (tmp_path / path.name).symlink_to(path)
    return tmp_path


TRAIN = ("--lm", "lm", "--units", "train/units", "--cuts", "train/cuts")
TEST = ("--lm", "lm", "--units", "test/units", "--cuts", "test/cuts")


def test_from_units_to_predictions_and_a_bank(world: Path, run_speechkit: Run) -> None:
    for task in ("first", "words", "slots"):
        words = ("--seeds", 1, *SHORT, "--dev-units", "test/units", "--dev-cuts", "test/cuts")
        done = run_speechkit("prompt", "train", f"{task}.yaml", *TRAIN, "--out", task, *words)
        assert done.exit_code == 0, done.stderr
        assert done.stdout == f"{task}\n" and "step 6: dev " in done.stderr
    about = json.loads(Path("first/seed-0/prompt.json").read_text())
    assert about["task"]["slots"] == [["down", "fall", "rise", "up"]] and about["codebook"] == "c0de"
    assert not Path("first/seed-0/checkpoints").exists()
    again = run_speechkit("prompt", "train", "first.yaml", *TRAIN, "--out", "first", "--seeds", 1, *SHORT,
        "--dev-units", "test/units", "--dev-cuts", "test/cuts",
    )  # fmt: skip
    assert again.stdout == "up to date: first\n"
    runs = [f"{task}/seed-0" for task in ("first", "words", "slots")]
    assert run_speechkit("prompt", "bank", *runs, "--lm", "lm", "--out", "bank").stdout == "bank\n"
    banked = run_speechkit("prompt", "predict", "bank", "--lm", "lm", "--units", "test/units", "--out", "all")
    assert banked.exit_code == 0, banked.stderr
    for task in ("first", "words", "slots"):
        alone = run_speechkit(
            "prompt", "predict", f"{task}/seed-0", "--lm", "lm", "--units", "test/units", "--out", f"hyp-{task}"
        )
        assert alone.exit_code == 0, alone.stderr
        lines = [[json.loads(line) for line in (Path(name) / "hyp.jsonl").read_text().splitlines()]
                 for name in (f"all/{task}", f"hyp-{task}")]  # fmt: skip
        assert [row["labels"] for row in lines[0]] == [row["labels"] for row in lines[1]]
        assert len(lines[1]) == 20 and list(lines[1][0]) == ["id", "text", "labels", "log_prob"]
    scored = run_speechkit("score", "wer", "test/cuts", "hyp-words")
    assert scored.exit_code == 0, scored.stderr


@pytest.mark.slow
def test_a_table_shows_prompts_beside_all_they_have_to_beat(world: Path, run_speechkit: Run) -> None:
    done = run_speechkit("prompt", "train", "first.yaml", *TRAIN, "--out", "exp", "--seeds", 2, "--shots", 8, *SHORT)
    assert done.exit_code == 0, done.stderr
    shown = run_speechkit("prompt", "eval", "exp", *TEST, "--train-units", "train/units", "--train-cuts", "train/cuts",
        "--out", "report", "--json", "report.json",
    )  # fmt: skip
    assert shown.exit_code == 0, shown.stderr
    report = json.loads(Path("report.json").read_text())
    rows = {row["kind"]: row for row in report["systems"]}
    assert list(rows) == ["prompt", "bow", "pool", "head", "lora", "full", "random prompt", "majority"]
    assert report["missing"] == [] and report["shots"] == 8 and report["metric"] == "accuracy"
    for kind, row in rows.items():
        assert len(row["values"]) == (1 if kind == "majority" else 2) and 0 <= row["mean"] <= 100
        assert f"{row['name']} " in shown.stdout and (row["sd"] is None) == (kind == "majority")
    assert rows["head"]["parameters"] < rows["prompt"]["parameters"] < rows["full"]["parameters"]
    assert rows["full"]["share_percent"] > 100  # with its verbalizer
    assert rows["bow"]["mean"] > rows["majority"]["mean"] + 20
    assert run_speechkit("prompt", "eval", "exp", *TEST, "--train-units", "train/units", "--train-cuts", "train/cuts",
        "--out", "report").stdout.startswith("up to date: report\ntask first")  # fmt: skip


def test_sequences_are_compared_by_their_errors_and_by_length(world: Path, run_speechkit: Run) -> None:
    run_speechkit("prompt", "train", "words.yaml", *TRAIN, "--out", "exp", "--method", "lora", "--seeds", 1, *SHORT)
    shown = run_speechkit("prompt", "eval", "exp", *TEST, "--baselines", "none", "--out", "report", "--json", "r.json")
    assert shown.exit_code == 0, shown.stderr
    report = json.loads(Path("r.json").read_text())
    assert report["metric"] == "wer" and report["missing"] == ["head", "full", "random"]
    assert "not compared with: head, full, random" in shown.stdout
    details = report["systems"][0]["details"]
    assert [row["min_length"] for row in details] == [1, 2, 3, 4]
    assert sum(row["num_utterances"] for row in details) == 20


def test_an_adapter_of_peft_comes_back(world: Path, run_speechkit: Run) -> None:
    run_speechkit("prompt", "train", "first.yaml", *TRAIN, "--out", "exp", "--method", "lora", "--seeds", 1, *SHORT)
    there = run_speechkit("prompt", "export", "exp/seed-0", "--lm", "lm", "--out", "adapter")
    assert there.exit_code == 0 and there.stdout == "adapter\n", there.stderr
    assert json.loads(Path("adapter/adapter_config.json").read_text())["peft_type"] == "LORA"
    back = run_speechkit("prompt", "export", "adapter", "--lm", "lm", "--to", "speechkit", "--out", "back")
    assert back.exit_code == 0, back.stderr
    for name in ("exp/seed-0", "back"):
        done = run_speechkit("prompt", "predict", name, "--lm", "lm", "--units", "test/units", "--out", f"hyp/{name}")
        assert done.exit_code == 0, done.stderr
    assert Path("hyp/back/hyp.jsonl").read_bytes() == Path("hyp/exp/seed-0/hyp.jsonl").read_bytes()


@pytest.fixture
def exp(world: Path, run_speechkit: Run) -> Path:
    """A prompt after a single step."""
    words = ("--seeds", 1, "--set", "optim.num_steps=1")
    done = run_speechkit("prompt", "train", "first.yaml", *TRAIN, "--out", "exp", *words)
    assert done.exit_code == 0, done.stderr
    return world / "exp"


def test_what_does_not_belong_together_is_refused(exp: Path, made: Path, run_speechkit: Run) -> None:
    predict = ("prompt", "predict", "exp/seed-0")
    write_source(Path("other"), 3, prefix="x", codebook="b00c")
    refused = run_speechkit(*predict, "--lm", "lm", "--units", "other/units", "--out", "hyp")
    assert refused.exit_code == 1
    assert (
        "error: the units are not those that the unit language model knows\n  codebook: the model c0de"
        in refused.stderr
    )
    whole = run_speechkit("prompt", "predict", "exp", "--lm", "lm", "--units", "test/units", "--out", "hyp")
    assert whole.exit_code == 1 and "it holds the runs seed-0: give one of them" in whole.stderr
    shutil.copytree(made / "lm", "lm2", symlinks=False)
    conf = Path("lm2/config.yaml")
    conf.write_text(conf.read_text().replace("norm_eps: 1.0e-05", "norm_eps: 1.0e-06"))
    assert conf.read_text() != (made / "lm/config.yaml").read_text()
    refused = run_speechkit(*predict, "--lm", "lm2", "--units", "test/units", "--out", "hyp")
    assert refused.exit_code == 1 and "`exp/seed-0` was trained on another language model" in refused.stderr
    about = json.loads((exp / "seed-0/prompt.json").read_text())
    about["task"]["slots"][0].append("up and away")
    (exp / "seed-0/prompt.json").write_text(json.dumps(about))
    refused = run_speechkit(*predict, "--lm", "lm", "--units", "test/units", "--out", "hyp")
    assert refused.exit_code == 1 and "the task has 5 labels, the verbalizer tokens for 4" in refused.stderr
    (exp / "seed-0/prompt.json").write_text("{")
    refused = run_speechkit(*predict, "--lm", "lm", "--units", "test/units", "--out", "hyp")
    assert refused.exit_code == 1 and "`exp/seed-0` holds no trained prompt" in refused.stderr
    assert not Path("hyp").exists()


def test_damaged_weights_are_told(exp: Path, run_speechkit: Run) -> None:
    weights = exp / "seed-0/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])
    refused = run_speechkit("prompt", "predict", "exp/seed-0", "--lm", "lm", "--units", "test/units", "--out", "hyp")
    assert refused.exit_code == 1 and "model.safetensors` cannot be read" in refused.stderr


def test_a_test_set_that_was_trained_on_is_refused(exp: Path, run_speechkit: Run) -> None:
    words = ("prompt", "eval", "exp", "--lm", "lm", "--out", "r", "--baselines", "none")
    refused = run_speechkit(*words, "--units", "train/units", "--cuts", "train/cuts")
    assert refused.exit_code == 3 and "error: the test set and `exp`: " in refused.stderr
    refused = run_speechkit(*words, "--units", "lm-data/units", "--cuts", "lm-data/cuts")
    assert refused.exit_code == 3
    assert "the unit language model was trained on 100 utterances of the test set" in refused.stderr
    allowed = run_speechkit(*words, "--units", "lm-data/units", "--cuts", "lm-data/cuts", "--allow-overlap")
    assert allowed.exit_code == 0 and "was trained on 100 utterances" in allowed.stderr


def test_a_test_set_that_its_codebook_was_trained_on_is_refused(exp: Path, run_speechkit: Run) -> None:
    # as `units quantize` leaves it when the codebook was trained on these utterances
    shutil.copytree("test/units", "units")
    training_set(heard_of_manifest(Path("test/cuts"))).save(Path("units") / TRAINING_SET_FILE)
    words = ("prompt", "eval", "exp", "--lm", "lm", "--out", "r", "--baselines", "none")
    refused = run_speechkit(*words, "--units", "units", "--cuts", "test/cuts")
    assert refused.exit_code == 3 and "error: the test set and the codebook: " in refused.stderr
    allowed = run_speechkit(*words, "--units", "units", "--cuts", "test/cuts", "--allow-overlap")
    assert allowed.exit_code == 0, allowed.stderr


def frames_of(units: Path, folder: Path) -> Path:
    """The same utterances with each unit three times, as `units quantize` leaves them without --dedup."""
    folder.mkdir()
    with (folder / "units.jsonl").open("w") as stream:
        for line in (units / "units.jsonl").read_text().splitlines():
            row = json.loads(line)
            frames = [unit for unit in row["units"] for _ in range(3)]
            stream.write(json.dumps({"id": row["id"], "units": frames, "num_frames": len(frames)}) + "\n")
    about = json.loads((units / "units.json").read_text())
    (folder / "units.json").write_text(json.dumps(about | {"dedup": False}))
    return folder


def test_units_of_each_frame_are_read_as_the_language_model_has_learned_them(exp: Path, run_speechkit: Run) -> None:
    frames = frames_of(Path("test/units"), Path("frames"))
    for name, units in (("merged", "test/units"), ("split", frames)):
        done = run_speechkit("prompt", "predict", "exp/seed-0", "--lm", "lm", "--units", units, "--out", f"hyp-{name}")
        assert done.exit_code == 0, done.stderr
        words = ("--units", units, "--cuts", "test/cuts", "--baselines", "none", "--out", f"eval-{name}")
        assert run_speechkit("prompt", "eval", "exp", "--lm", "lm", *words).exit_code == 0
    assert Path("hyp-split/hyp.jsonl").read_bytes() == Path("hyp-merged/hyp.jsonl").read_bytes()
    values = [json.loads(Path(f"eval-{name}/report.json").read_text())["systems"][0]["values"]
              for name in ("merged", "split")]  # fmt: skip
    assert values[0] == values[1]
    frames_of(Path("train/units"), Path("train-frames"))
    words = (
        "--lm",
        "lm",
        "--units",
        "train-frames",
        "--cuts",
        "train/cuts",
        "--seeds",
        1,
        "--set",
        "optim.num_steps=1",
    )
    assert run_speechkit("prompt", "train", "first.yaml", *words, "--out", "again").exit_code == 0
    weights = "seed-0/model.safetensors"
    assert (Path("again") / weights).read_bytes() == (exp / weights).read_bytes()
    assert json.loads((exp / "seed-0/prompt.json").read_text())["dedup"] is True


def test_merged_units_without_run_lengths_are_refused_for_a_model_of_frames(
    exp: Path, made: Path, run_speechkit: Run
) -> None:
    shutil.copytree(made / "lm", "lm2")
    about = json.loads(Path("lm2/ulm.json").read_text())
    Path("lm2/ulm.json").write_text(json.dumps(about | {"dedup": False}))
    refused = run_speechkit("prompt", "predict", "exp/seed-0", "--lm", "lm2", "--units", "test/units", "--out", "hyp")
    assert refused.exit_code == 1
    assert "trained on units without repetition, these are a unit for each frame" in refused.stderr
    shutil.copytree(made / "test/units", "generated")
    about = json.loads(Path("generated/units.json").read_text())
    Path("generated/units.json").write_text(json.dumps(about | {"has_runs": False}))
    words = ("--units", "generated", "--cuts", "test/cuts", "--out", "x")
    refused = run_speechkit("prompt", "train", "first.yaml", "--lm", "lm2", *words)
    assert refused.exit_code == 1 and "equal neighbours merged: the model False, the units True" in refused.stderr


def test_baselines_are_trained_on_what_the_prompts_were_trained_on(exp: Path, run_speechkit: Run) -> None:
    words = ("prompt", "eval", "exp", "--out", "r", "--baselines", "bow")
    train = ("--train-units", "train/units", "--train-cuts", "train/cuts")
    write_source(Path("more"), 12, prefix="more")
    refused = run_speechkit(*words, *TEST, "--train-units", "more/units", "--train-cuts", "more/cuts")
    assert refused.exit_code == 1
    assert "the prompts were not trained on `more/units` with `more/cuts`\n  exp: units train/units" in refused.stderr
    assert not Path("r").exists()
    done = run_speechkit(*words, *TEST, *train)
    assert done.exit_code == 0, done.stderr
    assert [row["kind"] for row in json.loads(Path("r/report.json").read_text())["systems"]] == [
        "prompt", "bow", "majority",
    ]  # fmt: skip
    run = json.loads((exp / "run.json").read_text())
    (exp / "run.json").write_text(json.dumps(run | {"inputs": {}}))
    refused = run_speechkit(*words, *TEST, *train, "--force")
    assert refused.exit_code == 1 and "run.json` does not say what the prompts were trained on" in refused.stderr


def test_a_test_set_that_baselines_are_trained_on_is_refused(exp: Path, run_speechkit: Run) -> None:
    (exp / "training_set.safetensors").unlink()  # the prompts do not tell
    words = ("prompt", "eval", "exp", "--lm", "lm", "--units", "train/units", "--cuts", "train/cuts", "--out", "r",
        "--baselines", "bow", "--train-units", "train/units", "--train-cuts", "train/cuts")  # fmt: skip
    refused = run_speechkit(*words)
    assert refused.exit_code == 3
    assert "the test set and --train-cuts: 60 of 60 utterances (100.0 %) overlap" in refused.stderr
    allowed = run_speechkit(*words, "--allow-overlap")
    assert allowed.exit_code == 0 and "baselines: 60 of 60 utterances (100.0 %) overlap" in allowed.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("train", "none.yaml", *TRAIN, "--out", "x"), 2, "cannot read the config `none.yaml`"),
        (("train", "first.yaml", *TRAIN, "--out", "x", "--set", "method.lenght=3"), 2, "did you mean `length`?"),
        (("train", "first.yaml", *TRAIN, "--out", "x", "--set", "task.kind=slot"), 2, "`kind`"),
        (("train", "first.yaml", *TRAIN, "--out", "x", "--dev-units", "test/units"), 2, "and --dev-cuts together"),
        (("train", "first.yaml", *TRAIN, "--out", "x", "--set", "task.label=age"), 1, "has a value of `age`"),
        (("train", "first.yaml", *TRAIN, "--out", "x", "--set", "task.labels=[up, down]"), 1, "`labels` does not list"),
        (("train", "first.yaml", "--lm", "train", "--units", "train/units", "--cuts", "train/cuts", "--out", "x"), 1,
         "holds no unit language model"),
        (("predict", "nothing", "--lm", "lm", "--units", "test/units", "--out", "x"), 1, "`nothing` does not exist"),
        (("eval", "lm", *TEST, "--out", "x", "--baselines", "none"), 2, "problem"),
        (("eval", "lm", *TEST, "--out", "x", "--train-units", "train/units"), 2, "--train-units and --train-cuts"),
        (("bank", "lm", "--lm", "lm", "--out", "x"), 1, "`lm` holds no trained prompt"),
    ],
)  # fmt: skip
def test_wrong_inputs(world: Path, run_speechkit: Run, words: tuple[Any, ...], code: int, said: str) -> None:
    done = run_speechkit("prompt", *words)
    assert done.exit_code == code and said in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and not Path("x").exists()


def test_the_config_says_the_learning_rate_of_the_method(world: Path, run_speechkit: Run) -> None:
    shown = run_speechkit("prompt", "train", "first.yaml", *TRAIN, "--out", "x", "--method", "lora", "--show-config",
        "--verbalizer", "mi", "--shots", 5)  # fmt: skip
    assert shown.exit_code == 0
    for line in ("  lr: 0.01 ", "  kind: lora", "  verbalizer: mi ", "shots: 5 ", "  name: first "):
        assert line in shown.stdout
