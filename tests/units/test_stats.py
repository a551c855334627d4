"""What units are worth: counts, entropies, agreement with labels, and how they stand changes of the audio."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechkit.data.store import load_cuts
from speechkit.errors import ConfigError, SpeechkitError
from speechkit.units import quantize, stats_run, train
from speechkit.units.config import InvarianceConfig, KmeansConfig, MfccConfig, QuantizeConfig
from speechkit.units.extractor import FrameTimes
from speechkit.units.labels import labelled_frames
from speechkit.units.stats import Labelled, agreement, describe, entropy_bits
from speechkit.units.unit_file import UnitSet, load_units

ABOUT = {"k": 8, "frames_per_second": 100.0, "first_centre_seconds": 0.0, "codebook": "x"}


def unit_set(*utterances: list[int]) -> UnitSet:
    """Units one per frame."""
    flat = np.array([unit for units in utterances for unit in units], np.int32)
    offsets = np.cumsum([0, *map(len, utterances)])
    ids = [f"u{number}" for number in range(len(utterances))]
    return UnitSet(ids, flat, np.ones(len(flat), np.int32), offsets, ABOUT)


def bits(items: list[object]) -> float:
    counts = Counter(items)
    return -sum(n / len(items) * math.log2(n / len(items)) for n in counts.values())


SEQUENCES = st.lists(st.lists(st.integers(0, 7), min_size=1, max_size=9), min_size=1, max_size=4)


@settings(max_examples=60)
@given(SEQUENCES)
def test_counts_and_entropies_are_those_of_the_definition(utterances: list[list[int]]) -> None:
    merged = [[u for i, u in enumerate(units) if i == 0 or units[i - 1] != u] for units in utterances]
    found = describe(unit_set(*utterances))
    flat = [unit for units in merged for unit in units]
    frames = [unit for units in utterances for unit in units]
    assert (found["num_units"], found["num_frames"], found["used"]) == (len(flat), len(frames), len(set(flat)))
    assert found["entropy_bits"]["units"] == pytest.approx(bits(list(flat)), abs=1e-3)
    assert found["entropy_bits"]["frames"] == pytest.approx(bits(list(frames)), abs=1e-3)
    pairs: list[object] = [(a, b) for units in merged for a, b in pairwise(units)]
    lasts: list[object] = [a for units in merged for a, _ in pairwise(units)]
    expected = bits(pairs) - bits(lasts) if pairs else 0.0
    assert found["entropy_bits"]["given_last_unit"] == pytest.approx(expected, abs=1e-3)
    rate = len(flat) / (len(frames) / 100)
    assert found["bits_per_second"]["units"] == pytest.approx(rate * bits(list(flat)), rel=1e-3, abs=0.01)
    assert sum(int(n) * count for n, count in found["run_lengths"]["counts"].items()) == len(frames)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 7)), min_size=1, max_size=40))
def test_agreement_is_that_of_the_definition(frames: list[tuple[int, int]]) -> None:
    labels, units = (np.array(side, np.int64) for side in zip(*frames, strict=True))
    found = agreement(Labelled(units, labels, list("abcd"), 5), 8)
    pairs = Counter(frames)
    purity = sum(max(pairs[label, unit] for label in range(4)) for unit in range(8)) / len(frames)
    unit_purity = sum(max(pairs[label, unit] for unit in range(8)) for label in range(4)) / len(frames)
    label_bits, unit_bits = bits(labels.tolist()), bits(units.tolist())
    shared = label_bits + unit_bits - bits(list(frames))
    assert found["purity"] == pytest.approx(purity, abs=1e-4)
    assert found["unit_purity"] == pytest.approx(unit_purity, abs=1e-4)
    assert found["majority"] == pytest.approx(max(Counter(labels.tolist()).values()) / len(frames), abs=1e-4)
    assert found["mutual_information_bits"] == pytest.approx(shared, abs=1e-3)
    assert found["label_nmi"] == pytest.approx(shared / label_bits if label_bits else 0.0, abs=1e-3)
    both = (label_bits + unit_bits) / 2
    assert found["nmi"] == pytest.approx(shared / both if both else 0.0, abs=1e-3)
    assert found["num_unlabelled_frames"] == 5


def test_entropy_of_equal_shares() -> None:
    assert entropy_bits(np.array([3, 3, 0, 3, 3])) == pytest.approx(2.0)
    assert entropy_bits(np.array([5])) == 0.0


def test_merging_keeps_frames_and_utterances_apart() -> None:
    units = unit_set([1, 1, 2], [2, 2], [3])
    merged = units.merged()
    assert merged.units.tolist() == [1, 2, 2, 3]
    assert merged.runs.tolist() == [2, 1, 2, 1]
    assert [merged.frames(number).tolist() for number in range(3)] == [[1, 1, 2], [2, 2], [3]]


def test_a_moment_belongs_to_the_first_frame_centred_after_it() -> None:
    times = FrameTimes(50.0, 0.0125)
    assert [times.frame_of(seconds) for seconds in (0.0, 0.0125, 0.0126, 0.0325)] == [0, 0, 1, 1]


@pytest.fixture(scope="module")
def made(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a codebook `km` and units `u` of the vowels."""
    place = tmp_path_factory.mktemp("stats")
    features = MfccConfig(sampling_rate=8000, deltas=0)
    train.run(KmeansConfig(features=features, k=10, max_passes=2, final_passes=2), cuts=corpus, out=place / "km")
    quantize.run(QuantizeConfig(), cuts=corpus, codebook=place / "km", out=place / "u")
    return place


