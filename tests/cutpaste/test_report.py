"""What the report of a plan says: join measures, diversity before and after, what was left out, players."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from paste_corpus import make_inventory, make_paste_corpus

from speechkit.cutpaste import report
from speechkit.cutpaste.assemble import SUMMARY_FILE
from speechkit.cutpaste.config import PlanConfig
from speechkit.cutpaste.plan import TextFiles, run_plan
from speechkit.cutpaste.plan_file import join_places, load_plan
from speechkit.cutpaste.report import Places, run_report
from speechkit.errors import SpeechkitError
from speechkit.log import log_to


def _plan(folder: Path, inventory: Path, **options: Any) -> Path:
    run_plan(PlanConfig(num=40, **options), inventory=inventory, out=folder, files=TextFiles())
    return folder


@pytest.fixture(scope="module")
def plan(inventory_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _plan(tmp_path_factory.mktemp("report") / "plan", inventory_folder)


def test_the_json_counts_joins_and_compares_texts(plan: Path, tmp_path: Path) -> None:
    (tmp_path / "target.txt").write_text("ba de\nba never\n")
    run_report(plan, target=[tmp_path / "target.txt"], json_file=tmp_path / "r.json")
    result = json.loads((tmp_path / "r.json").read_text())
    header = json.loads((plan / "plan.json").read_text())
    joins = result["joins"]
    assert joins["num_utterances"] == 40
    loaded = load_plan(plan)
    assert 0 < joins["num"] == sum(len(join_places(u)) for u in loaded.utterances) <= header["num_joins"]
    assert joins["num_natural"] == sum(len(source.boundaries) for source in loaded.sources)
    assert 0.5 < joins["distance_ratio"] < 1.5
    assert 0.0 <= joins["splice_auc"] <= 1.0 and 0.0 <= joins["splice_auc_same_words"] <= 1.0
    assert 0.0 <= joins["click_rate"] <= 100.0
    texts = result["texts"]
    assert texts["recorded"]["num_texts"] == 5
    assert texts["both"]["num_utterances"] == texts["recorded"]["num_utterances"] + 40
    assert texts["pasted"]["effective_texts"] > texts["recorded"]["effective_texts"]
    assert (texts["recorded"]["unseen_bigram_rate"], texts["recorded"]["oov_rate"]) == (50.0, 25.0)
    assert result["inventory"]["num_snippets"]["1"] > 0


def test_the_page_holds_players_and_no_address_of_the_network(plan: Path, tmp_path: Path) -> None:
    page = tmp_path / "r.html"
    run_report(plan, num=10, num_players=2, html_file=page)
    text = page.read_text()
    assert text.count("<audio") == 4
    assert text.count("recorded: ") == 2
    assert "http://" not in text and "https://" not in text


def test_the_same_plan_gives_the_same_numbers(plan: Path) -> None:
    assert run_report(plan, num=15) == run_report(plan, num=15)


def test_without_the_inventory_its_counts_are_missing_and_nothing_else(
    tone_words: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_inventory(tone_words, tmp_path / "inv")
    plan = _plan(tmp_path / "plan", tmp_path / "inv")
    with_counts = run_report(plan, num=5)
    (tmp_path / "inv").rename(tmp_path / "moved")
    without = run_report(plan, num=5)
    assert without.pop("inventory") is None and with_counts.pop("inventory") is not None
    assert without == with_counts
    assert "hours recorded" in capsys.readouterr().out


def test_an_inventory_that_was_made_anew_is_not_that_of_the_plan(tone_words: Path, tmp_path: Path) -> None:
    make_inventory(tone_words, tmp_path / "inv")
    plan = _plan(tmp_path / "plan", tmp_path / "inv")
    assert run_report(plan, num=5)["inventory"] is not None
    summary = tmp_path / "inv" / SUMMARY_FILE
    summary.write_text(summary.read_text() + "\n")
    with log_to(tmp_path / "log.txt"):
        assert run_report(plan, num=5)["inventory"] is None
    assert "no longer the inventory of this plan" in (tmp_path / "log.txt").read_text()


def test_words_of_natural_boundaries_are_known_where_none_is_missing(plan: Path) -> None:
    source = load_plan(plan).sources[0]
    words = source.text.split()
    pairs = [pair for _, pair in report._boundaries(source)]
    assert pairs == list(itertools.pairwise(words)) and len(pairs) > 1
    assert {pair for _, pair in report._boundaries(replace(source, boundaries=source.boundaries[1:]))} == {("", "")}


def test_the_second_answer_of_the_detector_is_of_balanced_words() -> None:
    # the sound says which word is before a place, nothing else; joins have other words than natural boundaries
    gen = np.random.default_rng(0)
    made, natural = Places(), Places()
    for places, share in ((made, 0.8), (natural, 0.2)):
        is_a = gen.random(400) < share
        places.windows = [np.stack([is_a, gen.normal(size=400)], axis=1).astype(float)]
        places.words = [("a" if own else "b", "c") for own in is_a]
        places.texts = [str(number // 4) + str(share) for number in range(400)]
    raw, balanced = (report._splice_auc(made, natural, same_words=same_words) for same_words in (False, True))
    assert raw is not None and raw > 0.75
    assert balanced is not None and 0.4 < balanced < 0.6


def test_joins_that_jump_are_measured_as_worse(plan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = run_report(plan)["joins"]
    add = Places.add

    recorded = {source.text for source in load_plan(plan).sources}

    def spoil(self: Places, text: str, samples: np.ndarray, places: Any, sampling_rate: int) -> None:
        if text not in recorded:
            samples = samples.copy()
            for place, _ in places:  # a burst right after the join
                samples[place : place + 40] += 0.3
        add(self, text, samples, places, sampling_rate)

    monkeypatch.setattr(report.Places, "add", spoil)
    after = run_report(plan)["joins"]
    assert after["distance_ratio"] > before["distance_ratio"]
    assert after["click_rate"] > before["click_rate"]
    assert after["splice_auc"] > max(0.9, before["splice_auc"])


def test_a_plan_whose_recordings_are_gone_is_refused_by_name(tmp_path: Path) -> None:
    corpus = make_paste_corpus(tmp_path / "corpus", num_speakers=1)
    make_inventory(corpus, tmp_path / "inv")
    plan = _plan(tmp_path / "plan", tmp_path / "inv")
    for path in (corpus / "audio").iterdir():
        path.unlink()
    with pytest.raises(SpeechkitError, match="no utterance of the plan can be rendered"):
        run_report(plan)
