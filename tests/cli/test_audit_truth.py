"""`speechkit audit inject`, `folds`, `eval`, `labelers`: what they write and what they refuse."""

from __future__ import annotations

import filecmp
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tone_corpus import make_tone_corpus

from speechkit.audio.io import read_audio
from speechkit.audit.config_truth import DEFAULT_MIX, TYPES, WORD_TYPES
from speechkit.audit.inject import TEXT_KINDS, WORD_KINDS
from speechkit.data.store import audio_path, load_cuts, save_cuts, text_of, tiers_of


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 utterances of 2 speakers."""
    folder = make_tone_corpus(tmp_path_factory.mktemp("tones") / "all", num_utterances=40)
    cuts = list(load_cuts(folder))
    for number, cut in enumerate(cuts):
        cuts[number] = replace(
            cut, supervisions=[replace(cut.supervisions[0], speaker="anna" if number % 2 else "bert")]
        )
    save_cuts(cuts, folder / "cuts.jsonl.gz")
    return folder


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def inject(run_speechkit: Callable[..., Any], tones: Path, tmp_path: Path) -> Callable[..., Any]:
    """`inject(name, ...)` runs the command on the tones; cuts before and after by id, and the truth by id."""

    def run(name: str, *options: object) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        done = run_speechkit("audit", "inject", tones, "--out", tmp_path / name, *options)
        assert done.exit_code == 0, done.stderr
        before, after = ({cut.id: cut for cut in load_cuts(folder)} for folder in (tones, tmp_path / name))
        return before, after, {row["id"]: row for row in rows_of(tmp_path / name / "truth.jsonl")}

    return run


def test_the_options_name_the_types_that_exist() -> None:
    assert set(TYPES) == {*TEXT_KINDS, "truncate", "silence", "duplicate", "wrong-speaker"}
    assert WORD_TYPES == WORD_KINDS
    assert set(DEFAULT_MIX) <= set(TYPES)


def test_default_mix_changes_exactly_the_rate_and_nothing_else(inject: Callable[..., Any], tmp_path: Path) -> None:
    before, after, truth = inject("noisy", "--rate", 0.35)
    assert list(before) == list(after)
    assert len(truth) == 14
    report = json.loads((tmp_path / "noisy" / "inject.json").read_text())
    assert report["faulty"] == 14
    assert sum(report["types"].values()) == 14
    for utt_id, old in before.items():
        new, row = after[utt_id], truth.get(utt_id)
        if row is None:
            assert text_of(new) == text_of(old)
            assert audio_path(new) == audio_path(old)
            assert tiers_of(new) == tiers_of(old)
            continue
        assert row["before"] == text_of(old)
        assert row["after"] == text_of(new)
        assert (text_of(new) != text_of(old)) == (row["level"] == "text")
        assert (audio_path(new) != audio_path(old)) == (row["level"] == "audio")
        assert not tiers_of(new)
        assert row["wrong_words"] or row["wrong_gaps"]
    assert len(list((tmp_path / "noisy" / "audio").iterdir())) == sum(r["level"] == "audio" for r in truth.values())


def test_the_same_seed_gives_the_same_bytes_for_any_nj(inject: Callable[..., Any], tmp_path: Path) -> None:
    inject("one", "--mix", "truncate,silence,sub", "--rate", 0.5)
    inject("two", "--mix", "truncate,silence,sub", "--rate", 0.5, "--nj", 2)
    inject("other", "--mix", "truncate,silence,sub", "--rate", 0.5, "--seed", 1)
    names = ["cuts.jsonl.gz", "truth.jsonl", *(f"audio/{p.name}" for p in (tmp_path / "one" / "audio").iterdir())]
    assert filecmp.cmpfiles(tmp_path / "one", tmp_path / "two", names, shallow=False)[0] == names
    assert (tmp_path / "one" / "truth.jsonl").read_bytes() != (tmp_path / "other" / "truth.jsonl").read_bytes()


def test_what_is_drawn_for_a_cut_does_not_depend_on_the_order_of_the_manifest(
    inject: Callable[..., Any], run_speechkit: Callable[..., Any], tones: Path, tmp_path: Path
) -> None:
    _, _, truth = inject("noisy", "--mix", "sub", "--rate", 0.5)
    save_cuts(list(reversed(list(load_cuts(tones)))), tmp_path / "turned" / "cuts.jsonl.gz")
    run_speechkit("audit", "inject", tmp_path / "turned", "--out", tmp_path / "b", "--mix", "sub", "--rate", 0.5)
    assert {row["id"]: row for row in rows_of(tmp_path / "b" / "truth.jsonl")} == truth


def test_truncated_audio_is_a_stretch_of_the_old_and_names_the_words_it_lost(inject: Callable[..., Any]) -> None:
    before, after, truth = inject("cut", "--mix", "truncate", "--rate", 0.5)
    for utt_id, row in truth.items():
        old, _ = read_audio(audio_path(before[utt_id]))
        new, _ = read_audio(audio_path(after[utt_id]))
        assert 0.49 <= len(new) / len(old) <= 0.91
        assert np.allclose(new, old[-len(new) :] if row["end"] == "head" else old[: len(new)], atol=1e-4)
        num_words = len(row["after"].split())
        lost = row["wrong_words"]
        assert row["located"]
        assert lost == (list(range(len(lost))) if row["end"] == "head" else list(range(num_words))[-len(lost) :])
        assert after[utt_id].duration == pytest.approx(len(new) / 8000)


def test_misreadings_are_made_in_the_audio_where_word_times_are_known(inject: Callable[..., Any]) -> None:
    before, after, truth = inject("misread", "--mix", "misread", "--rate", 1)
    forms = {row.get("form", "variant") for row in truth.values()}
    assert forms == {"repetition", "restart", "stop", "variant"}
    for utt_id, row in truth.items():
        if row["level"] == "text":
            assert row["after"] != row["before"]
            continue
        old, _ = read_audio(audio_path(before[utt_id]))
        new, _ = read_audio(audio_path(after[utt_id]))
        words, spans = row["after"].split(), tiers_of(before[utt_id])["word"]
        assert text_of(after[utt_id]) == text_of(before[utt_id])
        if row["form"] == "stop":
            assert row["wrong_words"] == [len(words) - 1]
            assert len(new) / 8000 == pytest.approx(spans[-1].start_seconds, abs=0.06)
            continue
        (gap,) = row["wrong_gaps"]
        added = row["before"].split()[gap : gap + len(row["before"].split()) - len(words)]
        assert [*words[:gap], *added, *words[gap:]] == row["before"].split()
        said = spans[gap - 1] if row["form"] == "repetition" else spans[len(added) - 1]
        end = round((said.start_seconds + said.duration_seconds) * 8000)
        start = round(said.start_seconds * 8000) if row["form"] == "repetition" else 0
        assert np.allclose(new, np.concatenate([old[:end], old[start:]]), atol=1e-4)


def test_silence_is_noise_as_loud_as_the_quietest_part(inject: Callable[..., Any]) -> None:
    before, after, truth = inject("quiet", "--mix", "silence", "--rate", 0.25)
    for utt_id, row in truth.items():
        old, _ = read_audio(audio_path(before[utt_id]))
        new, _ = read_audio(audio_path(after[utt_id]))
        assert len(new) == len(old)
        assert np.sqrt(np.mean(new**2)) == pytest.approx(0.003, rel=0.3)  # the noise between the tones
        assert row["wrong_words"] == list(range(len(row["after"].split())))


def test_swaps_keep_to_the_speaker_and_to_the_length(inject: Callable[..., Any]) -> None:
    before, _, truth = inject("swap", "--mix", "swap-speaker,swap-length", "--rate", 0.5)
    for utt_id, row in truth.items():
        other = before[row["other"]]
        assert row["after"] == text_of(other)
        if row["type"] == "swap-speaker":
            assert other.supervisions[0].speaker == before[utt_id].supervisions[0].speaker
        else:
            assert len(row["after"].split()) == len(row["before"].split())


def test_duplicates_and_wrong_speakers_change_no_text(inject: Callable[..., Any]) -> None:
    before, after, truth = inject("more", "--mix", "duplicate,wrong-speaker", "--rate", 0.5)
    assert {row["type"] for row in truth.values()} == {"duplicate", "wrong-speaker"}
    for utt_id, row in truth.items():
        old, new = before[utt_id], after[utt_id]
        assert text_of(new) == text_of(old)
        if row["type"] == "duplicate":
            assert audio_path(new) == audio_path(before[row["other"]])
            assert new.duration == before[row["other"]].duration
            assert row["before"] == text_of(before[row["other"]])
            assert new.supervisions[0].speaker == old.supervisions[0].speaker
        else:
            assert {new.supervisions[0].speaker, old.supervisions[0].speaker} == {"anna", "bert"}
            assert tiers_of(new) == tiers_of(old)


def test_lists_give_words_of_another_language_confusions_and_forms(inject: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "de.txt").write_text("guten tag\nauf wiedersehen\n")
    (tmp_path / "confusions.txt").write_text("low mid\nmid low\nhigh low mid\n")
    (tmp_path / "forms.tsv").write_text("low\tLOW down\nmid\tM\n")
    files = ("--language", tmp_path / "de.txt", "--confusions", tmp_path / "confusions.txt")
    options = ("--mix", "language,confusable,form", *files, "--forms", tmp_path / "forms.tsv", "--rate", 0.6)
    _, _, truth = inject("lists", *options)
    kinds = {row["type"] for row in truth.values()}
    assert kinds == {"language", "confusable", "form"}
    for row in truth.values():
        new = {row["after"].split()[k] for k in row["wrong_words"]}
        allowed = {
            "language": {"guten", "tag", "auf", "wiedersehen"},
            "confusable": {"low", "mid"},
            "form": {"LOW", "down", "M"},
        }
        assert new <= allowed[row["type"]]


def test_types_that_do_not_fit_are_replaced_and_counted(inject: Callable[..., Any], tmp_path: Path) -> None:
    _, _, truth = inject("mixed", "--mix", "transpose,ins", "--rate", 1)
    report = json.loads((tmp_path / "mixed" / "inject.json").read_text())
    assert len(truth) == 40
    assert report["replaced"]["transpose"] > 0
    assert sum(row.get("instead_of") == "transpose" for row in truth.values()) == report["replaced"]["transpose"]


def test_words_are_wrong_by_themselves_at_the_rate(inject: Callable[..., Any], tmp_path: Path) -> None:
    before, after, truth = inject("words", "--level", "word", "--mix", "pairflip", "--rate", 0.4)
    words = sum(len(text_of(cut).split()) for cut in before.values())
    wrong = sum(len(row["wrong_words"]) for row in truth.values())
    assert wrong / words == pytest.approx(0.4, abs=0.13)
    partners = {
        (row["before"].split()[k], row["after"].split()[k]) for row in truth.values() for k in row["wrong_words"]
    }
    assert len(partners) == 3
    assert all(text_of(after[utt_id]) == row["after"] for utt_id, row in truth.items())


def test_bad_labelers_make_most_of_the_faults(inject: Callable[..., Any], tmp_path: Path) -> None:
    options = ("--labelers", 4, "--bad-labelers", 1, "--bad-share", 0.75, "--mix", "sub", "--rate", 0.2)
    _, after, truth = inject("labeled", *options)
    labelers = json.loads((tmp_path / "labeled" / "inject.json").read_text())["labelers"]
    assert [item["utterances"] for item in labelers.values()] == [10] * 4
    (bad,) = [name for name, item in labelers.items() if item["is_bad"]]
    assert labelers[bad]["faulty"] == 6
    assert sum(after[utt_id].supervisions[0].custom["labeler"] == bad for utt_id in truth) == 6


def test_words_of_bad_labelers_are_wrong_more_often(inject: Callable[..., Any], tmp_path: Path) -> None:
    options = ("--labelers", 2, "--bad-labelers", 1, "--bad-share", 0.9, "--level", "word", "--mix", "sub")
    _, _, truth = inject("labeled", *options, "--rate", 0.3)
    labelers = json.loads((tmp_path / "labeled" / "inject.json").read_text())["labelers"]
    counts = {item["is_bad"]: item["wrong"] for item in labelers.values()}
    assert counts[True] > 3 * counts[False]
    assert sum(counts.values()) == sum(len(row["wrong_words"]) for row in truth.values())


def test_excluded_cuts_stay_as_they_are(inject: Callable[..., Any], tmp_path: Path) -> None:
    _, _, first = inject("first", "--mix", "sub", "--rate", 0.5)
    _, _, second = inject("second", "--mix", "sub", "--rate", 0.5, "--exclude", tmp_path / "first" / "truth.jsonl")
    assert len(second) == 20
    assert not first.keys() & second.keys()


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--mix", "swaps"], 2, "there is no type `swaps`"),
        (["--mix", "sub,sub"], 2, "the type `sub` is given twice"),
        (["--mix", "sub:0"], 2, "the weight `0` is no number above 0"),
        (["--mix", "swap", "--level", "word"], 2, "there is no type `swap` of words"),
        (["--rate", "1.5"], 2, "less than or equal to 1"),
        (["--level", "phone"], 2, "'utterance' or 'word'"),
        (["--mix", "language"], 2, "the type `language` needs sentences"),
        (["--mix", "language", "--language", "missing.txt"], 1, "`missing.txt` does not exist"),
        (["--labelers", "2", "--bad-labelers", "2"], 2, "2 bad labelers of 2"),
        (["--mix", "form", "--rate", "0.5"], 1, "20 faulty cuts wanted, but only 0 can carry one"),
        (
            ["--level", "word", "--labelers", "10", "--bad-labelers", "1", "--rate", "0.5"],
            1,
            "1 bad labeler of 10 can not make 80% of errors at rate 0.5",
        ),
    ],
)
def test_inject_refuses(
    run_speechkit: Callable[..., Any], tones: Path, tmp_path: Path, options: list[str], code: int, message: str
) -> None:
    done = run_speechkit("audit", "inject", tones, "--out", tmp_path / "out", *options)
    assert (done.exit_code, message in done.stderr) == (code, True), done.stderr
    assert not (tmp_path / "out").exists()


def test_inject_names_bad_lists_and_cuts(run_speechkit: Callable[..., Any], tones: Path, tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text("low low\nmid high\nmid low\n")
    options = ("--out", tmp_path / "out", "--mix", "confusable", "--confusions", listed)
    done = run_speechkit("audit", "inject", tones, *options)
    assert done.exit_code == 1
    assert f"{listed}:1  low low: nothing that `low` may become" in done.stderr
    assert f"{listed}:3  `mid` is given twice" in done.stderr
    listed.write_text("nobody\n")
    done = run_speechkit("audit", "inject", tones, "--out", tmp_path / "out", "--exclude", listed)
    assert "1 id of" in done.stderr
    assert "nobody" in done.stderr
    cuts = [replace(c, supervisions=[replace(c.supervisions[0], text="low")]) for c in load_cuts(tones)]
    save_cuts(cuts, tmp_path / "low" / "cuts.jsonl.gz")
    done = run_speechkit("audit", "inject", tmp_path / "low", "--out", tmp_path / "out", "--mix", "sub")
    assert "the texts have no vocabulary: 1 different word" in done.stderr
    cuts[3] = replace(cuts[3], supervisions=[])
    save_cuts(cuts, tmp_path / "low" / "cuts.jsonl.gz")
    done = run_speechkit("audit", "inject", tmp_path / "low", "--out", tmp_path / "out", "--mix", "sub")
    assert f"{cuts[3].id}  0 supervisions" in done.stderr
