"""`align forced` as a whole: outputs, formats, bad input, the same bytes for any number of jobs."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from make import make_broken_audio, make_cut, make_wav
from tone_corpus import CONFIG_YAML, RATE, make_tone_corpus

from speechkit.config import load_config
from speechkit.data.formats.ctm import read_ctm
from speechkit.data.formats.textgrid import read_textgrid
from speechkit.data.store import load_cuts, save_cuts, tiers_of, words_of
from speechkit.train import loop
from speechkit.train.config import TrainConfig

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tone_corpus(tmp_path_factory.mktemp("corpus") / "tones", num_utterances=20)


def spoil(tones: Path, out: Path, changes: dict[int, dict[str, Any]], audio: dict[int, Path] | None = None) -> Path:
    """A copy of the manifest with other texts, speakers or audio."""
    cuts = list(load_cuts(tones))
    for index, fields in changes.items():
        for name, value in fields.items():
            setattr(cuts[index].supervisions[0], name, value)
    for index, path in (audio or {}).items():
        cuts[index].recording.sources[0].source = str(path)
    save_cuts(cuts, out)
    return out


def test_words_times_formats_and_summary_are_written(run_speechkit: Run, tones: Path, tmp_path: Path) -> None:
    out, figures = tmp_path / "align", tmp_path / "figures.json"
    result = run_speechkit("align", "forced", tones, "--out", out, "--format", "ctm,textgrid", "--json", figures)
    assert result.exit_code == 0, result.stderr
    cuts, truth = list(load_cuts(out)), list(load_cuts(tones))
    assert [cut.id for cut in cuts] == [cut.id for cut in truth]
    for cut, true in zip(cuts, truth, strict=True):
        assert [word.symbol for word in words_of(cut)] == true.supervisions[0].text.split()
        assert all(0 <= word.score <= 1 for word in words_of(cut))
        assert Path(cut.recording.sources[0].source).is_file()
    spoken, bad = read_ctm(out / "words.ctm")
    assert not bad and [word.symbol for word in spoken[cuts[3].id]] == [word.symbol for word in words_of(cuts[3])]
    grid = read_textgrid(out / "textgrid" / f"{cuts[3].id}.TextGrid")
    assert grid.tiers["word"][0].start_seconds == pytest.approx(words_of(cuts[3])[0].start_seconds)
    summary = json.loads(figures.read_text())
    assert summary["num_words"] == sum(len(words_of(cut)) for cut in cuts)
    assert summary["num_skipped"] == 0
    assert f"{summary['num_words']} words aligned" in result.stdout
    again = run_speechkit("align", "forced", tones, "--out", out, "--format", "ctm,textgrid")
    assert "up to date" in again.stdout


def test_the_same_bytes_for_any_number_of_jobs(run_speechkit: Run, tones: Path, tmp_path: Path) -> None:
    for jobs in (1, 3):
        run_speechkit("align", "forced", tones, "--out", tmp_path / str(jobs), "--nj", jobs, "--format", "ctm")
    for name in ("cuts.jsonl.gz", "words.ctm", "suspicious.tsv", "summary.json", "hmm.json", "hmm.safetensors"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "3" / name).read_bytes(), name


def test_a_model_trained_before_aligns_other_cuts(run_speechkit: Run, tones: Path, tmp_path: Path) -> None:
    run_speechkit("align", "forced", tones, "--out", tmp_path / "first")
    few = tmp_path / "few.jsonl.gz"
    save_cuts(list(load_cuts(tones))[:2], few)
    result = run_speechkit("align", "forced", few, "--exp", tmp_path / "first", "--out", tmp_path / "second")
    assert result.exit_code == 0, result.stderr
    first, second = list(load_cuts(tmp_path / "first"))[:2], list(load_cuts(tmp_path / "second"))
    for a, b in zip(first, second, strict=True):
        for one, other in zip(words_of(a), words_of(b), strict=True):
            assert math.isclose(one.start_seconds, other.start_seconds, abs_tol=0.03)


def test_every_unusable_utterance_is_listed_with_its_line_and_reason(
    run_speechkit: Run, tones: Path, tmp_path: Path
) -> None:
    changes = {1: {"text": ""}, 3: {"text": "low - mid"}, 5: {"text": "high low " * 80}}
    manifest = spoil(tones, tmp_path / "cuts.jsonl.gz", changes, {7: tmp_path / "gone.flac"})
    result = run_speechkit("align", "forced", manifest, "--out", tmp_path / "align")
    assert result.exit_code == 1 and "3 of 20 utterances can not be aligned" in result.stderr
    assert "trained" not in result.stderr  # what manifest and headers show stops it before the training
    result = run_speechkit("align", "forced", manifest, "--out", tmp_path / "align", "--max-bad", 3)
    assert result.exit_code == 1 and "4 of 20 utterances can not be aligned" in result.stderr
    assert "trained on 16 of 17 utterances" in result.stderr
    for number, reason in (
        (2, "it has no text"),
        (4, "the word `-` has no letter"),
        (6, "too short for its text"),
        (8, "does not exist"),
    ):
        assert any(f"cuts.jsonl.gz:{number}  " in line and reason in line for line in result.stderr.splitlines())
    assert "--max-bad 4" in result.stderr and not (tmp_path / "align").exists()
    result = run_speechkit("align", "forced", manifest, "--out", tmp_path / "align", "--max-bad", "20%")
    assert result.exit_code == 0, result.stderr
    assert "4 utterances skipped" in result.stdout
    assert len(list(load_cuts(tmp_path / "align"))) == 16
    assert len((tmp_path / "align" / "skipped.tsv").read_text().splitlines()) == 5


def test_headers_are_looked_at_before_the_training(run_speechkit: Run, tones: Path, tmp_path: Path) -> None:
    broken = make_broken_audio(tmp_path)
    cuts = list(load_cuts(tones))
    fast = make_wav(tmp_path / "fast.wav", 9.0, 2 * cuts[3].sampling_rate)
    short = make_wav(tmp_path / "short.wav", 0.05, cuts[4].sampling_rate)
    audio = {1: broken["not_audio"], 2: broken["zero_bytes"], 3: fast, 4: short}
    manifest = spoil(tones, tmp_path / "cuts.jsonl.gz", {}, audio)
    result = run_speechkit("align", "forced", manifest, "--out", tmp_path / "align")
    assert result.exit_code == 1 and "4 of 20 utterances can not be aligned" in result.stderr
    assert "its manifest says" in result.stderr and "is truncated" in result.stderr and "trained" not in result.stderr


def test_rates_that_hold_no_speech_and_texts_that_fit_nowhere_are_named(run_speechkit: Run, tmp_path: Path) -> None:
    slow, short = make_wav(tmp_path / "slow.wav", 2.0, 2000), make_wav(tmp_path / "short.wav", 0.05, RATE)
    for audio, reason in (
        (slow, "it is sampled at 2000 Hz, at least 4000 Hz are needed"),
        (short, "u1  0.06 s, 30 words"),
    ):
        cut = make_cut("u1", audio, text="low high mid " * 10, speaker="organ")
        save_cuts([cut], tmp_path / "cuts.jsonl.gz")
        failed = run_speechkit("align", "forced", tmp_path / "cuts.jsonl.gz", "--out", tmp_path / "align")
        assert (failed.exit_code, reason in failed.stderr) == (1, True), failed.stderr


def test_words_that_fit_badly_are_listed(run_speechkit: Run, tones: Path, tmp_path: Path) -> None:
    cuts = list(load_cuts(tones))
    index = next(i for i, cut in enumerate(cuts) if cut.supervisions[0].text.startswith("low"))
    wrong = " ".join(["high", *cuts[index].supervisions[0].text.split()[1:]])
    manifest = spoil(tones, tmp_path / "cuts.jsonl.gz", {index: {"text": wrong}})
    result = run_speechkit("align", "forced", manifest, "--out", tmp_path / "align")
    lines = (tmp_path / "align" / "suspicious.tsv").read_text().splitlines()
    assert lines[1].split("\t")[:3] == [cuts[index].id, "1", "high"]
    assert "fit badly" in result.stderr


def test_speakers_may_be_unknown(run_speechkit: Run, tones: Path, tmp_path: Path) -> None:
    manifest = spoil(tones, tmp_path / "cuts.jsonl.gz", {i: {"speaker": None} for i in range(20)})
    result = run_speechkit("align", "forced", manifest, "--out", tmp_path / "align")
    assert result.exit_code == 0, result.stderr


def test_silence_gives_no_traceback(run_speechkit: Run, tones: Path, tmp_path: Path) -> None:
    silent = make_wav(tmp_path / "silent.wav", 1.0, frequency=0.0)
    cuts = list(load_cuts(tones))
    recording = replace(cuts[0].recording, num_samples=8000, duration=1.0)
    recording.sources[0].source = str(silent)
    cuts[0].recording, cuts[0].duration = recording, 1.0
    save_cuts(cuts, tmp_path / "cuts.jsonl.gz")
    result = run_speechkit("align", "forced", tmp_path / "cuts.jsonl.gz", "--out", tmp_path / "align")
    assert result.exit_code == 0, result.stderr
    assert cuts[0].id in (tmp_path / "align" / "suspicious.tsv").read_text()


@pytest.mark.parametrize(
    "options, code, message",
    [
        (["--format", "ctm,rttm"], 2, "unknown format `rttm`"),
        (["--max-bad", "many"], 2, "neither a count nor a share"),
        (["--exp", "nowhere"], 1, "`nowhere` does not exist"),
        (["--min-confidence", "2"], 2, "`min_confidence`"),
        (["--set", "hmm.hop=3"], 2, "did you mean `hop_ms`"),
        (["--set", "hmm.hop_ms=1e-6"], 2, "`hmm.hop_ms`"),
        (["--set", "hmm.frame_ms=4"], 2, "hop_ms 5 must be at most frame_ms 4"),
    ],
)
def test_wrong_options_are_named(
    run_speechkit: Run, tones: Path, tmp_path: Path, options: list[str], code: int, message: str
) -> None:
    result = run_speechkit("align", "forced", tones, "--out", tmp_path / "align", *options)
    assert result.exit_code == code and message in result.stderr
    assert "Traceback" not in result.stderr and not (tmp_path / "align").exists()


def test_ids_that_can_not_be_file_names_are_refused_for_textgrids(
    run_speechkit: Run, tones: Path, tmp_path: Path
) -> None:
    cuts = list(load_cuts(tones))
    cuts[2].id = "../up"
    save_cuts(cuts, tmp_path / "cuts.jsonl.gz")
    result = run_speechkit(
        "align", "forced", tmp_path / "cuts.jsonl.gz", "--out", tmp_path / "align", "--format", "textgrid"
    )
    assert result.exit_code == 2 and "../up" in result.stderr


def test_a_ctc_model_aligns_and_gives_its_tokens(run_speechkit: Run, tones: Path, tmp_path: Path) -> None:
    (tmp_path / "conf.yaml").write_text(CONFIG_YAML)
    config = load_config(TrainConfig, tmp_path / "conf.yaml", ["optim.num_steps=8"])
    loop.run(config, train=[tones], dev=None, out=tmp_path / "ctc")
    command = ["align", "forced", tones, "--exp", tmp_path / "ctc", "--out"]
    for jobs in (1, 2):
        result = run_speechkit(*command, tmp_path / f"{jobs}", "--nj", jobs, "--format", "textgrid")
        assert result.exit_code == 0, result.stderr
    for name in ("cuts.jsonl.gz", "suspicious.tsv", "hmm.safetensors"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes(), name
    for cut in load_cuts(tmp_path / "1"):
        assert [word.symbol for word in words_of(cut)] == cut.supervisions[0].text.split()
        assert [token.symbol for token in tiers_of(cut)["token"]] == cut.supervisions[0].text.split()
    beam = run_speechkit(*command, tmp_path / "beam", "--set", "ctc.beam=50", "--set", "ctc.chunk_seconds=0.3")
    assert beam.exit_code == 0, beam.stderr


def test_folders_without_a_model_are_refused(run_speechkit: Run, tones: Path, tmp_path: Path) -> None:
    result = run_speechkit("align", "forced", tones, "--exp", tones, "--out", tmp_path / "align")
    assert result.exit_code == 1 and "holds no model to align with" in result.stderr
