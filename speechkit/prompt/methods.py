"""What is trained beside a frozen language model, as tensors, and how tensors become a prompt.

Names: `separator` (D), and for each stack (decoder, encoder) `_input` (P, D), `_keys` and `_values` (layers, P, Dk),
and for each target of low-rank updates `_<target>_a` (layers, I, R) and `_<target>_b` (layers, R, O). With a leading
row for each example, or one row for all, they make a prompt: a bank gathers rows, a single prompt has one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from speechkit.models.ulm import Padded, UnitLm
from speechkit.nn.injection import Columns, Injection, LayerInjection, LowRank, Prompt
from speechkit.nn.transformer import Attention, Transformer
from speechkit.prompt.config import FullConfig, HeadConfig, LoraConfig, MethodConfig, PromptConfig

Tensors = dict[str, Tensor]
SEPARATOR, METHOD_PREFIX = "separator", "method."
_MAX_REAL_UNITS = 500


class StackShape(NamedTuple):
    """Sizes of a stack of layers: model, queries side by side, keys side by side."""

    num_layers: int
    dim: int
    query_dim: int
    key_dim: int

    def of_projection(self, name: str) -> tuple[int, int]:
        """Input and output size of a projection of the self-attention."""
        sizes = {"query": self.query_dim, "key": self.key_dim, "value": self.key_dim}
        return (self.query_dim, self.dim) if name == "output" else (self.dim, sizes[name])


def stacks_of(lm: UnitLm) -> dict[str, StackShape]:
    """The stacks of a model that a prompt reaches."""
    config = lm.config
    return {
        name: StackShape(len(stack.layers), config.dim, config.query_dim, config.key_dim)
        for name, stack in transformers_of(lm).items()
    }


def transformers_of(lm: UnitLm) -> dict[str, Transformer]:
    """The decoder, and the encoder where there is one."""
    return {"decoder": lm.decoder} | ({} if lm.encoder is None else {"encoder": lm.encoder})


def initial_tensors(config: MethodConfig, lm: UnitLm, sources: Sequence[tuple[int, ...]]) -> Tensors:
    """The tensors of a method before training; torch's generator decides what is random.

    Args:
        sources: units of some training utterances, whose keys and values prompts start from.
    """
    if isinstance(config, FullConfig):
        return {}
    tensors = {SEPARATOR: embeddings_of(lm)[lm.sep_id].clone()}
    if isinstance(config, PromptConfig):
        tensors |= _prompt_tensors(config, lm, sources)
    elif isinstance(config, LoraConfig):
        for name, stack in stacks_of(lm).items():
            for target in config.targets:
                size_in, size_out = stack.of_projection(target)
                a_LIR = torch.randn(stack.num_layers, size_in, config.rank) * size_in**-0.5
                tensors[f"{name}_{target}_a"] = a_LIR
                tensors[f"{name}_{target}_b"] = torch.zeros(stack.num_layers, config.rank, size_out)
    return tensors


@torch.no_grad()
def embeddings_of(lm: UnitLm) -> Tensor:
    """What the layers read for each token (V, D), positions left out."""
    return lm.embed(torch.arange(lm.num_tokens, device=lm.embedding.weight.device)[None])[0]


def _prompt_tensors(config: PromptConfig, lm: UnitLm, sources: Sequence[tuple[int, ...]]) -> Tensors:
    tensors: Tensors = {}
    size_P = config.length
    for name, stack in stacks_of(lm).items():
        if config.where != "deep":
            tensors[f"{name}_input"] = torch.zeros(size_P, stack.dim)
            if config.init == "real":
                tensors[f"{name}_input"] += embeddings_of(lm)[: lm.num_units].mean(0)
        if config.where != "input":
            size = stack.key_dim if config.projection == "post" else stack.dim
            for kind in ("keys", "values"):
                tensors[f"{name}_{kind}"] = torch.zeros(stack.num_layers, size_P, size)
    if config.init == "real" and config.where != "input":
        for name, found in real_columns(lm, sources, config).items():
            tensors[name] = found.clone()
    return {name: tensor + config.init_noise * torch.randn_like(tensor) for name, tensor in tensors.items()}


@torch.no_grad()
def real_columns(lm: UnitLm, sources: Sequence[tuple[int, ...]], config: PromptConfig) -> Tensors:
    """Keys and values (or what the layers project to them) at random places of some utterances, for every layer."""
    heard: dict[str, list[Tensor]] = {f"{name}_{kind}": [] for name in stacks_of(lm) for kind in ("keys", "values")}

    def listen(name: str, layer: Attention) -> RemovableHandle:
        def keep(_module: nn.Module, args: tuple[Tensor, ...]) -> None:
            x_ND = args[0][0]
            places_P = torch.randint(len(x_ND), (config.length,))
            x_PD = x_ND[places_P]
            is_post = config.projection == "post"
            heard[f"{name}_keys"].append(layer.key(x_PD) if is_post else x_PD)
            heard[f"{name}_values"].append(layer.value(x_PD) if is_post else x_PD)

        return layer.register_forward_pre_hook(keep)

    stacks = transformers_of(lm).items()
    attentions = [(name, module) for name, stack in stacks for module in stack.modules() if type(module) is Attention]
    handles = [listen(name, module) for name, module in attentions]
    try:
        most = min(_MAX_REAL_UNITS, lm.config.max_positions - 3)  # with the end and the separator
        units = torch.tensor([unit for source in sources for unit in source][:most])[None]
        lm.states(Padded(units, torch.tensor([units.shape[1]])), Padded(units[:, :0], torch.tensor([0])))
    finally:
        for handle in handles:
            handle.remove()
    return {name: torch.stack(columns) for name, columns in heard.items()}


def make_prompt(tensors: Mapping[str, Tensor], config: MethodConfig, stacks: Mapping[str, StackShape]) -> Prompt:
    """The prompt that tensors with leading rows stand for."""
    if isinstance(config, FullConfig):
        return Prompt()
    injections = {name: _injection(tensors, config, name, stack) for name, stack in stacks.items()}
    return Prompt(injections["decoder"], injections.get("encoder"))


def _injection(
    tensors: Mapping[str, Tensor], config: PromptConfig | LoraConfig | HeadConfig, name: str, stack: StackShape
) -> Injection:
    input_BPD = tensors.get(f"{name}_input")
    keys_BLPD, values_BLPD = tensors.get(f"{name}_keys"), tensors.get(f"{name}_values")
    layers = []
    for layer in range(stack.num_layers):
        columns = None
        low_rank: dict[str, LowRank] = {}
        if keys_BLPD is not None and values_BLPD is not None:
            columns = Columns(keys_BLPD[:, layer], values_BLPD[:, layer])
        if isinstance(config, LoraConfig):
            scale = config.alpha / config.rank
            for target in config.targets:
                a_BLIR, b_BLRO = tensors[f"{name}_{target}_a"], tensors[f"{name}_{target}_b"]
                low_rank[target] = LowRank(a_BLIR[:, layer], b_BLRO[:, layer] * scale)
        layers.append(LayerInjection(columns, low_rank))
    is_projected = not isinstance(config, PromptConfig) or config.projection == "post"
    return Injection(input_BPD, tuple(layers), is_projected, tensors[SEPARATOR])


def behind_projections(rows: Tensors, config: MethodConfig, lm: UnitLm) -> tuple[Tensors, MethodConfig]:
    """The same prompt with the keys and values that frozen projections make of its columns; what attention sees."""
    if not isinstance(config, PromptConfig) or config.projection == "post" or config.where == "input":
        return rows, config
    found = dict(rows)
    for name, stack in transformers_of(lm).items():
        layers = [module for module in stack.modules() if type(module) is Attention]
        for kind, linears in (("keys", [a.key for a in layers]), ("values", [a.value for a in layers])):
            columns_BLPD = rows[f"{name}_{kind}"]
            projected = [linear(columns_BLPD[:, number]) for number, linear in enumerate(linears)]
            found[f"{name}_{kind}"] = torch.stack(projected, 1)
    return found, config.model_copy(update={"projection": "post"})


class Method(nn.Module):
    """The trained tensors of a method, and the prompt they make."""

    def __init__(self, config: MethodConfig, lm: UnitLm, tensors: Tensors) -> None:
        super().__init__()
        self.config, self.stacks = config, stacks_of(lm)
        for name, tensor in tensors.items():
            self.register_parameter(name, nn.Parameter(tensor))
        self.names = tuple(tensors)

    def rows(self) -> Tensors:
        """The tensors with one row that serves all examples."""
        return {name: getattr(self, name)[None] for name in self.names}

    def prompt(self, lm: UnitLm) -> Prompt:
        """The prompt; with dropout in training."""
        tensors = self.rows()
        if self.training:
            if isinstance(self.config, PromptConfig):
                tensors |= {name: self._dropped(tensor) for name, tensor in tensors.items() if name != SEPARATOR}
            return make_prompt(tensors, self.config, self.stacks)
        return make_prompt(*behind_projections(tensors, self.config, lm), self.stacks)

    def _dropped(self, tensor: Tensor) -> Tensor:
        rate = self.config.dropout if isinstance(self.config, PromptConfig) else 0.0
        return nn.functional.dropout(tensor, rate)
