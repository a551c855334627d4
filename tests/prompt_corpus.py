"""A small world for prompts: words as runs of units that go up or down, a language model that knows them, manifests."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import torch
from unit_corpus import write_units

from speechkit.config import load_config
from speechkit.data.store import make_cut, save_cuts
from speechkit.models.config import UlmConfig
from speechkit.models.ulm import UnitLm
from speechkit.prompt.config import MethodConfig, PromptConfig, TaskConfig
from speechkit.prompt.examples import Example
from speechkit.prompt.methods import initial_tensors
from speechkit.prompt.model import PromptedLm
from speechkit.prompt.tasks import Task
from speechkit.prompt.trained import TrainedPrompt, lm_fingerprint
from speechkit.prompt.verbalizer import make_label_map
from speechkit.rng import rng
from speechkit.train import loop
from speechkit.train.config import UnitTrainConfig

K = 8
# a bigram model can not tell where these words go on, a model of two units before can
WORDS = {"up": (0, 1, 2, 3), "down": (3, 2, 1, 0), "rise": (4, 5, 6, 7), "fall": (7, 6, 5, 4)}


def utterances(num: int, *, prefix: str, max_words: int = 4) -> dict[str, tuple[str, ...]]:
    """Words of each utterance."""
    found = {}
    for number in range(num):
        draw = rng(0, "prompt corpus", prefix, number)
        size = int(draw.integers(1, max_words + 1))
        found[f"{prefix}-{number}"] = tuple(str(word) for word in draw.choice(list(WORDS), size))
    return found


def write_source(folder: Path, num: int, *, prefix: str, codebook: str = "c0de") -> Path:
    """`folder/units` and `folder/cuts`: text, and as custom fields the first word and how many there are."""
    spoken = utterances(num, prefix=prefix)
    units = {utt_id: [unit for word in words for unit in WORDS[word]] for utt_id, words in spoken.items()}
    write_units(folder / "units", units, k=K, codebook=codebook)
    cuts = []
    for utt_id, words in spoken.items():
        audio = folder / f"{utt_id}.wav"
        cut = make_cut(utt_id, audio, sampling_rate=8000, num_samples=8000, text=" ".join(words), speaker=prefix)
        cut.supervisions[0].custom = {"first": words[0], "count": f"{len(words)}"}
        cuts.append(cut)
    (folder / "cuts").mkdir()
    save_cuts(cuts, folder / "cuts" / "cuts.jsonl.gz")
    return folder


def train_lm(folder: Path, *, codebook: str = "c0de") -> Path:
    """A language model of these words, better than a bigram model."""
    source = write_source(folder / "lm-data", 100, prefix="lm", codebook=codebook)
    held_out = write_source(folder / "lm-dev", 30, prefix="lmdev", codebook=codebook)
    conf = folder / "ulm.yaml"
    conf.write_text(
        "model: {kind: ulm, dim: 24, num_layers: 2, num_heads: 2, ff_dim: 48, dropout: 0}\n"
        "optim: {num_steps: 70, lr: 2e-2, warmup_steps: 5}\n"
    )
    loop.run(load_config(UnitTrainConfig, conf), train=[source / "units"], dev=held_out / "units", out=folder / "lm")
    return folder / "lm"


@lru_cache(maxsize=4)
def random_lm(architecture: str = "decoder") -> UnitLm:
    """A language model without training, in eval mode."""
    torch.manual_seed(5)
    config = UlmConfig(
        dim=16, num_heads=2, num_layers=2, num_encoder_layers=1, ff_dim=32, dropout=0.0,
        architecture=architecture,  # type: ignore[arg-type]
    )  # fmt: skip
    return UnitLm(config, num_units=K).eval()


def some_task(name: str = "t", num_labels: int = 3, **fields: object) -> Task:
    """A classification without data."""
    config = TaskConfig.model_validate({"name": name, "label": "first", **fields})
    return Task(config, (tuple(f"l{number:02d}" for number in range(num_labels)),))


def trained(
    lm: UnitLm, task: Task, method: MethodConfig | None = None, *, seed: int = 0, noise: float = 0.3
) -> TrainedPrompt:
    """A prompt of random tensors, as if it had been trained."""
    torch.manual_seed(seed)
    method = method or PromptConfig(length=3)
    tensors = {
        name: own + noise * torch.randn_like(own) for name, own in initial_tensors(method, lm, [(1, 2, 3)]).items()
    }
    examples = [Example("a", (1, 2), (0,))]
    label_map = make_label_map(task, examples, num_units=lm.num_units, seed=seed)
    model = PromptedLm(lm, task, method, label_map, tensors).eval().requires_grad_(False)
    about = {
        "format": 1, "lm": lm_fingerprint(lm), "random_lm": None, "codebook": "c0de", "frames_per_second": 50.0,
        "task": task.as_json(), "method": method.model_dump(mode="json"), "verbalizer": label_map.as_json(),
        "num_parameters": 1, "num_lm_parameters": 1, "cpu_seconds": 0.0,
    }  # fmt: skip
    return TrainedPrompt(model, about)
