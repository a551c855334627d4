"""Tiny copies of public corpora: their real folders, names and file formats, with tones for speech."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
from make import make_table, make_wav


def _text(path: Path, *lines: str, encoding: str = "utf-8") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(f"{line}\n" for line in lines).encode(encoding))


def _sphere(path: Path, seconds: float = 0.3) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tone = 0.5 * np.sin(np.arange(round(seconds * 16000)) / 9)
    soundfile.write(path, tone, 16000, format="NIST", subtype="PCM_16")


def librispeech(root: Path, *subsets: str) -> None:
    """Two chapters of two speakers."""
    base = root / "LibriSpeech"
    _text(
        base / "SPEAKERS.TXT",
        ";ID  |SEX| SUBSET |MINUTES| NAME",
        "19 | F | train-clean-5 | 25.19 | Kara S",
        "26 | M | x | 1 | D",
    )
    for subset, speaker, chapter in zip(
        subsets or ("train-clean-100", "dev-clean"), ("19", "26"), ("198", "495"), strict=False
    ):
        folder = base / subset / speaker / chapter
        names = [f"{speaker}-{chapter}-{k:04d}" for k in range(2)]
        _text(folder / f"{speaker}-{chapter}.trans.txt", f"{names[0]} NORTHANGER ABBEY", f"{names[1]} THIS LITTLE WORK")
        for name in names:
            make_wav(folder / f"{name}.flac", 0.2, 16000)


def mini_librispeech(root: Path) -> None:
    """The two subsets of OpenSLR 31."""
    librispeech(root, "train-clean-5", "dev-clean-2")


def an4(root: Path) -> None:
    """The sphere archive: two training and one test recording."""
    base = root / "an4"
    _text(base / "etc" / "an4_train.transcription", "<s> GO </s> (cen1-fash-b)", "<s> G L E N N </s> (cen2-mgah-b)")
    _text(base / "etc" / "an4_train.fileids", "an4_clstk/fash/cen1-fash-b", "an4_clstk/mgah/cen2-mgah-b")
    _text(base / "etc" / "an4_test.transcription", "RUBOUT T F OH FOUR (an391-mjwl-b)")
    for place in ("an4_clstk/fash/cen1-fash-b", "an4_clstk/mgah/cen2-mgah-b", "an4test_clstk/mjwl/an391-mjwl-b"):
        _sphere(base / "wav" / f"{place}.sph")


def yesno(root: Path) -> None:
    """Four of the sixty."""
    for name in ("0_0_0_0_1_1_1_1", "0_1_0_1_0_1_0_1", "1_0_0_0_0_0_0_0", "1_1_1_1_1_1_1_1"):
        make_wav(root / "waves_yesno" / f"{name}.wav", 0.4)


def speech_commands(root: Path) -> None:
    """Two words, the three splits, and noise."""
    for name in ("yes/0a7c2a8d_nohash_0", "yes/0a7c2a8d_nohash_1", "no/bb05582b_nohash_3", "no/00f0204f_nohash_0"):
        make_wav(root / f"{name}.wav", 0.2, 16000)
    make_wav(root / "_background_noise_" / "pink_noise.wav", 1.0, 16000)
    _text(root / "validation_list.txt", "no/bb05582b_nohash_3.wav")
    _text(root / "testing_list.txt", "no/00f0204f_nohash_0.wav")


def fluent_speech_commands(root: Path) -> None:
    """One phrase of each split."""
    base = root / "fluent_speech_commands_dataset"
    for name, uid, speaker, words, rest in (
        ("train", "aaaa-1", "2BqVo8kVB2Skwgyb", "Change language", "change language,none,none"),
        ("valid", "bbbb-2", "2BqVo8kVB2Skwgyb", '"Lights on, please"', "activate,lights,none"),
        ("test", "cccc-3", "4BrX8aDqK2cLZRYl", "Turn it up", "increase,volume,none"),
    ):
        audio = f"wavs/speakers/{speaker}/{uid}.wav"
        _text(
            base / "data" / f"{name}_data.csv",
            ",path,speakerId,transcription,action,object,location",
            f"0,{audio},{speaker},{words},{rest}",
        )
        make_wav(base / audio, 0.3, 16000)
    _text(
        base / "data" / "speaker_demographics.csv",
        "speakerId,Self-reported fluency level ,First Language spoken,"
        "Current language used for work/school,gender,ageRange",
        "2BqVo8kVB2Skwgyb,native,English (United States),English (United States),male,22-40",
        "4BrX8aDqK2cLZRYl,native,English (Canada),English (Canada),female,41-65",
    )


def timit(root: Path) -> None:
    """Two sentences, one of them with small letters and RIFF."""
    for folder, name, upper in (("TRAIN/DR1/FCJF0", "SA1", True), ("test/dr2/mabc0", "sx99", False)):
        case: Callable[[str], str] = str.upper if upper else str.lower
        base = root / ("TIMIT" if upper else "timit") / folder / name
        _text(base.with_suffix(case(".txt")), "0 4800 She had your dark suit, all year.")
        _text(base.with_suffix(case(".wrd")), "800 1600 she", "1600 4000 had")
        _text(base.with_suffix(case(".phn")), "0 800 h#", "800 1200 sh", "1200 1600 iy", "1600 4000 hv")
        if upper:
            _sphere(base.with_suffix(".WAV"))
            make_wav(base.with_name(f"{name}.WAV.wav"), 0.3, 16000)
        else:
            make_wav(base.with_suffix(".wav"), 0.3, 16000)


def torgo(root: Path) -> None:
    """A dysarthric and a control speaker; a picture, an instruction and a hint among the prompts."""
    prompts = ["stick", "tear [as in tear up that paper]", "input/images/pic3.jpg", "[say Ah-P-Eee repeatedly]", "xxx"]
    for folder in ("F/F01/Session1", "MC/MC02/Session2"):
        for k, prompt in enumerate(prompts if folder.startswith("F") else prompts[:1], start=1):
            _text(root / folder / "prompts" / f"{k:04d}.txt", prompt)
            make_wav(root / folder / "wav_headMic" / f"{k:04d}.wav", 0.2, 16000)
            make_wav(root / folder / "wav_arrayMic" / f"{k:04d}.wav", 0.2, 16000)


def uaspeech(root: Path) -> None:
    """Two speakers, two microphones, two variants."""
    names = ["F02_B1_C10_M2", "F02_B1_C10_M3", "F02_B2_UW77_M3", "CM04_B1_D0_M2"]
    for name in names:
        speaker = name.split("_")[0]
        for variant in ("original", "noisereduce"):
            make_wav(root / "UASpeech" / "audio" / variant / speaker / f"{name}.wav", 0.2, 16000)
    words = {"C10": "TAB", "UW77": "DISPOSSESS", "D0": "ZERO"}
    for speaker in ("F02", "CM04"):
        own = [name for name in names if name.startswith(speaker)]
        lines = [line for name in own for line in (f'"*/{name}.lab"', words[name.split("_")[2]], ".")]
        _text(root / "UASpeech" / "mlf" / speaker / f"{speaker}_word.mlf", "#!MLF!#", *lines)


def commonvoice(root: Path) -> None:
    """Three clips in a language of one release."""
    base = root / "cv-corpus-17.0-2024-03-15" / "en"
    columns = [
        "client_id",
        "path",
        "sentence",
        "up_votes",
        "down_votes",
        "age",
        "gender",
        "accents",
        "variant",
        "locale",
        "segment",
    ]
    people = {"a": f"{'ab12' * 32}\t{{}}\t{{}}\t2\t0\ttwenties\tmale_masculine\tUnited States English\t\ten\t"}
    people["b"] = f"{'cd34' * 32}\t{{}}\t{{}}\t2\t0\t\t\t\t\ten\t"
    rows = {"train": ["a", "b"], "dev": ["b"], "test": ["a"], "other": ["a"]}
    for number, (split, who) in enumerate(rows.items()):
        lines = []
        for k, person in enumerate(who):
            clip = f"common_voice_en_{number}{k}.mp3"
            lines.append(people[person].format(clip, f'He said: "{split} {k}".'))
            (base / "clips").mkdir(parents=True, exist_ok=True)
            tone = 0.5 * np.sin(np.arange(9600) / 9)
            soundfile.write(base / "clips" / clip, tone, 32000, format="MP3")
        _text(base / f"{split}.tsv", "\t".join(columns), *lines)


def cmu_arctic(root: Path) -> None:
    """Two voices that read the same sentence."""
    for speaker in ("bdl", "slt"):
        base = root / f"cmu_us_{speaker}_arctic"
        _text(base / "etc" / "txt.done.data", '( arctic_a0001 "Author of the danger trail, Philip Steels, etc." )')
        make_wav(base / "wav" / "arctic_a0001.wav", 0.3, 16000)


def l2_arctic(root: Path) -> None:
    """Two speakers, one sentence with its TextGrid, and the free speech."""
    from speechkit.data.formats.textgrid import write_textgrid
    from speechkit.data.store import Word

    for speaker in ("ABA", "YKWK"):
        base = root / "l2arctic_release_v5.0" / speaker
        make_wav(base / "wav" / "arctic_a0001.wav", 0.5, 44100)
        _text(base / "transcript" / "arctic_a0001.txt", "Author of the danger trail")
        tiers = {
            "words": [Word("author", 0.1, 0.3)],
            "phones": [Word("AO", 0.1, 0.1), Word("TH", 0.2, 0.2), Word("sil", 0.4, 0.1)],
        }
        write_textgrid(base / "textgrid" / "arctic_a0001.TextGrid", tiers, end_seconds=0.5)
    make_wav(root / "l2arctic_release_v5.0" / "suitcase_corpus" / "wav" / "aba.wav", 0.5, 44100)
    _text(root / "l2arctic_release_v5.0" / "suitcase_corpus" / "transcript" / "aba.txt", "a long story")


def sap(root: Path) -> None:
    """Two contributors, in Train and Dev."""
    for split, contributor, etiology in (("Train", "0a1b-22", "Parkinson's Disease"), ("Dev", "9f8e-33", "ALS")):
        base = root / split / contributor
        files = []
        for k, (prompt, said) in enumerate([("Call mom.", "(um) Call mom."), ("Weather in Paris", "weather in Paris")]):
            name = f"{contributor}_{k}_100.wav"
            make_wav(base / name, 0.3, 16000)
            kinds = {"Category Description": "Digital Assistant Commands", "Sub Category Description": "Calls"}
            files.append(
                {
                    "Filename": name,
                    "Created": "2023",
                    "Prompt": {"Prompt Text": prompt, "Transcript": said, **kinds},
                    "Ratings": [],
                }
            )
        content = {"Contributor ID": contributor, "Etiology": etiology, "Files": files}
        (base / f"{contributor}.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
    (root / "split.json").write_text("{}")


def dspspeech20(root: Path) -> None:
    """A clone of the public repository: two students, a Mandarin and an English word."""
    for student in ("16307110258", "15300000001"):
        for word in ("00", "19"):
            make_wav(root / student / f"{student}-{word}-01.wav", 0.2)
    _text(root / "README.md", "# DSPSpeech-20")


def barista(root: Path) -> None:
    """A clone of the benchmark: two orders."""
    labels = {}
    for uid, slots in (
        ("0075d273", {"coffeeDrink": "coffee", "roast": "light roast"}),
        ("01a50d1b", {"milkAmount": " soy milk"}),
    ):
        labels[f"{uid}.wav"] = {"intent": "orderDrink", "slots": slots}
        make_wav(root / "data" / "speech" / "clean" / f"{uid}.wav", 0.3, 16000)
    (root / "data" / "label").mkdir(parents=True)
    (root / "data" / "label" / "label.json").write_text(json.dumps(labels, indent=4))


def barista_table(root: Path) -> None:
    """The prepared subset with a manifest."""
    make_wav(root / "a.wav", 0.3)
    make_table(
        root / "manifest.tsv",
        "id path speaker intent slots split text_auto",
        'b0 a.wav unknown orderDrink {"size":"_large"} train a_large_one',
    )


MOCKS: dict[str, Callable[[Path], None]] = {
    "an4": an4,
    "barista": barista,
    "cmu_arctic": cmu_arctic,
    "commonvoice": commonvoice,
    "dspspeech20": dspspeech20,
    "fluent_speech_commands": fluent_speech_commands,
    "l2_arctic": l2_arctic,
    "librispeech": librispeech,
    "mini_librispeech": mini_librispeech,
    "sap": sap,
    "speech_commands": speech_commands,
    "timit": timit,
    "torgo": torgo,
    "uaspeech": uaspeech,
    "yesno": yesno,
}
