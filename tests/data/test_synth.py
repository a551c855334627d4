"""Synthetic corpora: the same bytes however they are made, true word times, disjoint voices."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechkit.audio.io import audio_info, read_audio
from speechkit.audio.resample import resample_by
from speechkit.data import synth
from speechkit.data.config_synth import SynthConfig
from speechkit.data.sentences import DIGITS, VOCABULARY, make_sentences
from speechkit.data.store import audio_path, load_cuts, text_of, words_of
from speechkit.data.synth import make_orders, run
from speechkit.data.synth_render import ratio, render_orders
from speechkit.data.voices import draw_speakers, variants_of
from speechkit.errors import ConfigError, SpeechkitError

SETS = ("train", "dev", "test")


@pytest.fixture(autouse=True)
def engine() -> None:
    pytest.importorskip("espeakng_loader", reason="pip install -e '.[synth]'")


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    """`make("name", speakers=2, ...)` makes a corpus and gives its folder."""

    def run_it(
        name: str, *, num_jobs: int = 1, texts: Path | None = None, exclude: Path | None = None, **options: Any
    ) -> Path:
        run(SynthConfig(**options), out=tmp_path / name, texts=texts, exclude=exclude, num_jobs=num_jobs)
        return tmp_path / name

    return run_it


def bytes_of(folder: Path) -> dict[str, str]:
    """Hash of each output; the record of the run itself may differ."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in ("run.json", "log.txt"))
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_two_runs_in_one_process_give_the_same_bytes(make: Callable[..., Path]) -> None:
    options = {"speakers": 3, "sentences": 3, "seed": 5, "noise": True, "reverb": True, "formant": (0.9, 1.1)}
    first, second = bytes_of(make("a", **options)), bytes_of(make("b", **options))
    assert first == second
    assert len([name for name in first if name.endswith(".flac")]) == 9


@pytest.mark.slow
def test_the_number_of_processes_does_not_change_a_byte(make: Callable[..., Path]) -> None:
    options = {"speakers": 5, "sentences": 20, "seed": 5, "noise": True, "reverb": True, "formant": (0.9, 1.1)}
    one = bytes_of(make("one", **options, num_jobs=1))
    assert one == bytes_of(make("four", **options, num_jobs=4))
    assert one == bytes_of(make("again", **options, num_jobs=4))


def test_the_order_of_utterances_does_not_change_a_byte(tmp_path: Path) -> None:
    config = SynthConfig(speakers=3, sentences=2, noise=True, reverb=True)
    orders = make_orders(config, draw_speakers(config), make_sentences(2, 0))
    forward = render_orders(orders, config, tmp_path / "a")
    backward = render_orders(orders[::-1], config, tmp_path / "b")
    assert forward == backward[::-1]
    assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b")


def test_other_seeds_give_other_voices_and_other_sentences(make: Callable[..., Path]) -> None:
    first, second = make("a", speakers=2, sentences=2, seed=0), make("b", speakers=2, sentences=2, seed=1)
    assert (first / "speakers.json").read_text() != (second / "speakers.json").read_text()
    assert (first / "texts.txt").read_text() != (second / "texts.txt").read_text()


def test_the_manifest_fits_the_audio_and_the_texts(make: Callable[..., Path]) -> None:
    folder = make("a", speakers=2, sentences=4, sampling_rate=8000)
    cuts = list(load_cuts(folder))
    assert [cut.id for cut in cuts] == [f"spk{s:04d}-s{n:04d}" for s in range(2) for n in range(4)]
    assert (folder / "texts.txt").read_text().splitlines() == [text_of(cut) for cut in cuts[:4]]
    for cut in cuts:
        info = audio_info(audio_path(cut))
        assert (info.sampling_rate, info.num_samples) == (8000, cut.recording.num_samples)
        words = words_of(cut)
        assert [word.symbol for word in words] == text_of(cut).split()
        assert 0.05 <= words[0].start_seconds <= 0.2001
        assert words[-1].start_seconds + words[-1].duration_seconds <= cut.duration
        assert cut.supervisions[0].speaker == cut.id[:7] == audio_path(cut).parent.name
        assert set(cut.supervisions[0].alignment) == {"word", "phone"}


def test_the_energy_lies_between_the_first_and_the_last_word(make: Callable[..., Path]) -> None:
    for cut in load_cuts(make("a", speakers=4, sentences=2, formant=(0.8, 1.2))):
        samples, rate = read_audio(audio_path(cut))
        words = words_of(cut)
        begin = int(words[0].start_seconds * rate)
        end = int((words[-1].start_seconds + words[-1].duration_seconds) * rate)
        energy = np.cumsum(samples.astype(np.float64) ** 2) / np.sum(samples.astype(np.float64) ** 2)
        assert energy[max(begin - int(0.005 * rate), 0)] < 0.001
        assert energy[end] > 0.98
        assert np.abs(samples).max() <= 0.96


