"""Which words may be pasted, where they are cut, what is listed as unfit, and the tables on disk."""

from __future__ import annotations

import itertools
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from make import make_broken_audio, make_wav
from numpy.lib import recfunctions
from paste_corpus import HISS, RATE, TEXTS, make_inventory, make_paste_corpus

from speechkit.audio.io import write_flac
from speechkit.cutpaste.assemble import run_inventory
from speechkit.cutpaste.collect import collect_cut
from speechkit.cutpaste.config import InventoryConfig
from speechkit.cutpaste.inventory import Inventory, load_inventory, snippet_keys
from speechkit.data.store import Word, load_cuts, make_cut, save_cuts, words_of
from speechkit.errors import ConfigError, SpeechkitError


def test_every_word_of_a_sound_corpus_may_be_pasted(inventory: Inventory, tone_words: Path) -> None:
    cuts = list(load_cuts(tone_words))
    said = [inventory.words[number] for number in inventory.tokens["word"]]
    assert said == [word for cut in cuts for word in cut.supervisions[0].text.split()]
    expected = [(w.start_seconds, w.start_seconds + w.duration_seconds) for cut in cuts for w in words_of(cut)]
    found = np.stack([inventory.tokens["start"], inventory.tokens["end"]], axis=1) / RATE
    assert np.allclose(found, expected, atol=1 / RATE)
    assert [s.text for s in inventory.sources] == [*TEXTS, *TEXTS]


def test_a_short_gap_is_cut_inside_it_and_neighbours_share_the_cut(inventory: Inventory) -> None:
    tokens = inventory.tokens
    for before, after in itertools.pairwise(tokens):
        if before["source"] != after["source"]:
            assert not before["joined"]
            continue
        assert before["joined"]
        assert before["cut_end"] == after["cut_start"]
        assert before["end"] <= before["cut_end"] <= after["start"]


