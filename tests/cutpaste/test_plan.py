"""Plans: what they hold, that no excluded text gets in, amounts, speakers, and the file."""

from __future__ import annotations

import itertools
import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paste_corpus import RATE, TEXTS, make_inventory, make_paste_corpus

from speechkit.config import build_config
from speechkit.cutpaste.config import Mode, PlanConfig
from speechkit.cutpaste.exclude import Exclusion, text_key
from speechkit.cutpaste.inventory import Inventory
from speechkit.cutpaste.plan import TextFiles, gains_db, make_plan, run_plan
from speechkit.cutpaste.plan_file import Plan, load_plan, plan_line, save_plan
from speechkit.data.store import load_cuts, save_cuts
from speechkit.errors import ConfigError, SpeechkitError

MODES = ("perm", "uniform", "ngram", "target-lm", "swap", "cover")
TARGET = ["ba tu de", "gi po ka", "de ka", "ba de gi", "po xx ba"]


def plan_of(
    inventory: Inventory, *, exclude: list[str] | None = None, target: list[str] | None = None, **fields: object
) -> Plan:
    config = build_config(PlanConfig, {"num": 40, **fields})
    return make_plan(inventory, config, exclusion=Exclusion(exclude or []), target=target or TARGET)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("speakers", ["same", "any"])
def test_the_pieces_say_the_text_with_words_of_the_speaker(inventory: Inventory, mode: Mode, speakers: str) -> None:
    plan = plan_of(inventory, text={"mode": mode}, speakers=speakers)
    said = {
        (s, int(t["start"])): inventory.words[t["word"]]
        for s, source in enumerate(inventory.sources)
        for t in inventory.tokens[inventory.tokens["source"] == s]
    }
    number_of = {source.utt_id: number for number, source in enumerate(inventory.sources)}
    assert len(plan.utterances) == 40
    for utterance in plan.utterances:
        words = [said[number_of[plan.sources[p.source].utt_id], mark[0]] for p in utterance.pieces for mark in p.marks]
        assert " ".join(words) == utterance.text
        owners = {plan.sources[piece.source].speaker for piece in utterance.pieces}
        assert owners == {utterance.speaker} or speakers == "any"
    assert len({utterance.utt_id for utterance in plan.utterances}) == 40


@pytest.mark.parametrize("mode", MODES)
def test_a_plan_depends_on_its_seed_only(inventory: Inventory, mode: Mode) -> None:
    first, again, other = (plan_of(inventory, text={"mode": mode}, seed=seed) for seed in (1, 1, 2))
    lines = [list(map(plan_line, plan.utterances)) for plan in (first, again, other)]
    assert lines[0] == lines[1] != lines[2]


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(MODES), st.integers(0, 1000), st.floats(0.2, 0.9), st.sampled_from(["same", "any"]))
def test_no_excluded_text_is_ever_planned(
    inventory: Inventory, mode: Mode, seed: int, share: float, speakers: str
) -> None:
    # with three words at most most texts are test texts: a planner that does not look would hit one at once
    gen = np.random.default_rng(seed)
    words = ["ba", "de", "gi", "po", "tu", "ka"]
    possible = [" ".join(text) for size in (2, 3) for text in itertools.product(words, repeat=size)]
    never = [text.upper() + "." for text in possible if gen.random() < share]
    fields = {"text": {"mode": mode, "min_words": 2, "max_words": 3}, "seed": seed, "speakers": speakers, "num": 15}
    try:
        plan = plan_of(inventory, exclude=never, target=possible, **fields)
    except SpeechkitError as error:
        assert "may be used" in error.what
        return
    keys = {text_key(text) for text in never}
    assert not [u.text for u in plan.utterances if text_key(u.text) in keys]
    assert plan.header["num_excluded"] > 0 or share < 0.5


def test_when_every_text_is_excluded_the_plan_fails_and_says_so(inventory: Inventory) -> None:
    words = ["ba", "de", "gi", "po", "tu", "ka"]
    never = [" ".join(text) for text in itertools.product(words, repeat=2)]
    with pytest.raises(SpeechkitError, match="no text of 200 drafts in mode uniform may be used") as caught:
        plan_of(inventory, exclude=never, text={"mode": "uniform", "min_words": 2, "max_words": 2})
    assert "200 drafts were excluded" in caught.value.render()


def test_recorded_texts_are_avoided_while_there_are_others(inventory: Inventory) -> None:
    plan = plan_of(inventory, text={"mode": "uniform", "min_words": 2, "max_words": 2})
    assert not {utterance.text for utterance in plan.utterances} & set(TEXTS)
    assert plan.header["num_recorded_texts_repeated"] == 0


