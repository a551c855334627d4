"""Many tasks in one batch, and decoding with a cache: ratios of CPU time on one thread, in one run.

64 utterances of 64 tasks: one mixed batch against the same batch without prompts, and against a pass for each task.
Digit strings: batched search with a KV cache against the scheme of SpeechPrompt, which decodes one utterance at a time
and reads the whole prefix again for each label. Outputs are compared first; competitors take turns, the median counts.
Usage: prompt.py [DIM LAYERS]
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

from speechkit.models.config import UlmConfig
from speechkit.models.ulm import Padded, UnitLm
from speechkit.prompt.bank import Bank, one_by_one
from speechkit.prompt.config import HeadConfig, LoraConfig, MethodConfig, PromptConfig, TaskConfig
from speechkit.prompt.examples import Example
from speechkit.prompt.methods import initial_tensors
from speechkit.prompt.model import PromptedLm, collate
from speechkit.prompt.predict import by_length
from speechkit.prompt.search import search_labels
from speechkit.prompt.tasks import Task
from speechkit.prompt.trained import TrainedPrompt
from speechkit.prompt.verbalizer import LabelMap

REPEATS, NUM_TASKS, NUM_UNITS, NUM_LENGTH, NUM_ALONE = 9, 64, 100, 26, 8
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def race(rivals: dict[str, Callable[[], Any]], repeats: int = REPEATS) -> dict[str, float]:
    """Median CPU seconds of each; they take turns after one round that does not count."""
    times: dict[str, list[float]] = {name: [] for name in rivals}
    for number in range(repeats + 1):
        for name, work in rivals.items():
            start = time.process_time()
            work()
            if number:
                times[name].append(time.process_time() - start)
    return {name: statistics.median(taken) for name, taken in times.items()}


def prompted(lm: UnitLm, method: MethodConfig, task: Task, sources: list[tuple[int, ...]]) -> PromptedLm:
    """A prompt as before training, with noise in what starts at 0."""
    tensors = {name: own + 0.02 * torch.randn_like(own) for name, own in initial_tensors(method, lm, sources).items()}
    tokens = (*range(len(task.labels)), *[lm.end_id] * task.is_sequence)
    return PromptedLm(lm, task, method, LabelMap("linear", tokens), tensors).eval().requires_grad_(False)


def bench_bank(lm: UnitLm, method: MethodConfig) -> None:
    """One line: 64 tasks in a batch."""
    sources = [tuple(torch.randint(NUM_UNITS, (NUM_LENGTH,)).tolist()) for _ in range(NUM_TASKS)]
    about = {"lm": "", "codebook": "", "frames_per_second": 50.0, "random_lm": None}
    prompts = [
        TrainedPrompt(prompted(lm, method, Task(TaskConfig(name=f"t{n}", label=("x",)), (DIGITS,)), sources), about)
        for n in range(NUM_TASKS)
    ]
    bank, batch = Bank(prompts), collate([Example(f"u{n}", source) for n, source in enumerate(sources)])
    tasks_B = torch.arange(NUM_TASKS)
    nothing = Padded(batch.source.tokens_BT[:, :0], torch.zeros(NUM_TASKS, dtype=torch.int64))
    head = prompts[0].model.verbalizer
    where = f" {method.where}" if isinstance(method, PromptConfig) else ""
    mixed, separate = bank.log_probs(batch.source, tasks_B), one_by_one(bank, batch, tasks_B)
    seconds = race(
        {
            "mixed": lambda: bank.log_probs(batch.source, tasks_B),
            "no_prompt": lambda: head(lm.states(batch.source, nothing)[:, 0], lm),
            "one_by_one": lambda: one_by_one(bank, batch, tasks_B),
        }
    )
    tell(
        f"{NUM_TASKS} tasks in one batch, {method.kind}{where}", lm,
        ratio_to_no_prompt=seconds["mixed"] / seconds["no_prompt"],
        one_by_one_takes=seconds["one_by_one"] / seconds["mixed"],
        bit_equal=torch.equal(mixed, separate),
        floats_per_task=sum(own[0].numel() for own in bank.rows.values()),
        cpu_ms={name: round(1000 * value, 2) for name, value in seconds.items()},
    )  # fmt: skip


def again_and_again(model: PromptedLm, examples: list[Example], max_labels: int) -> list[tuple[int, ...]]:
    """Greedy labels as the original finds them: batch 1, the whole prefix for each label."""
    found = []
    for example in examples:
        labels: list[int] = []
        source = Padded(torch.tensor([example.units]), torch.tensor([len(example.units)]))
        while len(labels) < max_labels:
            tokens_1U = model.verbalizer.token_of(torch.tensor([labels], dtype=torch.int64))
            states_BUD = model.lm.states(source, Padded(tokens_1U, torch.tensor([len(labels)])), model.prompt())
            label = int(model.verbalizer(states_BUD[:, -1], model.lm)[0].argmax())
            if label == model.task.end_label:
                break
            labels.append(label)
        found.append(tuple(labels))
    return found


def bench_decoding(lm: UnitLm, *, num_labels: int, num_utterances: int = 64) -> None:
    """One line: sequences of labels; ends are far away, so that both put out as many."""
    task = Task(TaskConfig(name="strings", kind="sequence", label=("text",)), (DIGITS,))
    lengths = torch.randint(60, 140, (num_utterances,)).tolist()
    examples = [Example(f"u{n}", tuple(torch.randint(NUM_UNITS, (size,)).tolist())) for n, size in enumerate(lengths)]
    model = prompted(lm, PromptConfig(), task, [example.units for example in examples[:4]])
    model.verbalizer.weight.mul_(5)
    model.verbalizer.bias[task.end_label] = -1e4

    def ours() -> list[tuple[int, ...]]:
        found: dict[int, tuple[int, ...]] = {}
        for numbers in by_length(examples, 64):
            rows = search_labels(model, collate([examples[n] for n in numbers]), max_labels=num_labels)
            found |= {n: row.labels for n, row in zip(numbers, rows, strict=True)}
        return [found[n] for n in range(num_utterances)]

    few = examples[:NUM_ALONE]  # the same scheme for all would take minutes
    alone = again_and_again(model, few, num_labels)
    same = sum(own == other for own, other in zip(ours(), alone, strict=False))
    seconds = race({"ours": ours, "again": lambda: again_and_again(model, few, num_labels)}, repeats=3)
    each = {"ours": seconds["ours"] / num_utterances, "again": seconds["again"] / len(few)}
    tell(
        f"{num_labels} labels each, batches of 64 against one by one without a cache", lm,
        ratio=each["again"] / each["ours"],
        equal_share=same / len(few),
        cpu_ms_per_utterance={name: round(1000 * value, 2) for name, value in each.items()},
    )  # fmt: skip


def tell(claim: str, lm: UnitLm, **numbers: Any) -> None:
    """One JSON line."""
    size = {"dim": lm.config.dim, "layers": lm.config.num_layers, "parameters": sum(p.numel() for p in lm.parameters())}
    rounded = {name: round(value, 3) if isinstance(value, float) else value for name, value in numbers.items()}
    print(json.dumps({"claim": claim, **rounded, "lm": size}), flush=True)


@torch.no_grad()
def main() -> None:
    """Print a line for each claim."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    dim, layers = (int(value) for value in (sys.argv[1:3] or (128, 4)))
    config = UlmConfig(dim=dim, num_layers=layers, num_heads=4, ff_dim=4 * dim, dropout=0.0)
    lm = UnitLm(config, num_units=NUM_UNITS).eval().requires_grad_(False)
    for method in (PromptConfig(), PromptConfig(where="both"), LoraConfig(), HeadConfig()):
        bench_bank(lm, method)
    for num_labels in (5, 54):  # digit strings; characters and slots of AudioSNIPS
        bench_decoding(lm, num_labels=num_labels)


if __name__ == "__main__":
    main()
