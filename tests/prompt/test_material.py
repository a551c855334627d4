"""What a prompt is trained on: the units of training utterances with noise."""

from __future__ import annotations

from itertools import pairwise

from prompt_corpus import K, random_lm, some_task

from speechkit.prompt.config import HeadConfig
from speechkit.prompt.examples import Example
from speechkit.prompt.material import PromptMaterial
from speechkit.prompt.verbalizer import LabelMap

EXAMPLES = [Example(f"u{number}", tuple(range(K)) * 50, (number % 3,)) for number in range(4)]


def _units(noise: float, epoch: int = 0, order: int = 1) -> dict[str, list[int]]:
    map_ = LabelMap("linear", (0, 1, 2))
    material = PromptMaterial(random_lm(), some_task(), HeadConfig(), map_, EXAMPLES, noise=noise, seed=3)
    batch = material.make_batch(material.epoch(epoch)[::order], epoch)
    rows = zip(batch.utt_ids, batch.source.tokens_BT.tolist(), batch.source.lengths_B.tolist(), strict=True)
    return {utt_id: tokens[:size] for utt_id, tokens, size in rows}


def test_units_stay_as_they_are_without_noise() -> None:
    assert _units(0.0) == {example.utt_id: list(example.units) for example in EXAMPLES}


def test_half_of_the_noise_leaves_units_out_and_half_replaces_them() -> None:
    found = _units(0.2)
    sizes = [len(units) for units in found.values()]
    assert all(320 < size < 390 for size in sizes)  # 10 % of 400 are left out
    # of those left, one in nine is drawn from all K: pairs of neighbours in counting order become fewer
    pairs = [(b - a) % K == 1 for units in found.values() for a, b in pairwise(units)]
    assert 0.62 < sum(pairs) / len(pairs) < 0.80


def test_noise_follows_epoch_and_utterance_not_the_order() -> None:
    assert _units(0.2) == _units(0.2, order=-1)
    assert _units(0.2) != _units(0.2, epoch=1)
    rows = list(_units(0.2).values())
    assert rows[0] != rows[1]


def test_an_utterance_of_which_nothing_is_left_stays() -> None:
    example = Example("short", (1,), (0,))
    material = PromptMaterial(
        random_lm(), some_task(), HeadConfig(), LabelMap("linear", (0, 1, 2)), [example], noise=0.99
    )
    sizes = {int(material.make_batch([example], epoch).source.lengths_B[0]) for epoch in range(30)}
    assert sizes == {1}