def test_amounts_by_number_hours_and_ratio(inventory: Inventory) -> None:
    recorded = sum(source.num_samples for source in inventory.sources) / RATE
    hours = plan_of(inventory, num=None, hours=0.02)
    longest = max(utterance.num_samples for utterance in hours.utterances) / RATE
    assert 72 <= sum(u.num_samples for u in hours.utterances) / RATE < 72 + longest
    ratio = plan_of(inventory, num=None, ratio=2.0)
    assert 2 * recorded <= sum(u.num_samples for u in ratio.utterances) / RATE < 2 * recorded + longest
    with pytest.raises(ConfigError, match="exactly one"):
        plan_of(inventory, num=3, ratio=2.0)


@pytest.mark.parametrize("balance, expected", [("natural", 1 / 3), ("equal", 1 / 2)])
def test_speakers_get_their_share_of_the_seconds(tmp_path: Path, balance: str, expected: float) -> None:
    corpus = make_paste_corpus(tmp_path / "corpus", num_speakers=1, texts=TEXTS[:2] * 2)
    cuts = list(load_cuts(corpus))
    cuts[3].supervisions[0].speaker = "other"
    save_cuts([cuts[0], cuts[2], cuts[3]], tmp_path / "cuts.jsonl.gz")
    inventory = make_inventory(tmp_path / "cuts.jsonl.gz", tmp_path / "inv")
    plan = plan_of(inventory, balance=balance, num=100)
    seconds = Counter()
    for utterance in plan.utterances:
        seconds[utterance.speaker] += utterance.num_samples
    own = {
        s.speaker: sum(o.num_samples for o in inventory.sources if o.speaker == s.speaker) for s in inventory.sources
    }
    share = own["other"] / sum(own.values()) if balance == "natural" else expected
    assert seconds["other"] / seconds.total() == pytest.approx(share, abs=0.03)


def test_gains_bring_recordings_to_the_median_of_their_speaker_within_limits(inventory: Inventory) -> None:
    config = build_config(PlanConfig, {"num": 1})
    gains = gains_db(inventory, config)
    levels = np.array([source.level_db for source in inventory.sources])
    owners = inventory.speaker_of_source()
    for owner in (0, 1):
        matched = (levels + gains)[owners == owner]
        assert np.allclose(matched, np.median(levels[owners == owner]), atol=0.02)
    limited = gains_db(inventory, build_config(PlanConfig, {"num": 1, "paste": {"max_gain_db": 0.5}}))
    assert max(map(abs, limited)) == 0.5


def test_pauses_come_as_often_and_as_long_as_asked(inventory: Inventory) -> None:
    plan = plan_of(inventory, num=300, paste={"pause_prob": 0.3, "pause_ms": [60, 90], "lead_ms": [100, 120]})
    pauses = np.array([pause for utterance in plan.utterances for pause in utterance.pauses])
    words = sum(len(utterance.text.split()) - 1 for utterance in plan.utterances)
    assert (pauses > 0).sum() / words == pytest.approx(0.3, abs=0.06)
    assert 0.06 * RATE <= pauses[pauses > 0].min() <= pauses.max() <= 0.09 * RATE
    assert all(0.1 * RATE <= u.lead <= 0.12 * RATE and 0.1 * RATE <= u.tail <= 0.12 * RATE for u in plan.utterances)


def test_words_that_were_spoken_together_stay_one_piece(inventory: Inventory) -> None:
    plan = plan_of(inventory, text={"mode": "target-lm", "verbatim": 1.0}, target=["ba de gi", "po tu ka"], num=20,
        paste={"pause_prob": 0.0})  # fmt: skip
    whole = [utterance for utterance in plan.utterances if len(utterance.pieces) == 1]
    assert len(whole) > 15


def test_swap_keeps_the_rest_of_the_sentence_in_one_recording(inventory: Inventory) -> None:
    plan = plan_of(inventory, text={"mode": "swap", "max_swaps": 1}, paste={"pause_prob": 0.0})
    for utterance in plan.utterances:
        counts = Counter(piece.source for piece in utterance.pieces for _ in piece.marks)
        assert counts.most_common(1)[0][1] >= len(utterance.text.split()) - 1


def test_a_plan_is_read_back_as_it_was_written(inventory: Inventory, tmp_path: Path) -> None:
    plan = plan_of(inventory)
    save_plan(plan, tmp_path)
    assert load_plan(tmp_path) == plan


