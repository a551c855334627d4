"""Preparing a corpus as an artifact: what is written, what is skipped, what stops the work."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from make import make_table, make_wav

from speechkit.data.config import CORPUS_CONFIGS, PrepareConfig
from speechkit.data.prepare import CORPORA, bad_count_limit, corpus_options, prepare_corpus
from speechkit.data.store import load_cuts
from speechkit.errors import ConfigError, SpeechkitError

COLUMNS = "id path speaker text"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Three sound rows and a missing file."""
    folder = tmp_path / "source"
    make_wav(folder / "a.wav", 1.0)
    rows = ("u1 a.wav ann one", "u2 a.wav ann two", "u3 a.wav ben three", "u4 x.wav ben four")
    make_table(folder / "manifest.tsv", COLUMNS, *rows)
    return folder


def run(source: Path, out: Path, *, corpus: str = "tsv", max_bad: str = "1", force: bool = False) -> None:
    config = PrepareConfig(corpus=corpus, source=str(source), max_bad=max_bad, options=corpus_options(corpus, []))
    prepare_corpus(config, out, force=force)


def test_every_corpus_has_a_config_and_a_function() -> None:
    assert sorted(CORPORA) == sorted(CORPUS_CONFIGS)
    for corpus in CORPORA:
        assert corpus_options("lhotse:yesno" if corpus == "lhotse" else corpus, []) is not None


