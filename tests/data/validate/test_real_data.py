"""Real corpora: no false alarm, and the faults they really have are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from speechkit.data.validate.config import ValidateConfig
from speechkit.data.validate.run import validate

AUDIO_ONLY = {"skip": ("text", "speakers")}
BARISTA = {"text_column": "text_auto"}
# corpus, options, and what is really wrong with it: barista names no speakers; one impulse response has 48 kHz
# where all other files have 16 kHz, another eight channels where all others have one
CORPORA = [
    pytest.param("fsdd", {}, [], marks=pytest.mark.slow),
    pytest.param("so762", {}, [], marks=pytest.mark.slow),
    pytest.param("dspspeech20", {}, [], marks=pytest.mark.slow),
    pytest.param("sentences", {}, []),
    pytest.param("alignments", {}, []),
    pytest.param("barista", BARISTA, [("speaker-unknown", "unknown")]),
    pytest.param("noise_rir", AUDIO_ONLY, [("audio-rate", "am_rir48k"), ("audio-channels", "lhotse_real_8ch")]),
]
# what is worth knowing about them
NOTES = {
    "sentences": {"text-style", "audio-rates", "audio-gap", "text-sparse", "speaker-single"},
    "noise_rir": {"audio-peaks", "audio-quiet"},
}


@pytest.mark.parametrize(("name", "options", "faults"), CORPORA)
def test_a_real_corpus_has_the_faults_it_has_and_no_others(
    name: str, options: dict[str, Any], faults: list[tuple[str, str]], corpus_root: Path
) -> None:
    report = validate([corpus_root / name], ValidateConfig(cache=False, **options))
    assert sorted((f.kind, f.utt_id) for f in report.faults) == sorted(faults)
    if name in NOTES:
        assert {f.kind for f in report.findings} - {f.kind for f in report.faults} == NOTES[name]


def test_the_texts_of_all_corpora_pass(corpus_root: Path) -> None:
    for name in ("fsdd", "so762", "dspspeech20"):
        assert validate([corpus_root / name], ValidateConfig(skip=("audio",))).faults == []


@pytest.mark.slow
def test_strings_made_of_recordings_pass_also_the_very_long_ones(corpus_root: Path, tmp_path: Path) -> None:
    from speechkit.data.config import FsddStringsConfig, PrepareConfig
    from speechkit.data.prepare import prepare_corpus

    lists = corpus_root / "fsdd" / "connected"
    names = ("limited_train", "limited_test_unseen", "test_long")
    for name in names:
        options = FsddStringsConfig(list=str(lists / f"{name}.tsv"))
        config = PrepareConfig(corpus="fsdd-strings", source=str(corpus_root / "fsdd"), options=options)
        prepare_corpus(config, tmp_path / name)
    report = validate([tmp_path / name for name in names], ValidateConfig(cache=False))
    # both test lists are of the speaker george, as its README says
    assert {(f.kind, f.utt_id) for f in report.faults} == {("leak-speaker", "george")}