def test_an_older_plan_has_one_length_of_fades(inventory: Inventory, tmp_path: Path) -> None:
    save_plan(plan_of(inventory), tmp_path)
    header = json.loads((tmp_path / "plan.json").read_text())
    assert header["paste"].pop("quiet_fade_ms") > header["paste"]["fade_ms"]
    (tmp_path / "plan.json").write_text(json.dumps(header))
    lines = [json.loads(line) for line in (tmp_path / "plan.jsonl").read_text().splitlines()]
    for line in lines:
        line["pieces"] = [piece[:4] for piece in line["pieces"]]
    (tmp_path / "plan.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    plan = load_plan(tmp_path)
    assert plan.paste.quiet_fade_ms == plan.paste.fade_ms
    assert {piece.quiet for utterance in plan.utterances for piece in utterance.pieces} == {(0, 0)}


def _edit(folder: Path, change: object) -> None:
    lines = (folder / "plan.jsonl").read_text().splitlines()
    record = json.loads(lines[1])
    change(record)  # type: ignore[operator]
    (folder / "plan.jsonl").write_text("\n".join([lines[0], json.dumps(record), *lines[2:]]) + "\n")


@pytest.mark.parametrize(
    "change, what",
    [
        (lambda r: r.pop("text"), "not a line of a plan"),
        (lambda r: r.update(text=r["text"] + " more"), "do not hold as many words"),
        (lambda r: r["pieces"][0].__setitem__(0, 99), "there is no source 99"),
        (lambda r: r["pieces"][0].__setitem__(2, 10**7), "are not within source"),
        (lambda r: r["pieces"][0].__setitem__(1, -5), "are not within source"),
        (lambda r: r.update(pauses=[]), "do not fit to 0 pauses"),
        (lambda r: r.update(lead=-1), "a pause is negative"),
        (lambda r: r.update(id="../../outside"), "can not be the name of a file"),
        (lambda r: r.update(id="cp-uniform-0-000000"), "occurs twice"),
        (lambda r: r.update(pieces="abc"), "not a line of a plan"),
        (lambda r: (r["pieces"].append([0, 0, 9, [], [0, 0]]), r["pauses"].append(0)), "hold no word"),
    ],
)
def test_a_damaged_line_is_named(inventory: Inventory, tmp_path: Path, change: object, what: str) -> None:
    save_plan(plan_of(inventory, num=3, text={"min_words": 4, "max_words": 4}), tmp_path)
    _edit(tmp_path, change)
    with pytest.raises(SpeechkitError, match=what) as caught:
        load_plan(tmp_path)
    assert "plan.jsonl:2" in caught.value.render()


def test_a_folder_that_is_no_plan_is_named(tmp_path: Path, inventory: Inventory) -> None:
    with pytest.raises(SpeechkitError, match="is not a plan"):
        load_plan(tmp_path)
    save_plan(plan_of(inventory, num=3), tmp_path)
    (tmp_path / "plan.json").write_text("{}")
    with pytest.raises(SpeechkitError, match="not the header of a plan"):
        load_plan(tmp_path)


def test_a_change_of_the_excluded_texts_makes_the_plan_anew(
    inventory_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    never = tmp_path / "never.txt"
    never.write_text("ba gi\n")
    files = TextFiles(exclude=(never,))
    config = build_config(PlanConfig, {"num": 5})
    for text in ("ba gi\n", "ba gi\n", "ba tu\n"):
        never.write_text(text)
        run_plan(config, inventory=inventory_folder, out=tmp_path / "plan", files=files)
    printed = capsys.readouterr().out.splitlines()
    assert [line.startswith("up to date") for line in printed] == [False, True, False]
    with pytest.raises(ConfigError, match="can not begin the name"):
        bad = build_config(PlanConfig, {"num": 5, "prefix": "../x"})
        run_plan(bad, inventory=inventory_folder, out=tmp_path / "other")
    shutil.rmtree(tmp_path / "plan")


@pytest.mark.parametrize(
    "fields",
    [
        {"num": 5, "paste": {"pause_ms": [200, 50]}},
        {"num": 5, "paste": {"pause_ms": [-200, -50]}},
        {"num": 5, "paste": {"lead_ms": [-100, 0]}},
        {"num": 5, "paste": {"fade_ms": 10, "quiet_fade_ms": 5}},
        {"num": 5, "paste": {"lead_ms": [0, 1e9]}},
        {"ratio": 1e30},
        {"hours": 1e6},
        {"num": 1, "text": {"min_words": 10**6, "max_words": 10**6}},
    ],
)
def test_settings_that_no_plan_could_have_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        build_config(PlanConfig, fields)
