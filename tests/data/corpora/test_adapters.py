"""Every adapter on a tiny copy of its corpus: what is read, what is left out, what is refused, for any --nj."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mock_corpora
import pytest
from make import make_wav
from mock_corpora import MOCKS

from speechkit.audio.io import read_audio
from speechkit.data.config import PrepareConfig
from speechkit.data.prepare import CORPORA, corpus_options, prepare_corpus
from speechkit.data.store import audio_path, load_cuts
from speechkit.errors import ConfigError, SpeechkitError


def prepare(
    corpus: str, source: Path, out: Path, *options: str, max_bad: str = "0", num_jobs: int = 1
) -> dict[str, Any]:
    config = PrepareConfig(corpus=corpus, source=str(source), max_bad=max_bad, options=corpus_options(corpus, options))
    prepare_corpus(config, out, num_jobs=num_jobs)
    return {cut.id: cut for cut in load_cuts(out)}


def labels(cut: Any) -> tuple[str, str | None, str | None, dict[str, Any]]:
    s = cut.supervisions[0]
    return s.text, s.speaker, s.gender, {k: v for k, v in (s.custom or {}).items() if k != "gender"}


@pytest.fixture
def mock(tmp_path: Path) -> Callable[[str], Path]:
    def made(corpus: str) -> Path:
        source = tmp_path / corpus
        source.mkdir()
        MOCKS[corpus](source)
        return source

    return made


NEW = sorted(MOCKS)


def test_every_adapter_has_a_mock() -> None:
    assert set(CORPORA) - set(MOCKS) == {"fsdd", "fsdd-strings", "kaldi", "lhotse", "so762", "tsv"}


@pytest.mark.parametrize("corpus", NEW)
def test_cuts_have_text_speaker_language_and_audio_and_the_same_bytes_for_any_number_of_jobs(
    corpus: str, mock: Callable[[str], Path], tmp_path: Path
) -> None:
    source = mock(corpus)
    cuts = prepare(corpus, source, tmp_path / "a", num_jobs=1)
    prepare(corpus, source, tmp_path / "b", num_jobs=3)
    assert (tmp_path / "a/cuts.jsonl.gz").read_bytes() == (tmp_path / "b/cuts.jsonl.gz").read_bytes()
    assert len(cuts) >= 2
    for cut in cuts.values():
        assert len(read_audio(audio_path(cut))[0]) == cut.num_samples
        assert cut.supervisions[0].text.strip()
        assert cut.supervisions[0].language in ("en", "he", "zh")
        assert bool(cut.supervisions[0].speaker) == (corpus != "barista")


@pytest.mark.parametrize("corpus", NEW)
def test_broken_audio_is_named_and_skipped_only_when_allowed(
    corpus: str, mock: Callable[[str], Path], tmp_path: Path
) -> None:
    source = mock(corpus)
    victim = audio_path(next(iter(prepare(corpus, source, tmp_path / "whole").values())))
    num_whole = len(load_cuts(tmp_path / "whole"))
    victim.write_bytes(b"")
    with pytest.raises(SpeechkitError) as caught:
        prepare(corpus, source, tmp_path / "out")
    assert caught.value.what == f"1 of {num_whole} items can not be used"
    assert f"audio file `{victim}` is empty" in caught.value.where[0]
    assert len(prepare(corpus, source, tmp_path / "out", max_bad="1")) == num_whole - 1
    assert str(victim) in (tmp_path / "out" / "skipped.tsv").read_text()


@pytest.mark.parametrize("corpus", NEW)
def test_a_folder_of_something_else_is_refused(corpus: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").write_text("nothing\n")
    with pytest.raises(SpeechkitError, match=r"no utterance of this corpus|is no copy of|no `"):
        prepare(corpus, tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_librispeech_has_subsets_chapters_and_genders(mock: Callable[[str], Path], tmp_path: Path) -> None:
    cuts = prepare("librispeech", mock("librispeech"), tmp_path / "out")
    fields = {"split": "train-clean-100", "chapter": "198"}
    assert labels(cuts["19-198-0000"]) == ("northanger abbey", "19", "f", fields)
    assert cuts["26-495-0001"].supervisions[0].gender == "m"
    upper = prepare("librispeech", tmp_path / "librispeech", tmp_path / "up", "case=upper", "where=split:dev-clean")
    assert [cut.supervisions[0].text for cut in upper.values()] == ["NORTHANGER ABBEY", "THIS LITTLE WORK"]


def test_librispeech_audio_without_transcript_is_a_fault(mock: Callable[[str], Path], tmp_path: Path) -> None:
    source = mock("mini_librispeech")
    make_wav(source / "LibriSpeech" / "dev-clean-2" / "26" / "495" / "26-495-0009.flac")
    with pytest.raises(SpeechkitError, match="the audio has no transcript"):
        prepare("mini_librispeech", source, tmp_path / "out")
    assert len(prepare("mini-librispeech", source, tmp_path / "out", max_bad="1")) == 4


def test_an4_strips_marks_and_knows_its_splits(mock: Callable[[str], Path], tmp_path: Path) -> None:
    source = mock("an4")
    cuts = prepare("an4", source, tmp_path / "out")
    assert labels(cuts["cen2-mgah-b"]) == ("g l e n n", "mgah", "m", {"split": "train"})
    assert labels(cuts["an391-mjwl-b"]) == ("rubout t f oh four", "mjwl", "m", {"split": "test"})
    audio = source / "an4" / "wav" / "an4_clstk" / "fash" / "cen1-fash-b.sph"
    audio.rename(audio.with_suffix(".raw"))
    with (source / "an4" / "etc" / "an4_test.transcription").open("a") as table:
        table.write("NOTHING HERE\nLOST (an0-none-b)\n")
    with pytest.raises(SpeechkitError) as caught:
        prepare("an4", source, tmp_path / "out")
    assert [line.split("  ", 1)[1] for line in caught.value.where] == [
        "cen1-fash-b  its audio is .raw without a header: take an4_sphere.tar.gz",
        "-  not `<s> WORDS </s> (ID)`",
        "an0-none-b  no audio below wav/",
    ]


def test_yesno_reads_the_words_from_the_names(mock: Callable[[str], Path], tmp_path: Path) -> None:
    source = mock("yesno")
    cuts = prepare("yesno", source, tmp_path / "out")
    assert labels(cuts["0_1_0_1_0_1_0_1"]) == ("no yes no yes no yes no yes", "global", None, {"split": "train"})
    assert cuts["1_1_1_1_1_1_1_1"].supervisions[0].custom == {"split": "test"}
    make_wav(source / "waves_yesno" / "2_1.wav")
    with pytest.raises(SpeechkitError, match="not of 0 and 1"):
        prepare("yesno", source, tmp_path / "out")


def test_speech_commands_has_official_splits_and_leaves_noise_out(mock: Callable[[str], Path], tmp_path: Path) -> None:
    source = mock("speech_commands")
    cuts = prepare("speech_commands", source, tmp_path / "out")
    assert labels(cuts["bb05582b-no-3"]) == ("no", "bb05582b", None, {"split": "dev", "take": 3})
    assert [c.supervisions[0].custom["split"] for c in cuts.values()] == ["test", "dev", "train", "train"]
    assert (tmp_path / "out" / "skipped.tsv").read_text().splitlines()[1].endswith("\tpink_noise\tno spoken word")
    with (source / "testing_list.txt").open("a") as table:
        table.write("no/ffff_nohash_0.wav\n")
    make_wav(source / "no" / "mine.wav")
    with pytest.raises(SpeechkitError) as caught:
        prepare("speech_commands", source, tmp_path / "out")
    assert "the name is not WORD/SPEAKER_nohash_N.wav" in caught.value.where[0]
    assert caught.value.where[1].endswith("testing_list.txt:2  no/ffff_nohash_0.wav  no such audio file")


def test_fluent_speech_commands_has_slots_and_people(mock: Callable[[str], Path], tmp_path: Path) -> None:
    cuts = prepare("fluent_speech_commands", mock("fluent_speech_commands"), tmp_path / "out")
    text, speaker, gender, custom = labels(cuts["2BqVo8kVB2Skwgyb-bbbb-2"])
    assert (text, speaker, gender) == ("Lights on, please", "2BqVo8kVB2Skwgyb", "m")
    people = {"first_language": "English (United States)", "age_range": "22-40"}
    assert custom == {"split": "dev", "action": "activate", "object": "lights", "location": "none", **people}
    bare = prepare(
        "fluent_speech_commands", tmp_path / "fluent_speech_commands", tmp_path / "b", "case=lower", "punctuation=drop"
    )
    assert bare["2BqVo8kVB2Skwgyb-bbbb-2"].supervisions[0].text == "lights on please"


def test_timit_has_word_and_phone_times_in_either_case(mock: Callable[[str], Path], tmp_path: Path) -> None:
    source = mock("timit")
    cuts = prepare("timit", source, tmp_path / "out")
    assert sorted(cuts) == ["fcjf0-sa1", "mabc0-sx99"]
    fields = {"split": "train", "dialect": "dr1", "kind": "sa", "prompt": "sa1"}
    assert labels(cuts["fcjf0-sa1"]) == ("she had your dark suit all year", "fcjf0", "f", fields)
    tiers = cuts["mabc0-sx99"].supervisions[0].alignment
    assert [(i.symbol, i.start, i.duration) for i in tiers["word"]] == [("she", 0.05, 0.05), ("had", 0.1, 0.15)]
    assert [item.symbol for item in tiers["phone"]] == ["h#", "sh", "iy", "hv"]
    (source / "timit/test/dr2/mabc0/sx99.phn").write_text("0 800 h#\n800 x sh\n")
    with pytest.raises(SpeechkitError, match=r"sx99\.phn:2` is not `START END LABEL`"):
        prepare("timit", source, tmp_path / "out")


def test_torgo_leaves_pictures_and_instructions_out(mock: Callable[[str], Path], tmp_path: Path) -> None:
    source = mock("torgo")
    cuts = prepare("torgo", source, tmp_path / "out")
    assert {k: c.supervisions[0].text for k, c in cuts.items()} == {
        "F01-Session1-head-0001": "stick",
        "F01-Session1-head-0002": "tear",
        "MC02-Session2-head-0001": "stick",
    }
    fields = {"group": "control", "session": "2", "mic": "head"}
    assert labels(cuts["MC02-Session2-head-0001"]) == ("stick", "MC02", "m", fields)
    left_out = (tmp_path / "out" / "skipped.tsv").read_text().splitlines()[1:]
    assert [line.split("\t")[2] for line in left_out] == [
        "the prompt is no text: input/images/pic3.jpg",
        "the prompt is no text: [say Ah-P-Eee repeatedly]",
        "the prompt is no text: xxx",
    ]
    assert len(prepare("torgo", source, tmp_path / "both", "mic=both")) == 6
    (source / "F/F01/Session1/prompts/0001.txt").unlink()
    with pytest.raises(SpeechkitError, match=r"F01-Session1-head-0001  cannot read .*0001\.txt"):
        prepare("torgo", source, tmp_path / "out")


def test_uaspeech_takes_words_from_the_label_files(mock: Callable[[str], Path], tmp_path: Path) -> None:
    source = mock("uaspeech")
    cuts = prepare("uaspeech", source, tmp_path / "out")
    assert len(cuts) == 4
    fields = {"group": "dysarthric", "block": "B2", "mic": "M3", "word_key": "UW77", "prompt": "B2-UW77"}
    assert labels(cuts["F02_B2_UW77_M3"]) == ("dispossess", "F02", "f", fields)
    assert labels(cuts["CM04_B1_D0_M2"])[:3] == ("zero", "CM04", "m")
    assert "original" in str(audio_path(cuts["CM04_B1_D0_M2"]))
    one = prepare("uaspeech", source, tmp_path / "one", "where=mic:M2", "variant=noisereduce")
    assert sorted(one) == ["CM04_B1_D0_M2", "F02_B1_C10_M2"]
    make_wav(source / "UASpeech/audio/original/F02/F02_B3_C1_M2.wav")
    with pytest.raises(SpeechkitError, match="no word for it in mlf/"):
        prepare("uaspeech", source, tmp_path / "out")


def test_commonvoice_reads_the_tables_asked_for(mock: Callable[[str], Path], tmp_path: Path) -> None:
    source = mock("commonvoice")
    cuts = prepare("commonvoice", source, tmp_path / "out")
    fields = {"split": "train", "age_range": "twenties", "accent": "United States English"}
    assert labels(cuts["common_voice_en_00"]) == ('He said: "train 0".', "ab12" * 4, "m", fields)
    assert len(cuts) == 4
    table = source / "cv-corpus-17.0-2024-03-15" / "en" / "other.tsv"
    table.write_text(table.read_text().replace("common_voice_en_30", "common_voice_en_00"))
    again = prepare("commonvoice", source, tmp_path / "more", "splits=train,other")
    assert sorted(again) == ["common_voice_en_00", "common_voice_en_01"]
    assert "already in" in (tmp_path / "more" / "skipped.tsv").read_text()
    with pytest.raises(ConfigError, match=r"no table .*nonsense\.tsv"):
        prepare("commonvoice", source, tmp_path / "no", "splits=nonsense")


def test_cmu_arctic_names_the_sentence_that_all_read(mock: Callable[[str], Path], tmp_path: Path) -> None:
    source = mock("cmu_arctic")
    cuts = prepare("cmu_arctic", source, tmp_path / "out")
    text = "Author of the danger trail, Philip Steels, etc."
    assert labels(cuts["bdl-arctic_a0001"]) == (text, "bdl", "m", {"prompt": "arctic_a0001"})
    assert labels(cuts["slt-arctic_a0001"])[1:3] == ("slt", "f")
    with (source / "cmu_us_slt_arctic/etc/txt.done.data").open("a") as table:
        table.write("( arctic_a0002 no quotes )\n")
    with pytest.raises(SpeechkitError, match=r"txt\.done\.data:2  -  not"):
        prepare("cmu_arctic", source, tmp_path / "out")


def test_l2_arctic_has_first_languages_and_times(mock: Callable[[str], Path], tmp_path: Path) -> None:
    cuts = prepare("l2_arctic", mock("l2_arctic"), tmp_path / "out")
    fields = {"first_language": "Korean", "prompt": "arctic_a0001"}
    assert labels(cuts["YKWK-arctic_a0001"]) == ("Author of the danger trail", "YKWK", "m", fields)
    tiers = cuts["ABA-arctic_a0001"].supervisions[0].alignment
    assert [item.symbol for item in tiers["word"]] == ["author"]
    assert [item.symbol for item in tiers["phone"]] == ["AO", "TH"]
    assert "suitcase corpus" in (tmp_path / "out" / "skipped.tsv").read_text()


def test_sap_has_etiology_category_and_prompt(mock: Callable[[str], Path], tmp_path: Path) -> None:
    source = mock("sap")
    cuts = prepare("sap", source, tmp_path / "out")
    kinds = {"category": "Digital Assistant Commands", "subcategory": "Calls", "prompt": "Call mom."}
    fields = {"split": "train", "etiology": "Parkinson's Disease", **kinds}
    assert labels(cuts["0a1b-22_0_100"]) == ("(um) Call mom.", "0a1b-22", None, fields)
    assert prepare("sap", source, tmp_path / "p", "text=prompt")["0a1b-22_0_100"].supervisions[0].text == "Call mom."
    path = source / "Dev" / "9f8e-33" / "9f8e-33.json"
    content = json.loads(path.read_text())
    content["Files"][0] = {"Filename": "../../secret.wav", "Prompt": {}}
    path.write_text(json.dumps(content))
    (source / "Train" / "0a1b-22" / "0a1b-22.json").write_text("{")
    with pytest.raises(SpeechkitError) as caught:
        prepare("sap", source, tmp_path / "out")
    shown = "\n".join(caught.value.where)
    assert "9f8e-33.json Files[0]  ../../secret.wav  no `Filename` or no `Prompt`" in shown
    assert "0a1b-22.json` is not valid JSON" in shown
    assert shown.count("the audio has no entry in the JSON of its contributor") == 3


def test_dspspeech20_hides_student_numbers_in_a_clone(mock: Callable[[str], Path], tmp_path: Path) -> None:
    source = mock("dspspeech20")
    cuts = prepare("dspspeech20", source, tmp_path / "out")
    assert labels(cuts["s02-w00-t01"]) == ("\u6570\u5b57", "s02", None, {"word": "0", "take": 1})
    assert labels(cuts["s01-w19-t01"])[0] == "project"
    make_wav(source / "15300000001" / "15300000001-20-01.wav")
    with pytest.raises(SpeechkitError, match="a word from 00 to 19"):
        prepare("dspspeech20", source, tmp_path / "out")


def test_barista_has_slots_and_no_speakers(mock: Callable[[str], Path], tmp_path: Path) -> None:
    cuts = prepare("barista", mock("barista"), tmp_path / "out")
    text, speaker, _, custom = labels(cuts["0075d273"])
    assert (text, speaker) == ("coffee light roast", None)
    assert (custom["intent"], custom["slot_roast"]) == ("orderDrink", "light roast")
    assert json.loads(custom["slots"]) == {"coffeeDrink": "coffee", "roast": "light roast"}
    assert cuts["01a50d1b"].supervisions[0].custom["slot_milkAmount"] == "soy milk"
    mock_corpora.barista_table(tmp_path)
    (cut,) = prepare("barista", tmp_path, tmp_path.with_name("table_out")).values()
    assert (cut.supervisions[0].text, cut.supervisions[0].custom["slot_size"]) == ("a large one", "large")


@pytest.mark.slow
@pytest.mark.parametrize("corpus, number, speakers", [("dspspeech20", 1200, 20), ("barista", 200, 0)])
def test_the_real_corpora_are_read_whole(
    corpus_root: Path, tmp_path: Path, corpus: str, number: int, speakers: int
) -> None:
    cuts = prepare(corpus, corpus_root / corpus, tmp_path / "out", num_jobs=2)
    assert len(cuts) == number
    assert len({c.supervisions[0].speaker for c in cuts.values()} - {None}) == speakers
    assert not (tmp_path / "out" / "skipped.tsv").exists()


@pytest.mark.parametrize("corpus", NEW)
@pytest.mark.parametrize("damage", ["empty", "half", "bytes", "lines"])
def test_damaged_tables_end_in_a_message_or_are_listed(
    corpus: str, damage: str, mock: Callable[[str], Path], tmp_path: Path
) -> None:
    source = mock(corpus)
    tables = [p for p in source.rglob("*") if p.is_file() and p.suffix.lower() not in (".wav", ".flac", ".sph", ".mp3")]
    for number, path in enumerate(tables):
        data = path.read_bytes()
        damaged = {
            "empty": b"",
            "half": data[: len(data) // 2],
            "bytes": b"\xff\x00{\n" + data,
            "lines": b'",(\n\n' + data,
        }
        path.write_bytes(damaged[damage])
        try:
            prepare(corpus, source, tmp_path / f"out{number}", max_bad="100%")
        except SpeechkitError as error:
            assert error.what
        path.write_bytes(data)