def test_manifests_and_summary_are_written_and_bad_items_are_listed(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    run(source, out)
    assert capsys.readouterr().out == f"{out}: 3 utterances, 0.00 h, 2 speakers, 1 skipped (see {out}/skipped.tsv)\n"
    header, line = (out / "skipped.tsv").read_text().splitlines()
    assert header == "where\tid\treason"
    assert line == f"{source}/manifest.tsv:5\tu4\taudio file `{source}/x.wav` does not exist"
    for name in ("recordings", "supervisions", "cuts"):
        items = gzip.decompress((out / f"{name}.jsonl.gz").read_bytes()).splitlines()
        assert [json.loads(item)["id"] for item in items] == ["u1", "u2", "u3"]
    assert len(load_cuts(out)) == 3


@pytest.mark.parametrize("corpus", ["tsv", "kaldi"])
def test_changed_audio_that_the_source_only_names_is_noticed(
    tmp_path: Path, corpus: str, capsys: pytest.CaptureFixture[str]
) -> None:
    audio, source, out = make_wav(tmp_path / "audio/a.wav", 1.0), tmp_path / "list", tmp_path / "out"
    if corpus == "tsv":
        source = make_table(tmp_path / "t.tsv", COLUMNS, "u1 audio/a.wav ann one")
    else:
        source.mkdir()
        for name, value in (("wav.scp", str(audio)), ("text", "one"), ("utt2spk", "ann")):
            (source / name).write_text(f"u1 {value}\n")
    run(source, out, corpus=corpus)
    run(source, out, corpus=corpus)
    assert "up to date" in capsys.readouterr().out
    make_wav(audio, 2.0)
    run(source, out, corpus=corpus)
    assert load_cuts(out)["u1"].duration == 2.0


def test_counts_of_thousands_of_digits_are_config_errors() -> None:
    with pytest.raises(ConfigError, match="neither a count nor a share"):
        bad_count_limit("9" * 5000, 1)


def test_skipped_items_are_in_the_log(source: Path, tmp_path: Path) -> None:
    from speechkit import log

    log.setup()
    run(source, tmp_path / "out")
    last = (tmp_path / "out" / "log.txt").read_text().splitlines()[-1]
    assert last.endswith(f"prepared 3 utterances, skipped 1: reasons in {tmp_path / 'out' / 'skipped.tsv'}")


def test_a_bad_item_stops_the_work_when_none_is_allowed(source: Path, tmp_path: Path) -> None:
    with pytest.raises(SpeechkitError) as caught:
        run(source, tmp_path / "out", max_bad="0")
    assert caught.value.what == "1 of 4 items can not be used"
    assert caught.value.where == [f"{source}/manifest.tsv:5  u4  audio file `{source}/x.wav` does not exist"]
    assert caught.value.hint == "mend them, or skip them with --max-bad 1"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["source"]


def test_a_long_list_of_bad_items_goes_to_a_file_that_the_next_success_removes(source: Path, tmp_path: Path) -> None:
    rows = [f"m{i} m{i}.wav ann one" for i in range(12)]
    make_table(source / "manifest.tsv", COLUMNS, "u1 a.wav ann one", *rows)
    with pytest.raises(SpeechkitError, match=r"and 2 more(?s:.*)out\.bad\.tsv"):
        run(source, tmp_path / "out")
    assert len((tmp_path / "out.bad.tsv").read_text().splitlines()) == 13
    run(source, tmp_path / "out", max_bad="12")
    assert not (tmp_path / "out.bad.tsv").exists()


def test_nothing_usable_is_a_failure_whatever_is_allowed(source: Path, tmp_path: Path) -> None:
    make_table(source / "manifest.tsv", COLUMNS, "u4 x.wav ben four")
    with pytest.raises(SpeechkitError, match="no usable utterance is left"):
        run(source, tmp_path / "out", max_bad="100%")


def test_the_second_time_is_up_to_date_until_the_source_or_an_option_changes(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    run(source, out)
    capsys.readouterr()
    run(source, out)
    assert capsys.readouterr().out == f"up to date: {out}\n"
    run(source, out, max_bad="50%")
    assert capsys.readouterr().out.startswith(f"{out}: 3 utterances")
    make_table(source / "manifest.tsv", COLUMNS, "u1 a.wav ann one")
    run(source, out, max_bad="50%")
    assert capsys.readouterr().out.startswith(f"{out}: 1 utterance,")


def test_a_source_that_moved_is_prepared_again_because_the_audio_did(source: Path, tmp_path: Path) -> None:
    run(source, tmp_path / "out")
    moved = source.rename(tmp_path / "moved")
    run(moved, tmp_path / "out")
    assert next(iter(load_cuts(tmp_path / "out"))).load_audio().shape == (1, 8000)


def test_two_runs_write_the_same_bytes(source: Path, tmp_path: Path) -> None:
    run(source, tmp_path / "a")
    run(source, tmp_path / "b")
    for name in ("recordings.jsonl.gz", "supervisions.jsonl.gz", "cuts.jsonl.gz", "skipped.tsv", "config.yaml"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_an_output_inside_the_source_and_a_missing_source_are_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(SpeechkitError, match="lies inside the source"):
        run(source, source / "out")
    with pytest.raises(SpeechkitError, match="does not exist"):
        run(tmp_path / "nothing", tmp_path / "out")


@pytest.mark.parametrize(
    "corpus, problem",
    [
        ("fsd", "unknown corpus `fsd`, did you mean `fsdd`"),
        ("lhotse", "did you mean `lhotse:NAME`"),
        ("lhotse:", "unknown corpus `lhotse:`"),
        ("tsv:x", "unknown corpus `tsv:x`"),
        ("zzz", "expected: one of an4, barista, cmu_arctic, commonvoice, dspspeech20, fluent_speech_commands, fsdd, "),
    ],
)
def test_an_unknown_corpus_gets_near_names_and_the_list(corpus: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        corpus_options(corpus, [])
    assert problem in caught.value.render()


@given(count=st.integers(0, 10**6), total=st.integers(0, 10**6))
def test_a_count_is_itself_and_a_share_never_exceeds_the_total(count: int, total: int) -> None:
    assert bad_count_limit(str(count), total) == count
    assert bad_count_limit("100%", total) == total
    assert bad_count_limit("1%", total) == total // 100


@pytest.mark.parametrize("text", ["", "-1", "0.5", "101%", "%", "one", "1 %"])
def test_a_limit_that_is_neither_count_nor_share_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="neither a count nor a share"):
        bad_count_limit(text, 100)