def test_around_a_cut_no_word_is_nearer_than_its_quiet(tmp_path: Path) -> None:
    samples = 0.2 * np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    write_flac(tmp_path / "a.flac", samples.clip(-1, 1), RATE)
    times = [Word("a", 0.05, 0.2), Word("b", 0.27, 0.2), Word("c", 0.47, 0.1), Word("d", 0.75, 0.2)]
    cut = make_cut(
        "utt", tmp_path / "a.flac", sampling_rate=RATE, num_samples=RATE, text="a b c d", speaker="anna",
        tiers={"word": times},
    )  # fmt: skip
    tokens = collect_cut(cut, InventoryConfig(snap_ms=0)).tokens
    milliseconds = {name: (tokens[name] * 1000 // RATE).tolist() for name in ("quiet_start", "quiet_end")}
    # 50 ms to the start of the recording; gaps of 20, 0 and 180 ms, cut in the middle; 50 ms to the end
    assert milliseconds == {"quiet_start": [0, 10, 0, 90], "quiet_end": [10, 0, 90, 0]}
    tokens = collect_cut(cut, InventoryConfig(snap_ms=15)).tokens
    for edge in ("start", "end"):
        for at, quiet in zip(tokens[f"cut_{edge}"].tolist(), tokens[f"quiet_{edge}"].tolist(), strict=True):
            assert quiet >= 0 and at - quiet >= 0 and at + quiet <= RATE
            for word in times:
                first, end = (round(s * RATE) for s in (word.start_seconds, word.start_seconds + word.duration_seconds))
                assert quiet == 0 or at + quiet <= first or at - quiet >= end


def test_of_a_long_gap_only_the_margins_stay_with_the_words(tmp_path: Path) -> None:
    corpus = make_paste_corpus(tmp_path / "corpus", num_speakers=1, texts=["ba de"], gap_seconds=0.5)
    first, second = make_inventory(corpus, tmp_path / "inv", max_margin_ms=100, snap_ms=10).tokens
    assert not first["joined"]
    assert first["cut_end"] - first["end"] == pytest.approx(0.1 * RATE, abs=0.01 * RATE + 1)
    assert second["start"] - second["cut_start"] == pytest.approx(0.1 * RATE, abs=0.01 * RATE + 1)


def test_a_cut_between_touching_words_moves_to_the_least_energy(tmp_path: Path) -> None:
    samples = 0.2 * np.random.default_rng(0).standard_normal(RATE)
    samples[4060:4120] *= 0.001  # where the words really meet
    write_flac(tmp_path / "a.flac", samples.clip(-1, 1).astype(np.float32), RATE)
    cut = make_cut(
        "utt", tmp_path / "a.flac", sampling_rate=RATE, num_samples=RATE, text="a b", speaker="anna",
        tiers={"word": [Word("a", 0.2, 0.3), Word("b", 0.5, 0.3)]},
    )  # fmt: skip
    first, second = collect_cut(cut, InventoryConfig()).tokens
    assert first["joined"] and first["cut_end"] == second["cut_start"]
    assert 4060 <= first["cut_end"] <= 4120
    assert collect_cut(cut, InventoryConfig(snap_ms=0)).tokens["cut_end"][0] == 4000


def test_snippets_are_exactly_the_runs_of_joined_words(inventory: Inventory) -> None:
    expected = set()
    for token in range(len(inventory.tokens)):
        for size in (1, 2, 3):
            run = inventory.tokens[token : token + size]
            if len(run) == size and run["joined"][:-1].all():
                words = [*run["word"].tolist(), -1, -1][:3]
                key = int(snippet_keys(np.array(words), len(inventory.words)))
                speaker = inventory.speakers.index(inventory.sources[run["source"][0]].speaker)
                expected.add((key, speaker, token, size))
    found = [tuple(map(int, row)) for row in inventory.snippets]
    assert set(found) == expected and len(found) == len(expected)
    assert found == sorted(found)


def test_edges_have_zero_mean_and_unit_variance_per_speaker(inventory: Inventory) -> None:
    owners = inventory.speaker_of_source()[inventory.tokens["source"]]
    for speaker in range(len(inventory.speakers)):
        own = np.asarray(inventory.edges[owners == speaker], np.float64)[..., [*range(13), 14]].reshape(-1, 14)
        assert np.allclose(own.mean(axis=0), 0, atol=0.01)
        assert np.allclose(own.std(axis=0), 1, atol=0.01)


def test_room_tone_is_the_hiss(inventory: Inventory, tone_words: Path) -> None:
    from speechkit.audio.io import read_audio

    for source in inventory.sources:
        assert source.room_start >= 0
        room, _ = read_audio(Path(source.audio), start_sample=source.room_start, num_samples=source.room_samples)
        assert np.sqrt(np.mean(room**2)) == pytest.approx(HISS, rel=0.3)


def _one_cut(folder: Path, words: list[Word], *, text: str | None = None, speaker: str = "anna") -> object:
    audio = make_wav(folder / "a.wav", 3.0, RATE)
    return make_cut(
        "utt", audio, sampling_rate=RATE, num_samples=3 * RATE, text=text or " ".join(w.symbol for w in words),
        speaker=speaker, tiers={"word": words},
    )  # fmt: skip


@pytest.mark.parametrize(
    "words, position, reason",
    [
        ([Word("a", 0.1, 0.05)], 0, "too short: 0.050 s"),
        ([Word("a", 0.1, 0.05), Word("b", 0.2, 0.3)], 0, "too short: 0.050 s"),
        ([Word("a", 0.1, 1.6), Word("b", 1.8, 0.3)], 0, "too long: 1.600 s"),
        ([Word("a", 0.1, 0.3, 0.9), Word("b", 0.5, 0.3, 0.25)], 1, "too uncertain: confidence 0.25"),
        ([Word("a", 0.1, 0.3), Word("b", 0.3, 0.3)], 0, "overlapping: by 0.100 s with its neighbour"),
        ([Word("a", 2.0, 0.3), Word("b", 2.5, 0.8)], 1, "outside the recording: 2.500-3.300 s"),
    ],
)
def test_an_unfit_word_is_listed_with_its_reason(tmp_path: Path, words: list[Word], position: int, reason: str) -> None:
    found = collect_cut(_one_cut(tmp_path, words), InventoryConfig())  # type: ignore[arg-type]
    listed = [(item.position, item.reason) for item in found.dropped]
    assert (position, reason) in listed
    assert len(found.tokens) == len(words) - len(listed)
    assert not found.tokens["joined"].any()


@pytest.mark.parametrize(
    "fields, reason",
    [
        ({"words": []}, "it has no word times"),
        ({"words": [Word("a", 0.1, 0.3)], "text": "b"}, "its word times are those of other words than its text"),
        ({"words": [Word("a", 0.9, 0.3), Word("b", 0.1, 0.3)]}, "its words are not in the order of time"),
        ({"words": [Word("a", 0.1, 0.3, 1.5)]}, "the score 1.5 of `a` is no confidence from 0 to 1"),
        ({"words": [Word("a", 0.1, 0.3)], "speaker": ""}, "it has no speaker"),
        (
            {"words": [Word("a", 0.1, 0.3)], "speaker": "anna\nbert"},
            "the name of its speaker 'anna\\nbert' holds a control character",
        ),
    ],
)
def test_an_unfit_utterance_is_listed_with_its_reason(tmp_path: Path, fields: dict[str, object], reason: str) -> None:
    words = fields.pop("words")
    found = collect_cut(_one_cut(tmp_path, words, **fields), InventoryConfig())  # type: ignore[arg-type]
    assert [item.reason for item in found.dropped] == [reason]
    assert len(found.tokens) == 0


def test_dropped_words_are_written_down_and_counted(tmp_path: Path) -> None:
    corpus = make_paste_corpus(tmp_path / "corpus", num_speakers=1)
    cuts = list(load_cuts(corpus))
    item = cuts[1].supervisions[0].alignment["word"][2]
    cuts[1].supervisions[0].alignment["word"][2] = item._replace(score=0.1)
    save_cuts(cuts, tmp_path / "cuts.jsonl.gz")
    inventory = make_inventory(tmp_path / "cuts.jsonl.gz", tmp_path / "inv")
    listed = (tmp_path / "inv" / "dropped.tsv").read_text().splitlines()
    assert listed == ["id\tposition\tword\treason", "s0-t1\t2\tka\ttoo uncertain: confidence 0.10"]
    summary = json.loads((tmp_path / "inv" / "inventory.json").read_text())
    assert summary["dropped"] == {"too uncertain": 1}
    # the neighbour keeps its context, and no run crosses the hole
    before = [t for t in inventory.tokens if inventory.words[t["word"]] == "tu" and t["source"] == 1]
    assert [inventory.words[t["right"]] for t in before] == ["ka"] and not before[0]["joined"]


def test_unreadable_audio_stops_the_work_unless_it_may_be_skipped(tmp_path: Path) -> None:
    corpus = make_paste_corpus(tmp_path / "corpus", num_speakers=1)
    broken = make_broken_audio(tmp_path)
    cuts = list(load_cuts(corpus))
    kinds = ("missing", "truncated", "not_audio", "zero_bytes")
    for cut, kind in zip(cuts, kinds, strict=False):
        cut.recording.sources[0].source = str(broken[kind])
    save_cuts(cuts, tmp_path / "cuts.jsonl.gz")
    with pytest.raises(SpeechkitError, match="4 of 5 utterances cannot be used") as caught:
        run_inventory(InventoryConfig(max_bad="3"), cuts=tmp_path / "cuts.jsonl.gz", out=tmp_path / "inv")
    assert all(str(broken[kind]) in caught.value.render() for kind in kinds)
    assert not (tmp_path / "inv").exists()
    inventory = make_inventory(tmp_path / "cuts.jsonl.gz", tmp_path / "inv", max_bad="4")
    assert [source.utt_id for source in inventory.sources] == ["s0-t4"]


def test_utterances_without_word_times_or_speaker_count_as_bad(tmp_path: Path) -> None:
    cuts = list(load_cuts(make_paste_corpus(tmp_path / "corpus", num_speakers=1)))
    cuts[0].supervisions[0].alignment = None
    cuts[1].supervisions[0].speaker = None
    save_cuts(cuts, tmp_path / "cuts.jsonl.gz")
    with pytest.raises(SpeechkitError, match="2 of 5 utterances cannot be used") as caught:
        make_inventory(tmp_path / "cuts.jsonl.gz", tmp_path / "inv", max_bad="1")
    assert "s0-t0  it has no word times" in caught.value.render() and "--max-bad 2" in caught.value.render()
    inventory = make_inventory(tmp_path / "cuts.jsonl.gz", tmp_path / "inv", max_bad="2")
    assert [source.utt_id for source in inventory.sources] == ["s0-t2", "s0-t3", "s0-t4"]
    summary = json.loads((tmp_path / "inv" / "inventory.json").read_text())
    assert summary["dropped"] == {"utterances without word times or speaker": 2}


def test_recordings_of_two_rates_are_refused(tmp_path: Path) -> None:
    words = [Word("a", 0.1, 0.3)]
    cuts = [
        make_cut(
            name, make_wav(tmp_path / f"{name}.wav", 1.0, rate), sampling_rate=rate, num_samples=rate, text="a",
            speaker="anna", tiers={"word": words},
        )
        for name, rate in (("slow", 8000), ("fast", 16000))
    ]  # fmt: skip
    save_cuts(cuts, tmp_path / "cuts.jsonl.gz")
    with pytest.raises(SpeechkitError, match="differ in sampling rate"):
        run_inventory(InventoryConfig(), cuts=tmp_path / "cuts.jsonl.gz", out=tmp_path / "inv")


def test_nothing_usable_is_an_error_that_says_why(tmp_path: Path) -> None:
    save_cuts([_one_cut(tmp_path, [])], tmp_path / "cuts.jsonl.gz")  # type: ignore[list-item]
    with pytest.raises(SpeechkitError, match="none of 1 utterances has a word") as caught:
        run_inventory(InventoryConfig(), cuts=tmp_path / "cuts.jsonl.gz", out=tmp_path / "inv")
    assert "it has no word times" in caught.value.render()
    with pytest.raises(ConfigError, match="--max-bad"):
        run_inventory(InventoryConfig(max_bad="x"), cuts=tmp_path / "cuts.jsonl.gz", out=tmp_path / "inv")


def test_the_tables_do_not_depend_on_the_number_of_jobs(tone_words: Path, inventory_folder: Path) -> None:
    other = tone_words.parent / "inv-of-three-jobs"
    run_inventory(InventoryConfig(), cuts=tone_words, out=other, num_jobs=3)
    for name in ("tokens.npy", "edges.npy", "snippets.npy", "words.txt", "speakers.txt", "sources.jsonl"):
        assert (other / name).read_bytes() == (inventory_folder / name).read_bytes(), name


def test_a_damaged_inventory_is_named(tmp_path: Path, tone_words: Path) -> None:
    make_inventory(tone_words, tmp_path / "inv")
    tokens = np.load(tmp_path / "inv" / "tokens.npy")
    np.save(tmp_path / "inv" / "tokens.npy", tokens[:-1])
    with pytest.raises(SpeechkitError, match="do not fit together"):
        load_inventory(tmp_path / "inv")
    (tmp_path / "inv" / "edges.npy").unlink()
    with pytest.raises(SpeechkitError, match="not a whole inventory"):
        load_inventory(tmp_path / "inv")
    with (tmp_path / "inv" / "sources.jsonl").open("a") as stream:
        stream.write('{"utt_id": 3}\n')
    with pytest.raises(SpeechkitError, match="not a source") as caught:
        load_inventory(tmp_path / "inv")
    assert "sources.jsonl:11" in caught.value.render()


def test_an_inventory_of_another_version_is_named(tmp_path: Path, inventory_folder: Path) -> None:
    shutil.copytree(inventory_folder, tmp_path / "inv")
    tokens = np.load(tmp_path / "inv" / "tokens.npy")
    older = [name for name in tokens.dtype.names if not name.startswith("quiet")]
    np.save(tmp_path / "inv" / "tokens.npy", recfunctions.repack_fields(tokens[older]))
    with pytest.raises(SpeechkitError, match="was made by another version of speechkit"):
        load_inventory(tmp_path / "inv")


def test_keys_tell_all_runs_apart() -> None:
    words = np.array([[a, b, c] for a in range(4) for b in range(-1, 4) for c in range(-1, 4) if b >= 0 or c < 0])
    assert len(set(snippet_keys(words, 4).tolist())) == len(words)


def test_sources_keep_what_a_plan_needs(inventory: Inventory) -> None:
    source = inventory.sources[0]
    assert replace(source) == source
    tokens = inventory.tokens[inventory.tokens["source"] == 0]
    assert list(source.boundaries) == tokens["cut_end"][:-1].tolist()
