"""Break points of made curves are found again; cells are read from files as the commands leave them."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make import make_cut, make_wav

from speechkit.audit.breaks import crossing_of, find_break, fit_curve, rank_correlations, spearman
from speechkit.audit.cells import Cell, count_pairs, predicted_flip, read_cells
from speechkit.audit.config_curve import CurveConfig
from speechkit.audit.curve import chart, run, summarise, tables_of
from speechkit.audit.truth import Truth
from speechkit.data.store import save_cuts
from speechkit.errors import ConfigError, SpeechkitError

DIGITS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "zero"]


def pairs_of(rate: float, num_others: int, number: int = 3600) -> Counter[tuple[str, str]]:
    """Counts of words of which a share is wrong, evenly one of the next `num_others` words."""
    pairs: Counter[tuple[str, str]] = Counter()
    for i, word in enumerate(DIGITS):
        pairs[word, word] = round((1 - rate) * number)
        for k in range(1, num_others + 1):
            pairs[word, DIGITS[(i + k) % 10]] = round(rate * number / num_others)
    return pairs


def cell(rate: float, auroc: float, *, family: str = "pairflip", group: str = "", seed: int = 0) -> Cell:
    others = {"pairflip": 1, "confusable": 3, "sub": 9}[family]
    path = f"{group}/{family}-{rate}-{seed}.json"
    return Cell(
        path, group, family, rate, rate, seed, auroc, (auroc - 0.02, auroc + 0.02), 0.01, 0.9, 10.0, 20.0,
        pairs_of(rate, others),
    )  # fmt: skip


def curve_of(r50: float, level: float, width: float, rate: float) -> float:
    return float(0.5 + level * np.tanh((r50 - rate) / width))


@settings(deadline=None, max_examples=8)
@given(st.floats(0.35, 0.85), st.floats(0.3, 0.5), st.floats(0.05, 0.25))
def test_a_made_curve_is_found_again(r50: float, level: float, width: float) -> None:
    rates = np.linspace(0.05, 0.98, 14)
    found = fit_curve(rates, np.array([curve_of(r50, level, width, rate) for rate in rates]))
    assert found == pytest.approx((level, width, r50), abs=0.01)


def test_a_lower_level_does_not_move_the_break_point() -> None:
    rates = (0.1, 0.3, 0.45, 0.6, 0.8)
    config = CurveConfig(num_replicates=40)
    near, far = (
        find_break([cell(rate, curve_of(0.5, level, 0.15, rate)) for rate in rates], config) for level in (0.49, 0.3)
    )
    assert near is not None and far is not None
    assert near.r50 == pytest.approx(0.5, abs=0.01) and far.r50 == pytest.approx(0.5, abs=0.01)
    assert far.level == pytest.approx(0.3, abs=0.02) and near.level > 0.45
    assert near.r50_ci is not None and near.r50_ci[0] < 0.5 < near.r50_ci[1] and np.ptp(near.r50_ci) < 0.1


def test_two_rates_make_no_curve_but_may_cross_one_half() -> None:
    cells = [cell(0.9, 0.1), cell(0.1, 0.9)]
    assert find_break(cells, CurveConfig(num_replicates=0)) is None
    (row,) = tables_of(summarise(cells, CurveConfig(num_replicates=0)))[0].rows
    assert row[-1] == "0.1 and 0.9, near 0.500" and row[5] == "-"
    assert crossing_of([(0.1, 0.9), (0.9, 0.6)]) is None
    assert crossing_of([(0.9, 0.4), (0.1, 0.9), (0.5, 0.6)]) == pytest.approx((0.5, 0.9, 0.7))


def test_predicted_flips_follow_what_a_wrong_word_is() -> None:
    for family, flip in (("sub", 0.9), ("pairflip", 0.5), ("confusable", 0.75)):
        assert predicted_flip(family, [cell(0.3, 0.9, family=family)]) == pytest.approx(flip, abs=1e-3)


def test_a_list_of_confusions_is_counted() -> None:
    listed = replace(cell(0.3, 0.9, family="confusable"), has_list=True)
    listed.pairs.clear()
    listed.pairs.update(pairs_of(0.3, 2))
    assert predicted_flip("confusable", [listed]) == pytest.approx(2 / 3, abs=1e-3)


def test_partners_of_other_seeds_are_counted_apart() -> None:
    first, second = cell(0.5, 0.5), cell(0.5, 0.5, seed=1)
    second.pairs.clear()
    second.pairs.update({(word, DIGITS[i - 1]): 9 for i, word in enumerate(DIGITS)})
    assert predicted_flip("ins", [first, second]) == pytest.approx(0.5)


def test_margin_and_second_eigenvalue_are_those_of_the_known_matrix() -> None:
    even = cell(0.6, 0.9, family="sub")  # K = (1 - r n / (n - 1)) I + constant
    assert even.margin == pytest.approx(0.4 - 0.6 / 9, abs=1e-3)
    assert even.second_eigenvalue == pytest.approx(1 - 0.6 * 10 / 9, abs=1e-3)
    pair = cell(0.6, 0.2)
    assert pair.margin == pytest.approx(0.4 - 0.6, abs=1e-3)
    turn = np.exp(2j * np.pi / 10)
    assert pair.second_eigenvalue == pytest.approx(abs(0.4 + 0.6 * turn), abs=1e-3)


def test_words_are_paired_one_by_one_where_none_is_missing() -> None:
    whole = Truth("a", "sub", "one two", "two one", (0, 1), ())
    missing = Truth("b", "del", "one two three", "one three", (), (1,))
    more = Truth("c", "ins", "one two", "one six two", (1,), ())
    texts = [(fault.before.split(), fault.after.split(), fault) for fault in (whole, missing, more)]
    found = count_pairs([*texts, (["zero"], ["zero"], None)])
    assert found == {
        ("one", "two"): 1, ("two", "one"): 1, ("one", "one"): 2, ("three", "three"): 1, ("two", "two"): 1,
        ("zero", "zero"): 1,
    }  # fmt: skip


def test_rank_correlations_have_signs_and_intervals() -> None:
    rates = np.linspace(0.1, 0.8, 8)
    cells = [cell(rate, 1 - rate) for rate in rates]
    found = rank_correlations(cells, CurveConfig(num_replicates=50))
    assert found["rate"]["correlation"] == pytest.approx(-1)
    assert found["margin"]["correlation"] == pytest.approx(1)
    assert found["margin"]["interval"][1] <= 1
    assert rank_correlations(cells[:3], CurveConfig()) == {}
    assert np.isnan(spearman(np.ones(4), np.arange(4.0)))


def test_the_chart_shows_a_line_per_family() -> None:
    rates = (0.1, 0.5, 0.9)
    cells = [cell(rate, 1 - rate, family=family, group="a<b") for rate in rates for family in ("sub", "pairflip")]
    result = summarise(cells, CurveConfig(num_replicates=5))
    root = ElementTree.fromstring(chart(result["curves"], "a<b"))
    assert len(list(root.iter("polyline"))) == 2
    assert {"sub", "pairflip"} <= {t.text for t in root.iter("text")}
    assert "(beyond the rates)" not in tables_of(result)[0].rows[0][5]


@pytest.fixture
def write_cell(tmp_path: Path) -> Callable[..., Path]:
    """`write_cell("x/a", rate, auroc)` leaves eval.json, and the noise behind it, as the commands do."""
    wav = make_wav(tmp_path / "a.wav")

    def write(name: str, rate: float, auroc: float) -> Path:
        folder = tmp_path / name
        (folder / "noisy").mkdir(parents=True)
        said = [" ".join(DIGITS)] * 10
        wrong = round(10 * rate)
        given = ["two " * wrong + " ".join(DIGITS[wrong:])] * 10
        save_cuts(
            [make_cut(f"u{i}", wav, text=text.strip()) for i, text in enumerate(given)],
            folder / "noisy" / "cuts.jsonl.gz",
        )
        (folder / "noisy" / "config.yaml").write_text(f"mix: sub\nrate: {rate}\nlevel: word\nseed: 3\n")
        places = [place for place in range(wrong) if DIGITS[place] != "two"]
        rows = [
            {"id": f"u{i}", "type": "sub", "before": said[i], "after": given[i].strip(), "wrong_words": places,
             "wrong_gaps": []}
            for i in range(10)
        ]  # fmt: skip
        (folder / "noisy" / "truth.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (folder / "scores").mkdir()
        heard = [{"id": f"u{i}", "hypothesis": said[i]} for i in range(10)]
        (folder / "scores" / "scores.jsonl").write_text("".join(json.dumps(row) + "\n" for row in heard))
        row = {"auroc": auroc, "ap": 0.5, "ci": {"auroc": [auroc - 0.1, auroc + 0.1]}}
        result = {
            "judged": str(folder / "scores"), "truth": str(folder / "noisy"), "ci": {"level": 0.95},
            "words": {"all": {"scores": {"doubt": row}}},
        }  # fmt: skip
        (folder / "eval.json").write_text(json.dumps(result))
        return folder / "eval.json"

    return write


def test_cells_are_read_from_what_the_commands_leave(write_cell: Callable[..., Path]) -> None:
    path = write_cell("near/a", 0.5, 0.8)
    (found,) = read_cells([path], CurveConfig(group="/(near|far)/"))
    assert (found.group, found.family, found.asked, found.seed, found.rate) == ("near", "sub", 0.5, 3, 0.4)
    assert found.wer_said == 0.0 and found.wer_given == pytest.approx(40.0)
    assert found.pairs["one", "two"] == 10 and found.auroc_sd == pytest.approx(0.1 / 1.96, abs=1e-4)


def test_a_folder_of_curves_and_results_are_written(
    write_cell: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [write_cell(f"near/{rate}", rate, 1 - rate) for rate in (0.2, 0.4, 0.6, 0.8)]
    config = CurveConfig(num_replicates=20, group="/(near)/")
    run(config, paths, out=tmp_path / "curves", results_file=tmp_path / "RESULTS.md")
    shown = capsys.readouterr().out
    assert "predicted flip" in shown and "second eigenvalue" in shown
    result = json.loads((tmp_path / "curves" / "curves.json").read_text())
    assert len(result["cells"]) == 4 and result["curves"][0]["predicted_flip"] == 0.9
    text = (tmp_path / "RESULTS.md").read_text()
    assert "### Break points" in text and "Written by `speechkit audit curve`" in text
    assert "<svg" in (tmp_path / "curves" / "curves.html").read_text()
    run(config, paths, out=tmp_path / "curves", results_file=tmp_path / "RESULTS.md")
    assert (tmp_path / "RESULTS.md").read_text() == text


def test_what_is_no_cell_is_named(write_cell: Callable[..., Path], tmp_path: Path) -> None:
    path = write_cell("near/a", 0.5, 0.8)
    with pytest.raises(ConfigError, match="does not match 1 file"):
        read_cells([path], CurveConfig(group="/(elsewhere)/"))
    with pytest.raises(SpeechkitError, match="no AUROC of the word score `spelling`"):
        read_cells([path], CurveConfig(score="spelling"))
    with pytest.raises(SpeechkitError, match="cannot be read"):
        read_cells([tmp_path / "none.json"], CurveConfig())
    (tmp_path / "other.json").write_text('{"wer": 1}')
    with pytest.raises(SpeechkitError, match="holds no measures of words"):
        read_cells([tmp_path / "other.json"], CurveConfig())
    (path.parent / "noisy" / "config.yaml").unlink()
    with pytest.raises(SpeechkitError, match=r"has no config\.yaml"):
        read_cells([path], CurveConfig())


def test_a_group_needs_one_capture_group() -> None:
    with pytest.raises(ValueError, match="0 capture groups"):
        CurveConfig(group="near")
    with pytest.raises(ValueError, match="not a regular expression"):
        CurveConfig(group="(")
