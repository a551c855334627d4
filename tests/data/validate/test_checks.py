"""Checks of whole sets and between sets: what is the rule, what is the exception, and what is only worth a note."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from make import make_cut, make_table, make_wav
from planted_corpus import PROMPTS, Corpus, voice

from speechkit.data.store import save_cuts
from speechkit.data.validate.config import ValidateConfig
from speechkit.data.validate.report import Report
from speechkit.data.validate.run import SET_CHECKS, validate


def make_set(folder: Path, texts: dict[str, str], **fields: Any) -> Path:
    """A table with a file of its own for each id."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = ["id\tpath\tspeaker\ttext"]
    for utt_id, text in texts.items():
        soundfile.write(folder / f"{utt_id}.wav", voice(utt_id), fields.get("rate", {}).get(utt_id, 8000))
        rows.append(f"{utt_id}\t{utt_id}.wav\t{fields.get('speakers', {}).get(utt_id, 'ann')}\t{text}")
    (folder / "manifest.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def check(*paths: Path, **options: Any) -> Report:
    return validate(list(paths), ValidateConfig(cache=False, **options))


def faults(report: Report) -> list[tuple[str, str]]:
    return [(finding.kind, finding.utt_id) for finding in report.faults]


def notes(report: Report) -> Counter[str]:
    return Counter(finding.kind for finding in report.findings if finding not in report.faults)


def texts_of(size: int, text: str = "one two", **others: str) -> dict[str, str]:
    return {f"u{i:02d}": f"{text} {'abcdefghijklmnopqrstuvwxyz'[i % 26] * 3}" for i in range(size)} | others


def test_every_group_that_can_be_left_out_has_checks() -> None:
    assert set(SET_CHECKS) == {"structure", "text", "audio", "timing", "duplicates", "speakers"}
    assert sum(map(len, SET_CHECKS.values())) == len({check for checks in SET_CHECKS.values() for check in checks})


@pytest.mark.parametrize(("size", "kinds"), [(19, ["text-case"]), (5, [])])
def test_a_few_exceptions_are_faults_and_a_mixture_is_a_note(size: int, kinds: list[str], tmp_path: Path) -> None:
    report = check(make_set(tmp_path / "s", texts_of(size, u99="ONE TWO ZZZ")))
    assert [kind for kind, _ in faults(report)] == kinds
    assert notes(report)["text-style"] == (not kinds)


def test_punctuation_and_case_may_be_the_rule(tmp_path: Path) -> None:
    report = check(make_set(tmp_path / "s", {key: f"{text.capitalize()}!" for key, text in texts_of(12).items()}))
    assert faults(report) == []


def test_digits_are_noted_where_numbers_are_spelled_out(tmp_path: Path) -> None:
    report = check(make_set(tmp_path / "s", texts_of(12, u99="one 2")))
    assert (faults(report), notes(report)["text-digits"]) == ([], 1)


@pytest.mark.parametrize(("odd", "kinds"), [(1, ["audio-rate"]), (4, [])])
def test_a_rate_is_wrong_when_nearly_all_have_another(odd: int, kinds: list[str], tmp_path: Path) -> None:
    rates = {f"u{i:02d}": 16000 for i in range(odd)}
    report = check(make_set(tmp_path / "s", texts_of(12), rate=rates))
    assert [kind for kind, _ in faults(report)] == kinds
    assert notes(report)["audio-rates"] == (not kinds)
    named = check(make_set(tmp_path / "s", texts_of(12), rate=rates), rate=16000)
    assert Counter(kind for kind, _ in faults(named)) == {"audio-rate": 12 - odd}


def test_files_with_several_channels_are_a_note_when_all_are(tmp_path: Path) -> None:
    rows = []
    for i in range(3):
        make_wav(tmp_path / f"{i}.wav", 0.5, channels=2, frequency=200 + 50 * i)
        rows.append(f"u{i} {i}.wav ann one_{i}")
    path = make_table(tmp_path / "m.tsv", "id path speaker text", *rows)
    report = check(path)
    assert (faults(report), notes(report)["audio-multichannel"]) == ([], 1)
    assert Counter(kind for kind, _ in faults(check(path, channels=1))) == {"audio-channels": 3}


def test_long_audio_is_a_fault_when_it_is_rare_or_above_a_given_limit(tmp_path: Path) -> None:
    make_set(tmp_path / "s", texts_of(12))
    soundfile.write(tmp_path / "s" / "u03.wav", np.tile(voice("u03"), 100), 8000)
    assert faults(check(tmp_path / "s")) == [("audio-long", "u03")]
    assert faults(check(tmp_path / "s", max_seconds=100)) == []
    assert len(faults(check(tmp_path / "s", max_seconds=0.1))) == 12


def test_levels_of_audio_are_faults_or_notes(tmp_path: Path) -> None:
    make_set(tmp_path / "s", texts_of(12))
    samples = {name: voice(name) for name in ("u00", "u01", "u02", "u03", "u04")}
    samples["u00"] *= 0.001 / 0.6
    samples["u01"] *= 0.01
    samples["u02"] = np.concatenate([samples["u02"], np.zeros(9000), samples["u02"]])
    samples["u03"][1000:1300:100] = samples["u03"][1001:1301:100] = samples["u03"][1002:1302:100] = 1.0
    samples["u04"] = samples["u04"] + 0.04
    for name, values in samples.items():
        soundfile.write(tmp_path / "s" / f"{name}.wav", values, 8000)
    report = check(tmp_path / "s")
    assert faults(report) == [("audio-silent", "u00")]
    assert notes(report) == {"audio-quiet": 1, "audio-gap": 1, "audio-peaks": 1, "speaker-one": 1}


def test_prompts_in_ids_reveal_swapped_texts_but_not_variants(tmp_path: Path) -> None:
    ids = [f"s{s}-{p}-{t}" for s in range(2) for p in range(5) for t in range(3)]
    texts = {utt_id: PROMPTS[int(utt_id.split("-")[1])] for utt_id in ids}
    assert faults(check(make_set(tmp_path / "clean", texts))) == []
    texts["s0-1-0"] = "tree four"  # another reading of the prompt, not another prompt
    assert faults(check(make_set(tmp_path / "variant", texts))) == []
    texts["s0-1-1"], texts["s1-3-2"] = texts["s1-3-2"], texts["s0-1-1"]
    assert faults(check(make_set(tmp_path / "swapped", texts))) == [
        ("text-of-another-prompt", "s0-1-1"),
        ("text-of-another-prompt", "s1-3-2"),
    ]


def test_ids_that_tell_no_prompt_accuse_nobody(tmp_path: Path) -> None:
    generator = np.random.default_rng(3)
    texts = {f"s{i % 3}-{i // 3:03d}": PROMPTS[generator.integers(5)] for i in range(45)}
    assert faults(check(make_set(tmp_path / "s", texts))) == []
    same = {f"s{i % 3}-{i // 3:03d}": PROMPTS[0] if i else PROMPTS[1] for i in range(30)}
    assert faults(check(make_set(tmp_path / "t", same))) == []


def test_equal_audio_with_other_texts_condemns_both(tmp_path: Path) -> None:
    make_set(tmp_path / "s", texts_of(12))
    for copy, source in (("u05", "u02"), ("u07", "u06")):
        (tmp_path / "s" / f"{copy}.wav").write_bytes((tmp_path / "s" / f"{source}.wav").read_bytes())
    table = tmp_path / "s" / "manifest.tsv"
    table.write_text(table.read_text().replace("\tone two fff", "\tone two ccc"))
    assert sorted(faults(check(tmp_path / "s"))) == [
        ("audio-twice", "u05"),
        ("audio-twice-texts-differ", "u06"),
        ("audio-twice-texts-differ", "u07"),
    ]


def test_one_file_under_two_ids_is_seen_without_opening_it(tmp_path: Path) -> None:
    make_wav(tmp_path / "a.wav", 0.5)
    path = make_table(tmp_path / "m.tsv", "id path speaker text", "u1 a.wav ann one", "u2 ./a.wav ann one")
    assert faults(check(path, skip=("audio",))) == [("audio-twice", "u2")]
    assert faults(check(path)) == [("audio-twice", "u2")]
    assert faults(check(path, skip=("duplicates",))) == []


def test_speakers_are_checked_for_what_a_split_needs(tmp_path: Path) -> None:
    speakers = {"u00": "Ann", "u01": "unknown", "u02": "", "u03": "bob"}
    report = check(make_set(tmp_path / "s", texts_of(12), speakers=speakers))
    assert sorted(faults(report)) == [
        ("speaker-missing", "u02"),
        ("speaker-spelling", "u00"),
        ("speaker-unknown", "unknown"),
    ]
    assert notes(report)["speaker-single"] == 1
    assert faults(check(tmp_path / "s", skip=("speakers",))) == []


def test_names_of_speakers_must_be_visible(tmp_path: Path) -> None:
    speakers = {"u00": "a\u00a0b", "u01": "john smith", "u02": "c\x00"}
    report = check(make_set(tmp_path / "s", texts_of(3), speakers=speakers))
    assert faults(report) == [("speaker-characters", "u00"), ("speaker-characters", "u02")]


def test_spellings_are_one_speaker_only_where_letter_case_means_nothing(tmp_path: Path) -> None:
    speakers = {f"u{i:02d}": name for i, name in enumerate(["aXy9", "AxY9", "axY9", "S1", "s1", "s1"])}
    report = check(make_set(tmp_path / "s", texts_of(6), speakers=speakers))
    assert faults(report) == [("speaker-spelling", "u03")]


def test_a_speaker_of_two_genders_is_told(tmp_path: Path) -> None:
    audio = [make_wav(tmp_path / f"{i}.wav", 0.5, frequency=200 + 40 * i) for i in range(4)]
    cuts = [make_cut(f"u{i}", path, gender="m" if i == 2 else "f", text=f"text {i}") for i, path in enumerate(audio)]
    save_cuts(cuts, tmp_path / "c.jsonl.gz")
    report = check(tmp_path / "c.jsonl.gz")
    assert [(f.kind, f.utt_id, f.detail) for f in report.faults] == [("speaker-gender", "anna", "3 x f, 1 x m")]


def test_ctc_is_checked_for_words_characters_or_a_tokenizer(tmp_path: Path) -> None:
    from speechkit.text.tokenizer import train_tokenizer

    make_set(tmp_path / "s", {"u1": "one two three four five", "u2": "one two"})
    report = check(tmp_path / "s")  # 0.8 s: 81 feature frames, 21 encoder frames
    assert (faults(report), notes(report)["ctc-characters"]) == ([], 1)
    assert faults(check(tmp_path / "s", tokens="char")) == [("ctc-infeasible", "u1")]
    assert faults(check(tmp_path / "s", tokens="char", subsampling=2)) == []
    assert faults(check(tmp_path / "s", subsampling=20)) == []
    assert faults(check(tmp_path / "s", subsampling=32)) == [("ctc-infeasible", "u1")]
    train_tokenizer(["one two three"], kind="char").save(tmp_path / "tokens")
    found = faults(check(tmp_path / "s", tokenizer=str(tmp_path / "tokens")))
    assert found == [("text-unknown-symbol", "u1")]


@pytest.mark.parametrize("seconds", [0.795, 0.8, 0.805, 0.81, 0.84])
def test_frames_are_those_that_training_counts(seconds: float, tmp_path: Path) -> None:
    from speechkit.audio.config import FeatureConfig
    from speechkit.audio.features import num_frames
    from speechkit.nn.config import DsConvConfig
    from speechkit.nn.encoder import encoder_frames

    features = FeatureConfig(sampling_rate=8000)
    frames = encoder_frames(num_frames(round(seconds * 8000), features), DsConvConfig(subsampling=4))
    for num_tokens in (frames, frames + 1):
        folder = tmp_path / str(num_tokens)
        make_wav(folder / "a.wav", seconds)
        words = " ".join("ab"[i % 2] for i in range(num_tokens))
        (folder / "manifest.tsv").write_text(f"id\tpath\tspeaker\ttext\nu1\ta.wav\tann\t{words}\n")
        infeasible = [kind for kind, _ in faults(check(folder)) if kind == "ctc-infeasible"]
        assert bool(infeasible) == (num_tokens > frames)


def test_sets_that_share_nothing_have_no_leak_and_shared_things_are_named(tmp_path: Path) -> None:
    first = make_set(tmp_path / "a", texts_of(3), speakers={"u02": "eve"})
    clean = make_set(tmp_path / "b", {"v1": "something else"}, speakers={"v1": "bob"})
    assert faults(check(first, clean)) == []
    make_set(
        tmp_path / "c", {"u00": "new text", "w1": "One two BBB!", "w2": "last"}, speakers={"w1": "eve", "w2": "eve"}
    )
    (tmp_path / "c" / "w2.wav").write_bytes((tmp_path / "a" / "u01.wav").read_bytes())
    report = check(first, tmp_path / "c")
    assert faults(report) == [
        ("leak-utterance", "u00"),
        ("leak-audio", "u01"),
        ("leak-speaker", "ann"),
        ("leak-speaker", "eve"),
        ("leak-text", "u01"),
    ]
    assert "2 utterances in `a`, 1 in `c`" in next(f.detail for f in report.faults if f.utt_id == "ann")
    assert all(f.set_index == 0 for f in report.faults), "`--fix` takes leaks from the set that was given first"
    allowed = check(first, tmp_path / "c", may_share=("speaker", "text"))
    assert faults(allowed) == [("leak-utterance", "u00"), ("leak-audio", "u01")]
    assert notes(allowed)["overlap-speaker"] == notes(allowed)["overlap-text"] == 1
    assert faults(check(first, tmp_path / "c", skip=("leaks",))) == []


def test_a_placeholder_is_no_speaker_that_two_sets_share(tmp_path: Path) -> None:
    sets = [make_set(tmp_path / name, {f"{name}1": f"text {name}"}, speakers={f"{name}1": "Unknown"}) for name in "ab"]
    assert [kind for kind, _ in faults(check(*sets))] == ["speaker-unknown", "speaker-unknown"]


def test_parts_of_one_recording_in_two_sets_are_a_leak(tmp_path: Path) -> None:
    corpus = Corpus(tmp_path / "corpus")
    train = corpus.write()[0]
    parts = [("a", "anna-0-00", 0.0, 0.2), ("b", "anna-0-00", 0.2, 0.4)]
    for name, recording, start, end in parts:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "wav.scp").write_text((train / "wav.scp").read_text())
        (folder / "segments").write_text(f"{name}-1 {recording} {start} {end}\n")
        (folder / "text").write_text(f"{name}-1 {name}\n")
        (folder / "utt2spk").write_text(f"{name}-1 {name}\n")
        (folder / "spk2utt").write_text(f"{name} {name}-1\n")
    assert faults(check(tmp_path / "a", tmp_path / "b")) == [("leak-recording", "a-1")]


def test_notes_do_not_fail_and_sparse_texts_are_one(tmp_path: Path) -> None:
    make_set(tmp_path / "s", {"u1": "six"})
    soundfile.write(tmp_path / "s" / "u1.wav", np.tile(voice("u1"), 12), 8000)
    report = check(tmp_path / "s")
    assert (faults(report), notes(report)["text-sparse"]) == ([], 1)


def test_a_symbol_of_one_utterance_alone_is_noted_in_large_sets(tmp_path: Path) -> None:
    texts = {
        key: f"{text} {key.translate(str.maketrans('0123456789u', 'abcdefghijk'))}"
        for key, text in texts_of(60).items()
    }
    texts["u07"] += " z\u00fcri"
    report = check(make_set(tmp_path / "s", texts), skip=("audio",))
    (finding,) = [f for f in report.findings if f.kind == "text-rare-symbol"]
    assert (finding.utt_id, faults(report)) == ("u07", [])
    assert "U+00FC" in finding.detail