def test_units_of_vowels_tell_vowels_and_not_speakers(corpus: Path, made: Path) -> None:
    found = stats_run.run(made / "u", cuts=corpus, against=["word", "speaker"])
    word, speaker = found["against"]["word"], found["against"]["speaker"]
    assert word["num_labels"] == 3
    assert word["purity"] > 0.9 > 0.4 > word["majority"]
    assert word["label_nmi"] > 0.7
    assert speaker["num_labels"] == 2
    assert speaker["label_nmi"] < 0.2
    assert word["num_frames"] + word["num_unlabelled_frames"] == speaker["num_frames"] == found["num_frames"] == 732


def test_labels_of_a_tier_are_those_of_its_times(corpus: Path, made: Path) -> None:
    units, cuts = load_units(made / "u"), {cut.id: cut for cut in load_cuts(corpus)}
    found = labelled_frames(units, cuts, "word")
    # 0.2 s at 100 frames per second each; the last frame is centred at the end, in no word
    assert found.num_unlabelled == 12
    names = [found.names[label] for label in found.labels[:60:20]]
    assert " ".join(names) == cuts["v00"].supervisions[0].text


def test_missing_utterances_and_unknown_labels_are_named(corpus: Path, made: Path) -> None:
    units, cuts = load_units(made / "u"), {cut.id: cut for cut in load_cuts(corpus)}
    with pytest.raises(SpeechkitError, match="no utterance has a tier or field `accent`"):
        labelled_frames(units, cuts, "accent")
    del cuts["v03"]
    with pytest.raises(SpeechkitError, match="lacks 1 utterance") as missing:
        labelled_frames(units, cuts, "word")
    assert missing.value.where == ["v03"]
    with pytest.raises(ConfigError, match="of a manifest"):
        stats_run.run(made / "u", against=["word"])


def test_changes_that_change_nothing_leave_all_units(corpus: Path, made: Path) -> None:
    nothing = InvarianceConfig(num_utterances=4, noise_snr_db=(80.0, 0.0), speeds=(1.0, 1.25), gains_db=(0.0,))
    found = stats_run.run(made / "u", cuts=corpus, codebook=made / "km", invariance=nothing)["invariance"]
    assert found["num_utterances"] == 4
    for name in ("gain +0 dB", "speed 1"):
        assert found[name] == {"equal": 1.0, "unit_edit_percent": 0.0, "equal_frames": 1.0}
    assert found["noise 80 dB"]["equal_frames"] > 0.9 > found["noise 0 dB"]["equal_frames"]
    assert found["noise 0 dB"]["unit_edit_percent"] > 10
    assert "equal_frames" not in found["speed 1.25"]


def test_units_of_another_codebook_are_refused(corpus: Path, made: Path, tmp_path: Path) -> None:
    features = MfccConfig(sampling_rate=8000, deltas=0)
    train.run(KmeansConfig(features=features, k=9, max_passes=1, final_passes=1), cuts=corpus, out=tmp_path / "km")
    with pytest.raises(SpeechkitError, match="were not made with the codebook"):
        stats_run.run(made / "u", cuts=corpus, codebook=tmp_path / "km", invariance=InvarianceConfig())
    with pytest.raises(ConfigError, match="encodes audio again"):
        stats_run.run(made / "u", cuts=corpus, invariance=InvarianceConfig())
