"""Digit strings: exact word places, the level, the noise, lists in and out, and faults of lists."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from make import make_fsdd_clone, make_table, make_wav

from speechkit.config import load_config
from speechkit.data.config import FsddStringsConfig, parse_ranges, parse_snr
from speechkit.data.corpora.fsdd_strings import layout, prepare
from speechkit.data.corpora.items import Prepared
from speechkit.data.corpora.string_lists import DigitString
from speechkit.data.store import audio_path, words_of
from speechkit.errors import ConfigError, SpeechkitError

COLUMNS = "id speaker text recordings gaps_ms"


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_fsdd_clone(tmp_path_factory.mktemp("fsdd"))


def render(clone: Path, out: Path, *options: str, num_jobs: int = 1) -> Prepared:
    out.mkdir(exist_ok=True)
    speakers = "" if any(o.startswith("speakers") for o in options) else "speakers=jackson,theo"
    config = load_config(FsddStringsConfig, None, ["takes=0-1", *filter(None, [speakers]), *options])
    return prepare(clone, out, config, num_jobs=num_jobs)


def rendered_bytes(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}


def test_words_lie_where_the_alignment_says_and_zeros_between(clone: Path, tmp_path: Path) -> None:
    table = make_table(tmp_path / "l.tsv", COLUMNS, "s1 theo three_nine theo-3-01,theo-9-00 100,0,50")
    (cut,) = render(clone, tmp_path / "out", f"list={table}", "snr_db=none").cuts
    samples, rate = soundfile.read(audio_path(cut))
    three, nine = (soundfile.read(clone / "recordings" / name)[0] for name in ("3_theo_1.wav", "9_theo_0.wav"))
    expected = np.concatenate([np.zeros(800), three, nine, np.zeros(400)])
    assert rate == 8000
    assert len(samples) == cut.num_samples == len(expected)
    np.testing.assert_allclose(samples, expected * 0.5 / np.abs(expected).max(), atol=1e-4)
    first, second = words_of(cut)
    assert (first.symbol, second.symbol) == ("three", "nine")
    assert first.start_seconds == 0.1
    assert second.start_seconds == pytest.approx(0.1 + len(three) / 8000)
    assert second.duration_seconds == pytest.approx(len(nine) / 8000)
    assert cut.supervisions[0].custom == {"recordings": ["theo-3-01", "theo-9-00"], "gaps_ms": [100, 0, 50]}


def test_noise_has_the_level_asked_for_below_the_words(clone: Path, tmp_path: Path) -> None:
    (clean,) = render(clone, tmp_path / "a", "num_strings=1", "min_words=5", "snr_db=none").cuts
    (noisy,) = render(clone, tmp_path / "b", "num_strings=1", "min_words=5", "snr_db=20").cuts
    speech, mixed = (soundfile.read(audio_path(cut))[0] for cut in (clean, noisy))
    spoken = sum(word.duration_seconds for word in words_of(clean)) * 8000
    snr_db = 10 * np.log10((speech**2).sum() / spoken / ((mixed - speech) ** 2).mean())
    assert snr_db == pytest.approx(20, abs=0.3)
    assert noisy.supervisions[0].custom["snr_db"] == 20


def test_noise_levels_of_a_range_are_drawn_and_strings_that_clip_are_counted(clone: Path, tmp_path: Path) -> None:
    prepared = render(clone, tmp_path / "a", "num_strings=20", "snr_db=20:40")
    levels = [cut.supervisions[0].custom["snr_db"] for cut in prepared.cuts]
    assert all(20 <= level <= 40 for level in levels)
    assert np.std(levels) > 2
    assert not prepared.notes
    loud = render(clone, tmp_path / "b", "num_strings=20", "snr_db=-10")
    assert loud.notes == ["20 strings were clipped by the noise"]


def test_drawn_strings_obey_their_options(clone: Path, tmp_path: Path) -> None:
    options = ["num_strings=60", "min_words=2", "max_words=4", "min_gap_ms=100", "max_gap_ms=120", "tight_share=0.5"]
    cuts = render(clone, tmp_path / "out", *options, "takes=1").cuts
    assert len({cut.id for cut in cuts}) == 60
    assert {cut.supervisions[0].speaker for cut in cuts} == {"jackson", "theo"}
    assert {len(words_of(cut)) for cut in cuts} == {2, 3, 4}
    assert all(name.endswith("-01") for cut in cuts for name in cut.supervisions[0].custom["recordings"])
    gaps = [cut.supervisions[0].custom["gaps_ms"] for cut in cuts]
    assert all(50 <= edge <= 300 for row in gaps for edge in (row[0], row[-1]))
    is_tight = [max(row[1:-1]) <= 20 for row in gaps]
    assert all(
        tight or 100 <= min(row[1:-1]) <= max(row[1:-1]) <= 120 for tight, row in zip(is_tight, gaps, strict=True)
    )
    assert 15 < sum(is_tight) < 45


def test_strings_of_different_blocks_share_no_take(clone: Path, tmp_path: Path) -> None:
    cuts = render(clone, tmp_path / "out", "num_strings=60", "take_blocks=2").cuts
    takes = [set(cut.supervisions[0].custom["recordings"]) for cut in cuts]
    assert all({name[-2:] for name in own} in ({"00"}, {"01"}) for own in takes)
    assert {name[-2:] for own in takes for name in own} == {"00", "01"}
    blocks = [cut.supervisions[0].custom["block"] for cut in cuts]
    assert blocks == ["0", "1"] * 30
    assert all(
        len({name[-2:] for own, b in zip(takes, blocks, strict=True) if b == block for name in own}) == 1
        for block in "01"
    )
    with pytest.raises(ConfigError) as info:
        render(clone, tmp_path / "none", "num_strings=6", "take_blocks=3")
    assert "in block 3 of 3" in info.value.render()


def test_the_same_seed_gives_the_same_bytes_for_any_number_of_jobs(clone: Path, tmp_path: Path) -> None:
    for name, num_jobs, seed in (("a", 1, 1), ("b", 3, 1), ("c", 1, 2)):
        render(clone, tmp_path / name, "num_strings=12", f"seed={seed}", num_jobs=num_jobs)
    assert rendered_bytes(tmp_path / "a") == rendered_bytes(tmp_path / "b")
    assert rendered_bytes(tmp_path / "a").values() != rendered_bytes(tmp_path / "c").values()


def test_asking_for_more_strings_keeps_the_first_ones(clone: Path, tmp_path: Path) -> None:
    render(clone, tmp_path / "few", "num_strings=5")
    render(clone, tmp_path / "many", "num_strings=9")
    few, many = rendered_bytes(tmp_path / "few"), rendered_bytes(tmp_path / "many")
    few.pop("list.tsv")
    assert few.items() <= many.items()


def test_the_written_list_renders_to_the_same_audio(clone: Path, tmp_path: Path) -> None:
    render(clone, tmp_path / "a", "num_strings=8")
    again = render(clone, tmp_path / "b", f"list={tmp_path / 'a' / 'list.tsv'}")
    assert not again.bad
    assert rendered_bytes(tmp_path / "a") == rendered_bytes(tmp_path / "b")


def test_several_lists_are_joined(clone: Path, tmp_path: Path) -> None:
    one = make_table(tmp_path / "1.tsv", COLUMNS, "s1 theo three theo-3-01 10,10")
    two = make_table(tmp_path / "2.tsv", COLUMNS, "s2 george one george-1-00 0,0")
    assert [cut.id for cut in render(clone, tmp_path / "out", f"list={one},{two}").cuts] == ["s1", "s2"]


@pytest.mark.parametrize(
    "row, reason",
    [
        ("s2 theo three theo-3-07 9,9", "no recording `theo-3-07`"),
        ("s2 theo four theo-3-01 9,9", "the recordings say `three`, the text is `four`"),
        ("s2 theo three theo-3-01 9", "1 gaps for 1 recordings, 2 expected"),
        ("s2 theo three theo-3-01 9,x", "`gaps_ms` holds something else than whole numbers of up to 5 digits: 9,x"),
        ("s2 theo three theo-3-01 9,-4", "`gaps_ms` holds something else than whole numbers of up to 5 digits: 9,-4"),
        ("s2 george three theo-3-01 9,9", "recordings of theo in a string of george"),
        ("s2 theo - theo-3-01 9,9", "empty `text`; "),
        ("s/2 theo three theo-3-01 9,9", "the id can not be the name of a file"),
        ("../s2 theo three theo-3-01 9,9", "the id can not be the name of a file"),
        (".s2 theo three theo-3-01 9,9", "the id can not be the name of a file"),
        ("s\0002 theo three theo-3-01 9,9", "the line holds a NUL character"),
        (f"s2 theo three theo-3-01 9,{'9' * 20}", "`gaps_ms` holds something else"),
        (f"s2 theo three theo-3-01 9,{'9' * 5000}", "`gaps_ms` holds something else"),
        ("s1 theo three theo-3-01 9,9", "the id occurs twice"),
        ("s2 theo three", "3 fields, 5 expected"),
    ],
)
def test_a_faulty_line_of_a_list_is_named(clone: Path, tmp_path: Path, row: str, reason: str) -> None:
    table = make_table(tmp_path / "l.tsv", COLUMNS, "s1 theo three theo-3-01 9,9", row)
    prepared = render(clone, tmp_path / "out", f"list={table}")
    (bad,) = prepared.bad
    assert bad.where == f"{table}:3"
    assert bad.reason.startswith(reason.rstrip("; "))
    assert [cut.id for cut in prepared.cuts] == ["s1"]


def test_declared_word_places_and_lengths_are_checked_against_the_joins(clone: Path, tmp_path: Path) -> None:
    columns = f"{COLUMNS} word_samples samples"
    sound, wrong = "s1 theo zero theo-0-00 10,10 80-480 560", "s2 theo zero theo-0-00 10,10 81-480 561"
    table = make_table(tmp_path / "l.tsv", columns, sound, wrong)
    (bad,) = render(clone, tmp_path / "out", f"list={table}").bad
    assert str(bad) == (
        f"{table}:3  s2  `word_samples` says 81-480, the joined recordings give 80-480;"
        " `samples` says 561, the joined recordings give 560"
    )


def test_an_unreadable_take_spoils_its_strings_only(tmp_path: Path) -> None:
    clone = make_fsdd_clone(tmp_path / "fsdd", num_takes=1)
    (clone / "recordings" / "3_theo_0.wav").write_bytes(b"")
    rows = ("s1 theo three theo-3-00 9,9", "s2 theo four theo-4-00 9,9")
    prepared = render(clone, tmp_path / "out", f"list={make_table(tmp_path / 'l.tsv', COLUMNS, *rows)}")
    assert [cut.id for cut in prepared.cuts] == ["s2"]
    assert "3_theo_0.wav` is empty" in prepared.bad[0].reason


@pytest.mark.parametrize(
    "options, problem",
    [
        (["speakers=zoe,theo"], "no recordings of `zoe`\nexpected: speakers=george,jackson,theo"),
        (["takes=7"], "jackson has no take 7 of digit 0"),
        (["min_words=4", "max_words=3"], "min_words 4 is above max_words 3"),
        (["takes=0-9999999999"], "of up to 5 digits"),
        (["max_gap_ms=99999999999999999999"], "less than or equal to 60000"),
        (["takes=4-1"], "expected numbers and ranges"),
        (["snr_db=loud"], "expected a number, LOW:HIGH or none"),
        (["tight_share=1.5"], "less than or equal to 1"),
    ],
)
def test_options_that_can_not_work_are_config_errors(
    clone: Path, tmp_path: Path, options: list[str], problem: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        render(clone, tmp_path / "out", *options)
    assert problem in caught.value.render()


@pytest.mark.parametrize("speaker", ["../../escape", "/tmp", "..", ".hidden", "a/b", "a\\b"])
def test_a_speaker_never_leads_out_of_the_output_folder(tmp_path: Path, speaker: str) -> None:
    make_wav(tmp_path / "in" / "a.wav")
    table = make_table(
        tmp_path / "in" / "manifest.tsv",
        "path id speaker text digit take split official",
        f"a.wav u1 {speaker} one 1 0 train train",
    )
    strings = make_table(tmp_path / "l.tsv", COLUMNS, f"s1 {speaker} one u1 9,9")
    with pytest.raises(SpeechkitError, match="can not be the name of a folder") as caught:
        render(tmp_path / "in", tmp_path / "out", f"list={strings}")
    assert caught.value.where == [f"{table}:2"]
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("column", ["digit", "take"])
def test_numbers_of_thousands_of_digits_are_named(tmp_path: Path, column: str) -> None:
    make_wav(tmp_path / "a.wav")
    values = {"digit": "1", "take": "0", column: "1" * 5000}
    columns = "path id speaker text digit take split official"
    table = make_table(
        tmp_path / "manifest.tsv", columns, f"a.wav u1 ann one {values['digit']} {values['take']} train train"
    )
    with pytest.raises(SpeechkitError, match=f"`digit` or `take` is not a number\n  {table}:2"):
        render(tmp_path, tmp_path / "out", "num_strings=1", "speakers=ann")


def test_recordings_of_two_rates_are_refused(tmp_path: Path) -> None:
    from make import make_wav

    clone = make_fsdd_clone(tmp_path / "fsdd", num_takes=1)
    make_wav(clone / "recordings" / "5_theo_0.wav", 0.2, 16000)
    with pytest.raises(SpeechkitError, match="differ in sampling rate"):
        render(clone, tmp_path / "out", "takes=0", "num_strings=40")


def test_ranges_and_levels_are_read() -> None:
    assert parse_ranges("0-2,7") == [0, 1, 2, 7]
    assert (parse_snr("none"), parse_snr("30"), parse_snr("20:40")) == (None, (30, 30), (20, 40))


@given(
    lengths=st.lists(st.integers(1, 9000), min_size=1, max_size=8),
    gaps=st.lists(st.integers(0, 600), min_size=9, max_size=9),
)
def test_layout_adds_up_to_gaps_and_recordings(lengths: list[int], gaps: list[int]) -> None:
    gaps = gaps[: len(lengths) + 1]
    string = DigitString("here", "s", "", "theo", "", (), tuple(gaps), {})
    spans, num_samples = layout(string, lengths, 8000)
    assert [end - start for start, end in spans] == lengths
    assert num_samples == sum(lengths) + 8 * sum(gaps)
    edges = [0, *(edge for span in spans for edge in span), num_samples]
    assert [(b - a) // 8 for a, b in zip(edges[::2], edges[1::2], strict=True)] == gaps


@pytest.mark.parametrize("name", ["limited_dev", "test_tight"])
def test_the_fixed_lists_of_the_real_corpus_render_to_their_word_places(
    corpus_root: Path, tmp_path: Path, name: str
) -> None:
    config = FsddStringsConfig(list=str(corpus_root / "fsdd" / "connected" / f"{name}.tsv"))
    prepared = prepare(corpus_root / "fsdd", tmp_path, config, num_jobs=1)
    assert not prepared.bad
    assert len(prepared.cuts) == {"limited_dev": 60, "test_tight": 200}[name]
