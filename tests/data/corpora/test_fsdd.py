"""Both layouts of the spoken digits give the same ids and fields."""

from __future__ import annotations

from pathlib import Path

import pytest
from make import make_fsdd_clone, make_wav

from speechkit.data.config import FsddConfig, So762Config
from speechkit.data.corpora import so762
from speechkit.data.corpora.fsdd import prepare
from speechkit.data.corpora.items import Prepared
from speechkit.errors import SpeechkitError


def read(source: Path, **options: object) -> Prepared:
    return prepare(source, source, FsddConfig(**options), num_jobs=1)  # type: ignore[arg-type]


def test_a_clone_of_the_public_repository_is_read_by_its_file_names(tmp_path: Path) -> None:
    make_fsdd_clone(tmp_path)
    make_wav(tmp_path / "recordings" / "3_theo_12.wav")
    cuts = {cut.id: cut.supervisions[0] for cut in read(tmp_path).cuts}
    assert len(cuts) == 61
    assert cuts["theo-3-12"].text == "three"
    assert cuts["theo-3-12"].custom == {"split": "dev", "digit": 3, "take": 12, "official": "train"}
    assert cuts["george-0-00"].custom == {"split": "test", "digit": 0, "take": 0, "official": "test"}
    assert cuts["jackson-9-01"].custom["split"] == "train"


def test_a_file_with_another_name_is_listed(tmp_path: Path) -> None:
    make_fsdd_clone(tmp_path)
    make_wav(tmp_path / "recordings" / "ten_theo_1.wav")
    (bad,) = read(tmp_path).bad
    assert bad.where.endswith("recordings/ten_theo_1.wav")
    assert bad.reason == "the name is not DIGIT_SPEAKER_TAKE.wav"


def test_rows_can_be_chosen_by_field(tmp_path: Path) -> None:
    make_fsdd_clone(tmp_path)
    assert {cut.supervisions[0].speaker for cut in read(tmp_path, where="split:dev|test").cuts} == {"theo", "george"}


def test_a_folder_of_neither_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpeechkitError, match="is no copy of the Free Spoken Digit Dataset"):
        read(tmp_path)


@pytest.mark.slow
def test_the_real_corpus_has_its_fixed_protocol(corpus_root: Path) -> None:
    prepared = read(corpus_root / "fsdd")
    assert not prepared.bad
    splits = [cut.supervisions[0].custom["split"] for cut in prepared.cuts]
    assert [splits.count(name) for name in ("train", "dev", "test")] == [2000, 500, 500]
    assert [c.supervisions[0].custom["official"] for c in prepared.cuts].count("test") == 300


def test_real_so762_digits_are_lower_cased_with_age_and_phones(corpus_root: Path) -> None:
    source = corpus_root / "so762"
    prepared = so762.prepare(source, source, So762Config(kind="digits"), num_jobs=1)
    assert not prepared.bad
    assert len(prepared.cuts) == 77
    first = prepared.cuts[0].supervisions[0]
    assert (first.text, first.speaker, first.gender) == ("zero three five one", "0001", "m")
    assert (first.custom["age"], first.custom["native"]) == (6, "zh")
    assert first.custom["phones"].startswith("Z_B IH1_I")
