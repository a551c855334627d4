"""Rendered plans: exact words, exact times, the same bytes for any number of jobs, and audio that is not usable."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from make import make_broken_audio
from paste_corpus import HISS, RATE, make_inventory, make_paste_corpus

from speechkit.audio.io import read_audio, write_flac
from speechkit.config import build_config
from speechkit.cutpaste.config import JoinConfig, PasteConfig, PlanConfig, RenderConfig
from speechkit.cutpaste.exclude import Exclusion
from speechkit.cutpaste.inventory import Inventory, Source, load_inventory
from speechkit.cutpaste.joins import edge_distances
from speechkit.cutpaste.plan import make_plan
from speechkit.cutpaste.plan_file import Piece, Plan, Planned, join_places, joins_of, load_plan, save_plan
from speechkit.cutpaste.render import run_render, word_times
from speechkit.cutpaste.renderer import Pool, Renderer, load_pool
from speechkit.cutpaste.select import Selector
from speechkit.data.store import load_cuts, words_of
from speechkit.errors import SpeechkitError


def plan_of(inventory: Inventory, **fields: object) -> Plan:
    config = build_config(PlanConfig, {"num": 12, **fields})
    return make_plan(inventory, config, exclusion=Exclusion([]))


def renderer_of(plan: Plan) -> Renderer:
    return Renderer(plan, plan.utterances, load_pool(plan.sources, range(len(plan.sources))))


def test_words_lie_exactly_where_the_times_say(inventory: Inventory) -> None:
    plan = plan_of(inventory, paste={"fade_ms": 0, "max_gain_db": 0, "pause_prob": 0.5})
    render = renderer_of(plan)
    for index, utterance in enumerate(plan.utterances):
        samples = render(index)
        assert len(samples) == utterance.num_samples
        marks = [(piece, mark) for piece in utterance.pieces for mark in piece.marks]
        for word, (piece, (start, end)) in zip(word_times(utterance, RATE), marks, strict=True):
            source = plan.sources[piece.source]
            recorded, _ = read_audio(Path(source.audio), start_sample=start, num_samples=end - start)
            first = round(word.start_seconds * RATE)
            assert np.abs(samples[first : first + end - start] - recorded).max() < 1e-6
            assert round(word.duration_seconds * RATE) == end - start


def test_the_cut_of_a_rendered_utterance_carries_words_joins_and_sources(inventory: Inventory, tmp_path: Path) -> None:
    plan = plan_of(inventory)
    (tmp_path / "plan").mkdir()
    save_plan(plan, tmp_path / "plan")
    run_render(RenderConfig(), plan=tmp_path / "plan", out=tmp_path / "out")
    render = renderer_of(plan)
    cuts = list(load_cuts(tmp_path / "out"))
    assert [cut.id for cut in cuts] == [utterance.utt_id for utterance in plan.utterances]
    for index, (cut, utterance) in enumerate(zip(cuts, plan.utterances, strict=True)):
        samples, rate = read_audio(Path(cut.recording.sources[0].source))
        assert rate == RATE
        assert np.abs(samples - render(index)).max() < 1e-4
        assert " ".join(word.symbol for word in words_of(cut)) == utterance.text == cut.supervisions[0].text
        assert cut.supervisions[0].speaker == utterance.speaker
        custom = cut.supervisions[0].custom["cutpaste"]
        assert custom["joins"] == [place / RATE for place in join_places(utterance)]
        assert set(custom["sources"]) == {plan.sources[piece.source].utt_id for piece in utterance.pieces}


def test_joins_lie_between_the_words_that_are_named(inventory: Inventory) -> None:
    for utterance in plan_of(inventory, paste={"pause_prob": 0.3}).utterances:
        times = word_times(utterance, RATE)
        for place, words in joins_of(utterance):
            before = [word for word in times if word.start_seconds * RATE < place]
            assert words == (before[-1].symbol, times[len(before)].symbol)


def test_any_number_of_jobs_gives_the_same_bytes(inventory: Inventory, tmp_path: Path) -> None:
    (tmp_path / "plan").mkdir()
    save_plan(plan_of(inventory, num=30), tmp_path / "plan")
    for num_jobs in (1, 4):
        run_render(RenderConfig(), plan=tmp_path / "plan", out=tmp_path / f"out{num_jobs}", num_jobs=num_jobs)
    names = sorted(str(p.relative_to(tmp_path / "out1")) for p in (tmp_path / "out1").rglob("*") if p.is_file())
    compared = [name for name in names if name not in ("run.json", "log.txt")]
    assert len([name for name in compared if name.endswith(".flac")]) == 30
    for name in compared:
        assert (tmp_path / "out1" / name).read_bytes() == (tmp_path / "out4" / name).read_bytes(), name


def test_a_part_of_a_plan_renders_to_the_same_samples(inventory: Inventory) -> None:
    plan = plan_of(inventory)
    whole = renderer_of(plan)
    few = plan.utterances[7:9]
    wanted = sorted({piece.source for utterance in few for piece in utterance.pieces})
    part = Renderer(plan, few, load_pool(plan.sources, wanted))
    assert np.array_equal(whole(7), part(0)) and np.array_equal(whole(8), part(1))


def test_pauses_are_room_tone_and_never_digital_silence(inventory: Inventory) -> None:
    plan = plan_of(inventory, paste={"pause_prob": 1.0, "pause_ms": [150, 200], "max_gain_db": 0})
    render = renderer_of(plan)
    beginnings: dict[int, set[bytes]] = {}
    for index, utterance in enumerate(plan.utterances):
        samples, position = render(index), utterance.lead
        for piece, pause in zip(utterance.pieces[:-1], utterance.pauses, strict=True):
            position += piece.end - piece.start
            inner = samples[position + 160 : position + pause - 160]
            assert np.sqrt(np.mean(inner**2)) == pytest.approx(HISS, rel=0.4)
            assert (inner == 0).mean() < 0.1
            position += pause
            beginnings.setdefault(piece.source, set()).add(inner[:40].tobytes())
    assert sum(map(len, beginnings.values())) > 10
    assert max(map(len, beginnings.values())) > 1  # pauses of one recording differ


def test_loud_words_are_turned_down_and_never_clipped(tmp_path: Path) -> None:
    corpus = make_paste_corpus(tmp_path / "corpus", num_speakers=1)
    for path in sorted((corpus / "audio").iterdir()):
        samples, rate = read_audio(path)
        peak = 0.999 if path.stem == "s0-t0" else 0.4
        write_flac(path, samples * np.float32(peak / np.abs(samples).max()), rate)
    inventory = make_inventory(corpus, tmp_path / "inv")
    plan = plan_of(inventory, num=30, paste={"max_gain_db": 40})
    # the quiet recordings are asked to be as loud as the median, so make all of them loud
    plan = Plan(plan.utterances, plan.sources, [gain + 8 for gain in plan.gains_db], plan.paste, plan.header)
    render = renderer_of(plan)
    peaks = [float(np.abs(render(index)).max()) for index in range(len(plan.utterances))]
    assert max(peaks) == pytest.approx(0.99, abs=1e-3)
    assert min(peaks) > 0.3


def test_audio_that_is_gone_or_changed_stops_the_work_unless_it_may_be_skipped(tmp_path: Path) -> None:
    corpus = make_paste_corpus(tmp_path / "corpus", num_speakers=3)
    inventory = make_inventory(corpus, tmp_path / "inv")
    plan = plan_of(inventory, num=40)
    (tmp_path / "plan").mkdir()
    save_plan(plan, tmp_path / "plan")
    (corpus / "audio" / "s0-t0.flac").unlink()
    (corpus / "audio" / "s0-t1.flac").write_bytes(make_broken_audio(tmp_path)["not_audio"].read_bytes())
    changed, rate = read_audio(corpus / "audio" / "s0-t2.flac")
    write_flac(corpus / "audio" / "s0-t2.flac", changed * np.float32(0.5), rate)
    gone = {f"s0-t{number}" for number in range(3)}
    hit = [u.utt_id for u in plan.utterances if gone & {plan.sources[p.source].utt_id for p in u.pieces}]
    assert 0 < len(hit) < 40
    with pytest.raises(SpeechkitError, match=f"{len(hit)} of 40 utterances need audio that is not usable") as caught:
        run_render(RenderConfig(max_bad=str(len(hit) - 1)), plan=tmp_path / "plan", out=tmp_path / "out")
    assert "does not exist" in caught.value.render() or "has changed" in caught.value.render()
    assert not (tmp_path / "out").exists()
    run_render(RenderConfig(max_bad=str(len(hit))), plan=tmp_path / "plan", out=tmp_path / "out")
    lines = (tmp_path / "out" / "skipped.tsv").read_text().splitlines()[1:]
    assert [line.split("\t")[0] for line in lines] == hit
    assert {cut.id for cut in load_cuts(tmp_path / "out")} == {u.utt_id for u in plan.utterances} - set(hit)
    reasons = (tmp_path / "out" / "skipped.tsv").read_text()
    assert "does not exist" in reasons and "cannot read" in reasons and "has changed" in reasons


def test_a_plan_that_can_not_be_rendered_at_all_is_an_error_for_any_limit(tmp_path: Path) -> None:
    corpus = make_paste_corpus(tmp_path / "corpus", num_speakers=1, texts=["ba de gi"])
    plan = plan_of(make_inventory(corpus, tmp_path / "inv"), num=2)
    (tmp_path / "plan").mkdir()
    save_plan(plan, tmp_path / "plan")
    (corpus / "audio" / "s0-t0.flac").unlink()
    with pytest.raises(SpeechkitError, match="2 of 2 utterances"):
        run_render(RenderConfig(max_bad="100%"), plan=tmp_path / "plan", out=tmp_path / "out")


def test_the_distance_at_an_even_place_is_small_and_at_a_break_large() -> None:
    gen = np.random.default_rng(0)
    time = np.arange(RATE) / RATE
    low, high = (np.sin(2 * np.pi * hertz * time) for hertz in (300, 2000))
    samples = (np.concatenate([low, high]) + 0.01 * gen.standard_normal(2 * RATE)).astype(np.float32)
    distances = edge_distances(samples, np.array([4000, 8000, 12000, 0, 16000]), RATE)
    assert distances[1] > 3 * max(distances[0], distances[2])
    assert np.isfinite(distances).all()


def _even(name: str, room_start: int) -> Source:
    return Source(
        utt_id=name, audio=f"{name}.flac", start_sample=0, num_samples=100, sampling_rate=8000, speaker="anna",
        text="ba ba", level_db=-20.0, peak=0.1, room_start=room_start, room_samples=20, crc32=0, boundaries=(),
    )  # fmt: skip


@pytest.mark.parametrize(("quiet_fade_ms", "fades"), [(1.0, [8, 8, 8, 8]), (2.0, [10, 16, 12, 8])])
def test_gain_fade_pause_and_joins_of_a_plan_made_by_hand(quiet_fade_ms: float, fades: list[int]) -> None:
    pieces = (
        Piece(0, 10, 50, ((15, 41),), quiet=(5, 9)),
        Piece(1, 10, 50, ((16, 47),), quiet=(6, 3)),
        Piece(0, 40, 70, ((45, 65),), quiet=(5, 5)),
    )
    utterance = Planned("u", "anna", "ba ba ba", pieces, pauses=(20, 0), lead=10, tail=0, cost=0.0)
    paste = PasteConfig(fade_ms=1.0, quiet_fade_ms=quiet_fade_ms)  # 8 samples, and up to 16
    plan = Plan([utterance], [_even("a", 80), _even("b", -1)], [0.0, 6.0], paste, {})
    samples = np.array([1000] * 80 + [20] * 20 + [2000] * 100, np.int16)
    found = Renderer(plan, [utterance], Pool(samples, np.array([0, 100]), {}))(0)
    # room tone, the first piece, a pause of room tone, the second 6 dB louder, the third
    levels, sizes = [20, 1000, 20, 2000 * 10**0.3, 1000], [10, 40, 20, 40, 30]
    expected = np.repeat(levels, sizes)
    longest = round(8 * quiet_fade_ms)
    weights = np.sin((np.arange(longest) + 0.5) * np.pi / 2 / longest)
    for place, fade, left, right in zip((10, 50, 70, 110), fades, levels, levels[1:], strict=False):
        steps = (2 * np.arange(fade) + 1) * longest // (2 * fade)
        expected[place - fade // 2 : place + fade // 2] = left * weights[::-1][steps] + right * weights[steps]
    np.testing.assert_allclose(32768 * found, expected, rtol=1e-5)
    assert join_places(utterance) == [110]
    times = [(round(w.start_seconds * 8000), round(w.duration_seconds * 8000)) for w in word_times(utterance, 8000)]
    assert times == [(15, 26), (76, 31), (115, 20)]


@pytest.mark.parametrize(("reuse", "expected"), [(0.0, [2, 0]), (100.0, [1, 1])])
def test_uses_are_counted_and_cost(inventory: Inventory, reuse: float, expected: list[int]) -> None:
    select = Selector(inventory, JoinConfig(reuse=reuse, temperature=0.0))
    tokens = inventory.tokens
    owners = inventory.speaker_of_source()[tokens["source"]]
    word = inventory.words.index("de")  # said twice and more by each speaker
    own = np.flatnonzero((tokens["word"] == word) & (owners == 0))
    for _ in range(2):
        assert select(np.array([word]), np.zeros(1, np.int64), speaker=0, seed=0) is not None
    uses = select.tables.uses
    assert uses.sum() == 2 == uses[own].sum()
    assert sorted(uses[own].tolist(), reverse=True)[:2] == expected


def test_plans_are_found_where_they_were_made(inventory_folder: Path, tmp_path: Path) -> None:
    inventory = load_inventory(inventory_folder)
    (tmp_path / "plan").mkdir()
    plan = plan_of(inventory)
    save_plan(plan, tmp_path / "plan")
    again = renderer_of(load_plan(tmp_path / "plan"))
    for index in range(len(plan.utterances)):
        assert np.array_equal(again(index), renderer_of(plan)(index))
