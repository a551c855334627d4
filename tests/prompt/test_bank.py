"""Many tasks in one batch: bit for bit what each prompt gives alone."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from prompt_corpus import K, random_lm, some_task, trained

from speechkit.errors import SpeechkitError
from speechkit.models.config import UlmConfig
from speechkit.models.ulm import UnitLm
from speechkit.prompt.bank import BANK_FILE, Bank, load_bank, one_by_one, save_bank
from speechkit.prompt.config import (
    FullConfig,
    HeadConfig,
    LoraConfig,
    MethodConfig,
    PredictConfig,
    PromptConfig,
    TaskConfig,
)
from speechkit.prompt.examples import Example
from speechkit.prompt.model import collate
from speechkit.prompt.predict import predict, predict_bank
from speechkit.prompt.tasks import Task
from speechkit.prompt.trained import TrainedPrompt, check_units, lm_fingerprint
from speechkit.units.unit_file import load_units

METHODS: list[MethodConfig] = [
    PromptConfig(length=5), PromptConfig(length=2, projection="pre"), PromptConfig(length=3, where="input"),
    LoraConfig(targets=("query", "output")), HeadConfig(),
]  # fmt: skip
VERBALIZERS = ["linear", "hidden", "freq", "random"]


def examples(num: int, *, most: int = 30, k: int = K, seed: int = 0) -> list[Example]:
    draw = random.Random(seed)
    return [Example(f"u{n}", tuple(draw.choices(range(k), k=draw.randint(1, most)))) for n in range(num)]


def bank_of(lm: UnitLm, method: MethodConfig, num: int) -> Bank:
    tasks = [
        some_task(
            f"t{n}",
            num_labels=(2, 5, 3, 8)[n % 4] + 12 * (n == 4),
            verbalizer=VERBALIZERS[n % 4] if n != 4 else "linear",
        )
        for n in range(num)
    ]
    return Bank([trained(lm, task, method, seed=n) for n, task in enumerate(tasks)])


@pytest.mark.parametrize("architecture", ["decoder", "encoder_decoder"])
@pytest.mark.parametrize("method", METHODS, ids=lambda m: f"{m.kind}-{getattr(m, 'projection', '')}")
@torch.no_grad()
def test_a_mixed_batch_has_the_bits_of_separate_passes(method: MethodConfig, architecture: str) -> None:
    bank = bank_of(random_lm(architecture), method, 6)
    for size in (1, 7, 33):
        batch = collate(examples(size))
        tasks_B = torch.tensor([(3 * row) % 6 for row in range(size)])
        mixed = bank.log_probs(batch.source, tasks_B)
        assert torch.equal(mixed, one_by_one(bank, batch, tasks_B))
        assert len({tuple(row) for row in mixed.tolist()}) > 1 or size == 1


@pytest.mark.parametrize("method", METHODS, ids=lambda m: f"{m.kind}-{getattr(m, 'projection', '')}")
def test_predictions_have_the_same_bits_alone_and_among_others_of_any_length(method: MethodConfig) -> None:
    torch.manual_seed(0)
    lm = UnitLm(UlmConfig(dim=64, num_layers=2, num_heads=4, ff_dim=256, dropout=0.0), num_units=K).eval()
    bank = bank_of(lm, method, 3)
    own = examples(24, most=60)
    tasks = [number % 3 for number in range(24)]
    mixed = predict_bank(bank, own, tasks, PredictConfig())
    for example, task, found in zip(own, tasks, mixed, strict=True):
        assert predict(bank.prompts[task].model, [example], PredictConfig()) == [found]


@torch.no_grad()
def test_sixty_four_tasks_in_one_batch_of_a_larger_model() -> None:
    torch.manual_seed(0)
    lm = UnitLm(UlmConfig(dim=64, num_layers=2, num_heads=4, ff_dim=256, dropout=0.0), num_units=K).eval()
    bank = bank_of(lm, PromptConfig(), 64)
    batch, tasks_B = collate(examples(64)), torch.randperm(64)
    assert torch.equal(bank.log_probs(batch.source, tasks_B), one_by_one(bank, batch, tasks_B))


def test_a_sequence_of_few_and_one_of_many_labels_are_found_together_as_alone() -> None:
    lm = random_lm()
    few, many = (some_task(name, num, kind="sequence") for name, num in (("few", 2), ("many", 7)))
    config = TaskConfig(name="slots", kind="slots", label=("a", "b"))
    slots = Task(config, (("x", "y"), ("v", "w", "z")))
    other = Task(config.model_copy(update={"name": "other"}), (("p", "q", "r"), ("s", "t")))
    bank = Bank(
        [trained(lm, task, seed=n, noise=1.0) for n, task in enumerate([few, slots, many, some_task("class"), other])]
    )
    utts = examples(12, most=9)
    settings = PredictConfig(max_labels=5, batch_size=64)
    for beam_size in (1, 3):
        settings = settings.model_copy(update={"beam_size": beam_size})
        found = predict_bank(bank, utts * 5, [number for number in range(5) for _ in utts], settings)
        for number, prompt in enumerate(bank.prompts):
            own = found[number * len(utts) : (number + 1) * len(utts)]
            alone = predict(prompt.model, utts, settings)
            assert [p.labels for p in own] == [p.labels for p in alone], prompt.task.config.name
            assert [p.log_prob for p in own] == pytest.approx([p.log_prob for p in alone], abs=1e-5)


def test_a_bank_is_what_was_put_into_it(tmp_path: Path) -> None:
    lm = random_lm()
    bank = bank_of(lm, PromptConfig(), 3)
    save_bank(bank.prompts, tmp_path)
    again = load_bank(tmp_path, lm)
    assert again.tasks == bank.tasks and all(torch.equal(again.rows[name], own) for name, own in bank.rows.items())
    other = UnitLm(lm.config, num_units=K).eval()
    with pytest.raises(SpeechkitError, match="prompt 0` was trained on another language model"):
        load_bank(tmp_path, other)
    (tmp_path / BANK_FILE).write_text("{}")
    with pytest.raises(SpeechkitError, match="holds no bank"):
        load_bank(tmp_path, lm)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"task": some_task("t0")}, "one prompt of a task"),
        ({"method": PromptConfig(length=4)}, "`t0` and `t1` are of different shape"),
        ({"method": LoraConfig()}, "are of different shape"),
        ({"method": FullConfig()}, "are of different shape"),
        ({"lm": "another"}, "`t0` and `t1` differ in `lm`"),
        ({"codebook": "another"}, "differ in `codebook`"),
        ({"random_lm": 0}, "beside one frozen language model"),
    ],
)
def test_what_does_not_fit_together_is_told(change: dict[str, object], said: str) -> None:
    lm = random_lm()
    first = trained(lm, some_task("t0"))
    second = trained(lm, change.pop("task", some_task("t1")), change.pop("method", None))  # type: ignore[arg-type]
    with pytest.raises(SpeechkitError, match=said):
        Bank([first, TrainedPrompt(second.model, second.about | change)])
    with pytest.raises(SpeechkitError, match="a bank needs a prompt"):
        Bank([])


def test_a_prompt_refuses_units_of_another_codebook_or_rate(tmp_path: Path) -> None:
    from unit_corpus import write_units

    about = trained(random_lm(), some_task()).about
    check_units(about, load_units(write_units(tmp_path / "same", {"a": (1, 2)}, k=K)))
    with pytest.raises(SpeechkitError, match="units of another codebook"):
        check_units(about, load_units(write_units(tmp_path / "book", {"a": (1, 2)}, k=K, codebook="other")))
    with pytest.raises(SpeechkitError, match="50 frames per second, not 100"):
        check_units(about, load_units(write_units(tmp_path / "rate", {"a": (1, 2)}, k=K, frames_per_second=100.0)))


def test_the_fingerprint_is_of_weights_and_shape() -> None:
    torch.manual_seed(5)
    lm = random_lm()
    again = UnitLm(lm.config, num_units=K)
    again.load_state_dict(lm.state_dict())
    assert lm_fingerprint(again) == lm_fingerprint(lm)
    with torch.no_grad():
        again.embedding.weight[0, 0] += 1e-6
    assert lm_fingerprint(again) != lm_fingerprint(lm)