def test_rooms_and_noise_leave_the_word_times_and_say_what_they_did(make: Callable[..., Path]) -> None:
    clean = list(load_cuts(make("clean", speakers=2, sentences=2)))
    options = {"noise": True, "reverb": True, "snr_db": (10, 12), "rt60_seconds": (0.2, 0.3)}
    rough = list(load_cuts(make("rough", speakers=2, sentences=2, **options)))
    for before, after in zip(clean, rough, strict=True):
        assert words_of(before) == words_of(after)
        assert 10 <= after.supervisions[0].custom["snr_db"] <= 12
        assert 0.2 <= after.supervisions[0].custom["rt60_seconds"] <= 0.3
        assert not np.array_equal(read_audio(audio_path(before))[0], read_audio(audio_path(after))[0])


def test_the_noise_has_the_drawn_level(make: Callable[..., Path]) -> None:
    options = {"speakers": 1, "sentences": 3, "level_db": (-30, -30)}
    clean = list(load_cuts(make("clean", **options)))
    noisy = list(load_cuts(make("noisy", **options, noise=True)))
    for before, after in zip(clean, noisy, strict=True):
        speech, mixed = (read_audio(audio_path(cut))[0].astype(np.float64) for cut in (before, after))
        snr_db = 10 * np.log10(np.sum(speech**2) / np.sum((mixed - speech) ** 2))
        assert snr_db == pytest.approx(after.supervisions[0].custom["snr_db"], abs=0.2)


def test_sets_of_voices_share_no_variant_and_each_has_both_genders(make: Callable[..., Path]) -> None:
    parts = {name: set(variants_of(name)) for name in SETS}
    assert sum(map(len, parts.values())) == len(set.union(*parts.values())) == len(variants_of("all")) == 86
    for name in SETS:
        genders = {speaker.gender for speaker in draw_speakers(SynthConfig(speakers=30, voice_set=name))}
        assert genders == {"female", "male", None}


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**30), count=st.integers(1, 100), voice_set=st.sampled_from([*SETS, "all"]))
def test_speakers_have_voices_of_their_own_that_stay_when_more_are_asked(seed: int, count: int, voice_set: str) -> None:
    few = draw_speakers(SynthConfig(speakers=count, seed=seed, voice_set=voice_set))
    more = draw_speakers(SynthConfig(speakers=count + 20, seed=seed, voice_set=voice_set))
    assert more[:count] == few
    assert len({speaker.voice for speaker in more}) == count + 20
    assert all(120 <= speaker.rate <= 220 and 20 <= speaker.pitch <= 80 for speaker in more)


def test_every_voice_can_be_used_and_no_more() -> None:
    accents = ("en", "en-us")
    assert len({s.voice for s in draw_speakers(SynthConfig(speakers=172, accents=accents))}) == 172
    with pytest.raises(ConfigError, match="173 speakers, but only 172 voices"):
        draw_speakers(SynthConfig(speakers=173, accents=accents))


def test_each_speaker_says_a_draw_of_the_digit_strings(make: Callable[..., Path]) -> None:
    folder = make("a", speakers=3, digits=(3, 5), digit_strings=50, sentences_per_speaker=4, sampling_rate=8000)
    cuts = list(load_cuts(folder))
    by_speaker = [[text_of(cut) for cut in cuts if cut.id.startswith(f"spk000{n}")] for n in range(3)]
    assert [len(set(texts)) for texts in by_speaker] == [4, 4, 4]
    assert by_speaker[0] != by_speaker[1]
    assert {word for text in by_speaker[0] for word in text.split()} <= set(DIGITS)
    assert len((folder / "texts.txt").read_text().splitlines()) == len({text_of(cut) for cut in cuts})


def test_further_takes_differ_a_little(make: Callable[..., Path]) -> None:
    cuts = list(load_cuts(make("a", speakers=1, sentences=1, repeat=3)))
    assert [cut.id for cut in cuts] == ["spk0000-s0000", "spk0000-s0000-r1", "spk0000-s0000-r2"]
    assert len({cut.duration for cut in cuts}) == 3


def test_twenty_sentences_hold_the_whole_vocabulary(make: Callable[..., Path]) -> None:
    words = (make("a", speakers=1, sentences=20) / "texts.txt").read_text().split()
    assert set(words) == set(VOCABULARY)


