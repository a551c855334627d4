"""Many prompts of one language model in one batch: each example gathers its own columns, updates, separator, labels.

A bank is a folder: `bank.safetensors` holds the tensors of N prompts, `bank.json` their `prompt.json` in order.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from speechkit.artifact import write_json
from speechkit.errors import SpeechkitError
from speechkit.models.ulm import Padded, UnitLm
from speechkit.nn.injection import Prompt
from speechkit.prompt.config import FullConfig
from speechkit.prompt.methods import behind_projections, make_prompt, stacks_of
from speechkit.prompt.model import PromptBatch, whole_rows
from speechkit.prompt.search import Outputs
from speechkit.prompt.tasks import Task
from speechkit.prompt.trained import TrainedPrompt, check_about, read_tensors, restore
from speechkit.prompt.verbalizer import Readout, label_log_probs
from speechkit.train.checkpoint import save_tensors

BANK_FILE, TENSORS_FILE = "bank.json", "bank.safetensors"
_FORMAT = 1


class RowVerbalizer(NamedTuple):
    """The verbalizers of the examples of a batch, used as one."""

    readout: Readout
    tokens_BL: Tensor

    def __call__(self, states_BD: Tensor, lm: UnitLm) -> Tensor:
        """Log-probs over labels (B, L); labels that a task does not have are at -inf."""
        return label_log_probs(states_BD, lm, self.readout)

    def token_of(self, labels_B: Tensor) -> Tensor:
        """The tokens that the language model reads after these labels."""
        return self.tokens_BL.gather(1, labels_B[:, None])[:, 0]

    def select(self, rows_N: Tensor) -> RowVerbalizer:
        """Those of some rows."""
        logit_weight, state_weight, bias_BL = self.readout
        weights = [None if weight is None else weight[rows_N] for weight in (logit_weight, state_weight)]
        return RowVerbalizer(Readout(weights[0], weights[1], bias_BL[rows_N]), self.tokens_BL[rows_N])


class Bank:
    """Prompts of one shape on one language model."""

    def __init__(self, prompts: Sequence[TrainedPrompt]) -> None:
        """Stack prompts.

        Raises:
            SpeechkitError: there are none, two of one task, or they do not fit together.
        """
        _check_alike(prompts)
        models = [prompt.model for prompt in prompts]
        self.prompts, self.lm = list(prompts), models[0].lm
        self.stacks = stacks_of(self.lm)
        own = [behind_projections(model.method.rows(), model.method.config, self.lm) for model in models]
        self.config = own[0][1]
        self.rows = {name: torch.cat([rows[name].detach() for rows, _ in own]) for name in own[0][0]}
        width = max(model.verbalizer.width for model in models)
        self.readout = _stack([model.verbalizer.readout() for model in models], self.lm, width)
        self.tokens_NL = torch.zeros(len(models), width, dtype=torch.int64)
        for number, model in enumerate(models):
            self.tokens_NL[number, : model.verbalizer.num_labels] = model.verbalizer.tokens_L

    @property
    def tasks(self) -> list[Task]:
        """The tasks by their numbers."""
        return [prompt.task for prompt in self.prompts]

    def prompt(self, tasks_B: Tensor) -> Prompt:
        """What each example gets; tasks_B holds numbers of tasks."""
        return make_prompt({name: rows[tasks_B] for name, rows in self.rows.items()}, self.config, self.stacks)

    def verbalizer(self, tasks_B: Tensor) -> RowVerbalizer:
        """How the labels of each example are read."""
        return RowVerbalizer(self.readout, self.tokens_NL).select(tasks_B)

    def log_probs(self, source: Padded, tasks_B: Tensor) -> Tensor:
        """Log-probs (B, L) of the first label of each example, as a prompt alone gives them, padded with -inf."""
        rows = whole_rows(source, self.lm)
        nothing = Padded(rows.tokens_BT[:, :0], torch.zeros_like(rows.lengths_B))
        own_B = nn.functional.pad(tasks_B, (0, len(rows.lengths_B) - len(tasks_B)))
        states_BUD = self.lm.states(rows, nothing, self.prompt(own_B))
        return self.verbalizer(tasks_B)(states_BUD[: len(tasks_B), 0], self.lm)

    def outputs(self, tasks_B: Tensor, *, max_labels: int) -> Outputs:
        """For a search of sequences, or of slots of which all these tasks have as many; the end is the last column."""
        tasks = [self.tasks[number] for number in tasks_B.tolist()]
        verbalizer = self.verbalizer(tasks_B)
        width, is_sequence = self.tokens_NL.shape[1], tasks[0].is_sequence
        ends_B = torch.tensor([task.end_label for task in tasks])

        def log_probs(states_ND: Tensor, owner_N: Tensor) -> Tensor:
            found_NL = verbalizer.select(owner_N)(states_ND, self.lm)
            if not is_sequence:
                return found_NL
            ends_N1 = ends_B[owner_N, None]
            return torch.cat([found_NL.scatter(1, ends_N1, -torch.inf), found_NL.gather(1, ends_N1)], 1)

        return Outputs(
            log_probs,
            lambda labels_N, owner_N: verbalizer.select(owner_N).token_of(labels_N),
            end_label=width if is_sequence else None,
            num_places=tasks[0].num_slots or max_labels,
            masks=(None,) if is_sequence else tuple(_masks(tasks, width)),
        )


def _masks(tasks: Sequence[Task], width: int) -> Tensor:
    """What may stand at each place of slots, (U, B, L)."""
    masks_UBL = torch.full((len(tasks[0].slots), len(tasks), width), -torch.inf)
    for row, task in enumerate(tasks):
        for place in range(len(task.slots)):
            masks_UBL[place, row, list(task.allowed(place))] = 0.0
    return masks_UBL


def save_bank(prompts: Sequence[TrainedPrompt], folder: Path) -> None:
    """Write the files of a bank; raises as `Bank` does."""
    Bank(prompts)
    tensors = {f"{k}/{name}": own for k, one in enumerate(prompts) for name, own in one.model.state_dict().items()}
    save_tensors(tensors, folder / TENSORS_FILE)
    write_json(folder / BANK_FILE, {"format": _FORMAT, "prompts": [prompt.about for prompt in prompts]})


def load_bank(folder: Path, lm: UnitLm) -> Bank:
    """A bank made by `speechkit prompt bank`.

    Raises:
        SpeechkitError: the folder holds none, is damaged, or is of another language model.
    """
    path = folder / BANK_FILE
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        abouts = stored["prompts"]
        if stored["format"] != _FORMAT or not isinstance(abouts, list):
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError):
        raise SpeechkitError(f"`{folder}` holds no bank", expected="a folder made by `speechkit prompt bank`") from None
    tensors = read_tensors(folder / TENSORS_FILE)
    prompts = []
    for number, about in enumerate(abouts):
        own = {name.split("/", 1)[1]: one for name, one in tensors.items() if name.startswith(f"{number}/")}
        prompts.append(restore(check_about(about, path), own, lm, source=f"{folder}, prompt {number}"))
    return Bank(prompts)


def _check_alike(prompts: Sequence[TrainedPrompt]) -> None:
    if not prompts:
        raise SpeechkitError("a bank needs a prompt")
    names = [prompt.task.config.name for prompt in prompts]
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        raise SpeechkitError("a bank holds one prompt of a task", where=[f"`{name}` more than once" for name in double])
    if isinstance(prompts[0].model.method.config, FullConfig) or any(p.about["random_lm"] is not None for p in prompts):
        raise SpeechkitError("a bank holds what was trained beside one frozen language model, no tuned or random ones")
    first = prompts[0]
    for prompt in prompts[1:]:
        for what in ("lm", "codebook", "frames_per_second"):
            if prompt.about[what] != first.about[what]:
                raise SpeechkitError(
                    f"the prompts of `{names[0]}` and `{prompt.task.config.name}` differ in `{what}`: "
                    f"{first.about[what]!s:.12} and {prompt.about[what]!s:.12}"
                )
        shapes = [{name: row.shape for name, row in p.model.method.rows().items()} for p in (first, prompt)]
        configs = [p.model.method.config.model_dump(exclude={"dropout", "init", "init_noise"}) for p in (first, prompt)]
        if shapes[0] != shapes[1] or configs[0] != configs[1]:
            raise SpeechkitError(
                f"the prompts of `{names[0]}` and `{prompt.task.config.name}` are of different shape",
                where=[f"`{p.task.config.name}`: {p.about['method']}" for p in (first, prompt)],
                hint="train them with the same `method`, or put them into two banks",
            )


def _stack(readouts: Sequence[Readout], lm: UnitLm, width: int) -> Readout:
    """Readouts padded to one width; where some read logits and others states, the missing weights are 0."""
    sizes = (lm.num_tokens, lm.config.dim)
    weights: list[Tensor | None] = []
    for part, size in enumerate(sizes):
        own = [readout[part] for readout in readouts]
        stacked = [torch.zeros(1, size, width) if one is None else _wide(one, width, 0.0) for one in own]
        weights.append(None if all(one is None for one in own) else torch.cat(stacked).detach())
    bias_NL = torch.cat([_wide(readout.bias_BL, width, -torch.inf) for readout in readouts]).detach()
    return Readout(weights[0], weights[1], bias_NL)


def _wide(tensor: Tensor, width: int, value: float) -> Tensor:
    return nn.functional.pad(tensor, (0, width - tensor.shape[-1]), value=value)


def one_by_one(bank: Bank, batch: PromptBatch, tasks_B: Tensor) -> Tensor:
    """The same log-probs by a pass of its own for each task: what a batch of many tasks saves."""
    found = torch.full((len(tasks_B), bank.readout.bias_BL.shape[1]), -torch.inf)
    for number in sorted(set(tasks_B.tolist())):
        rows = (tasks_B == number).nonzero()[:, 0]
        model = bank.prompts[number].model
        own = model.first_log_probs(Padded(batch.source.tokens_BT[rows], batch.source.lengths_B[rows]))
        found[rows, : own.shape[1]] = own
    return found
