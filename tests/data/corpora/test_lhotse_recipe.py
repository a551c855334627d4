"""lhotse's own recipes on a tiny copy of a real layout, and on made-up recipes."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import lhotse.recipes
import pytest
from lhotse import Recording, RecordingSet, SupervisionSegment, SupervisionSet
from lhotse.audio import AudioSource
from make import make_wav

from speechkit.data.config import LhotseConfig
from speechkit.data.corpora.items import Prepared
from speechkit.data.corpora.lhotse_recipe import find_recipe, prepare
from speechkit.errors import ConfigError, SpeechkitError


def read(source: Path, recipe: str, **args: Any) -> Prepared:
    return prepare(source, source, LhotseConfig(args=args), num_jobs=1, recipe=recipe)


def offer(monkeypatch: pytest.MonkeyPatch, recipe: Any) -> None:
    """Make `recipe` the function of `lhotse:fake`."""
    monkeypatch.setattr(lhotse.recipes, "prepare_fake", recipe, raising=False)


def manifests(folder: Path, **supervision: Any) -> dict[str, Any]:
    audio = make_wav(folder / "r.wav", 1.0)
    fields = {"id": "u", "recording_id": "r", "start": 0.25, "duration": 0.5, "text": "one", "speaker": "ann"}
    return {
        "recordings": RecordingSet.from_recordings([Recording.from_file(audio, recording_id="r")]),
        "supervisions": SupervisionSet.from_segments([SupervisionSegment(**{**fields, **supervision})]),
    }


def test_the_yesno_recipe_gives_both_splits(tmp_path: Path) -> None:
    names = ["_".join(bits) for bits in itertools.islice(itertools.product("01", repeat=8), 60)]
    for name in names:
        make_wav(tmp_path / "waves_yesno" / f"{name}.wav", 0.05)
    prepared = read(tmp_path / "waves_yesno", "yesno")
    assert not prepared.bad
    assert [cut.id for cut in prepared.cuts] == sorted(names)
    splits = [cut.supervisions[0].custom["split"] for cut in prepared.cuts]
    assert splits.count("train") == splits.count("test") == 30
    assert prepared.cuts[1].supervisions[0].text == "NO NO NO NO NO NO NO YES"
    assert prepared.notes == ["60 utterances have no speaker"]


def test_a_failing_recipe_is_a_named_failure_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(SpeechkitError, match=r"gave up: AssertionError\n  AssertionError in yesno\.py:[0-9]+"):
        read(tmp_path, "yesno")


def test_an_unknown_recipe_gets_the_nearest_names() -> None:
    with pytest.raises(ConfigError, match="lhotse:librispeech"):
        find_recipe("librispech")


def test_dashes_in_a_recipe_name_count_as_underscores() -> None:
    assert find_recipe("cmu-arctic") is lhotse.recipes.prepare_cmu_arctic


def test_arguments_of_the_recipe_are_passed_and_wrong_ones_are_config_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def recipe(corpus_dir: Path, speaker: str) -> dict[str, Any]:
        return manifests(corpus_dir, speaker=speaker)

    offer(monkeypatch, recipe)
    assert read(tmp_path, "fake", speaker="zoe").cuts[0].supervisions[0].speaker == "zoe"
    with pytest.raises(ConfigError, match="missing a required argument: 'speaker'"):
        read(tmp_path, "fake")
    with pytest.raises(ConfigError, match="unexpected keyword argument 'colour'"):
        read(tmp_path, "fake", colour="red", speaker="zoe")


def test_segments_of_nested_splits_become_cuts_with_an_offset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, lambda corpus_dir: {"de": {"dev": manifests(corpus_dir)}, "note": "ignored"})
    (cut,) = read(tmp_path, "fake").cuts
    assert (cut.id, cut.start, cut.duration) == ("u", 0.25, 0.5)
    assert cut.supervisions[0].start == 0
    assert cut.supervisions[0].custom == {"split": "de/dev"}


def test_what_recipes_print_does_not_reach_stdout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def recipe(corpus_dir: Path) -> dict[str, Any]:
        print("hello")
        return manifests(corpus_dir)

    offer(monkeypatch, recipe)
    read(tmp_path, "fake")
    assert capsys.readouterr() == ("", "hello\n")


def test_ids_that_occur_in_two_splits_are_bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, lambda corpus_dir: {"dev": manifests(corpus_dir), "test": manifests(corpus_dir)})
    prepared = read(tmp_path, "fake")
    assert [cut.id for cut in prepared.cuts] == ["u"]
    assert [item.reason for item in prepared.bad] == ["the id occurs twice, first at recording r"]


def test_audio_that_is_no_first_channel_of_a_plain_file_is_bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, lambda corpus_dir: manifests(corpus_dir, channel=1))
    assert [item.reason for item in read(tmp_path, "fake").bad] == ["channel 1 is not the first of its file"]
    found = manifests(tmp_path)
    found["recordings"]["r"].sources[0] = AudioSource(type="command", channels=[0], source="sox x |")
    offer(monkeypatch, lambda corpus_dir: found)
    assert [item.reason for item in read(tmp_path, "fake").bad] == ["the audio comes from a command, not from a file"]


def test_a_recipe_without_supervisions_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, lambda corpus_dir: {"recordings": manifests(corpus_dir)["recordings"]})
    with pytest.raises(SpeechkitError, match="gives no recordings with supervisions"):
        read(tmp_path, "fake")