def test_texts_without_exact_times_are_left_out_and_counted(make: Callable[..., Path], tmp_path: Path) -> None:
    texts = tmp_path / "texts"
    texts.write_text("you could have told me\nthe end of the story\na bird sings\n")
    folder = make("a", speakers=2, texts=texts)
    summary = json.loads((folder / "synth.json").read_text())
    assert (summary["num_utterances"], summary["num_rejected"], summary["num_pairs_divided"]) == (4, 2, 2)
    assert summary["reasons"] == {"one event for several words": 2}
    assert summary["rejected"][0]["id"] == "spk0000-s0000"
    assert "you could have told me" not in (folder / "texts.txt").read_text()
    assert summary["engine"]["library_sha256"]


def test_no_text_with_exact_times_is_an_error_and_leaves_nothing(make: Callable[..., Path], tmp_path: Path) -> None:
    texts = tmp_path / "texts"
    texts.write_text("you could have told me\n")
    with pytest.raises(SpeechkitError, match="no utterance has exact word times"):
        make("a", speakers=1, texts=texts)
    assert [path.name for path in tmp_path.iterdir()] == ["texts"]


def test_excluded_texts_are_not_said(make: Callable[..., Path], tmp_path: Path) -> None:
    texts, exclude = tmp_path / "texts", tmp_path / "exclude"
    texts.write_text("one bird\ntwo birds\n")
    exclude.write_text("Two birds!\n")
    assert (make("a", speakers=1, texts=texts, exclude=exclude) / "texts.txt").read_text() == "one bird\n"
    with pytest.raises(SpeechkitError, match=r"no text of .* is left"):
        make("b", speakers=1, texts=exclude, exclude=exclude)
    train = make("train", speakers=1, sentences=20)
    unseen = make("test", speakers=1, sentences=20, exclude=train / "texts.txt")
    train_texts, unseen_texts = (set((folder / "texts.txt").read_text().splitlines()) for folder in (train, unseen))
    assert not train_texts & unseen_texts


@pytest.mark.parametrize("options", [{}, {"sentences": 2, "digits": (2, 3)}], ids=["none", "two"])
def test_exactly_one_source_of_texts_is_needed(make: Callable[..., Path], options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="exactly one source"):
        make("a", speakers=1, **options)


def test_more_sentences_per_speaker_than_texts_is_refused(make: Callable[..., Path]) -> None:
    with pytest.raises(ConfigError, match="only 3 different texts"):
        make("a", speakers=1, sentences=3, sentences_per_speaker=4)


@settings(max_examples=60, deadline=None)
@given(rate=st.sampled_from([8000, 11025, 16000, 22050, 24000, 44100, 48000]), formant=st.floats(0.8, 1.25))
def test_the_resampling_ratio_is_within_half_a_percent(rate: int, formant: float) -> None:
    up, down = ratio(rate, formant)
    assert up / down == pytest.approx(rate / 22050 / formant, rel=0.005)
    assert ratio(rate, 1.0)[0] * 22050 == ratio(rate, 1.0)[1] * rate


def test_resampling_keeps_the_place_of_an_impulse() -> None:
    impulse = np.zeros(4410, np.float32)
    impulse[2205] = 1.0
    found = resample_by(impulse, 160, 441)
    assert int(np.argmax(found)) == 800 and found.dtype == np.float32


def test_a_dead_worker_is_reported(monkeypatch: pytest.MonkeyPatch, make: Callable[..., Path]) -> None:
    class DeadPool:
        def __init__(self, *args: Any, **options: Any) -> None:
            pass

        def __enter__(self) -> DeadPool:
            return self

        def __exit__(self, *args: object) -> None:
            pass

        def map(self, *args: object) -> Any:
            raise synth.BrokenProcessPool

    monkeypatch.setattr(synth, "ProcessPoolExecutor", DeadPool)
    with pytest.raises(SpeechkitError, match="a process that makes speech died"):
        make("a", speakers=2, sentences=11, num_jobs=2)


@pytest.mark.parametrize("rt60", [0.3, 0.6])
def test_the_sound_dies_away_by_60_db_in_the_reverberation_time(make: Callable[..., Path], rt60: float) -> None:
    options = {"reverb": True, "rt60_seconds": (rt60, rt60), "pad_seconds": (0.5, 0.5), "level_db": (-18, -18)}
    [cut] = load_cuts(make("a", speakers=1, sentences=1, **options))
    samples, rate = read_audio(audio_path(cut))
    last = words_of(cut)[-1]
    begin = int((last.start_seconds + last.duration_seconds + 0.02) * rate)
    size = int(0.4 * rt60 * rate)
    early, late = (float(np.sum(np.square(samples[begin + i * size :][: size // 2]))) for i in (0, 1))
    assert 10 * np.log10(early / late) == pytest.approx(0.4 * 60, abs=6)
