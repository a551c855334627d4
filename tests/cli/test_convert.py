"""`speechkit data convert` from the command line: every format there and back, peers, faults."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from make import make_cut, make_table, make_wav

from speechkit.data.store import Word, audio_path, iter_cuts, load_cuts, make_recording, save_cuts

Run = Callable[..., Any]


@pytest.fixture
def cuts(tmp_path: Path) -> Path:
    """Three utterances of two speakers, with words and a custom field, in a manifest of their own folder."""
    rng = np.random.default_rng(0)
    made = []
    for k, (speaker, text) in enumerate([("ann", "one two"), ("ann", "three"), ("bob", "two one")]):
        path = tmp_path / "in" / f"{speaker}-{k}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, rng.integers(-9000, 9000, 8000 + 100 * k, dtype=np.int16), 8000)
        words = [Word(w, 0.1 + 0.4 * j, 0.3, 0.5) for j, w in enumerate(text.split())]
        made.append(
            make_cut(
                f"{speaker}-{k}",
                path,
                text=text,
                speaker=speaker,
                gender="f",
                language="en",
                tiers={"word": words},
                custom={"take": k},
            )
        )
    save_cuts(made, tmp_path / "in" / "cuts.jsonl.gz")
    return tmp_path / "in"


def texts(path: Path) -> dict[str, tuple[str, str, str]]:
    return {
        c.id: (c.supervisions[0].text, c.supervisions[0].speaker, c.supervisions[0].gender) for c in load_cuts(path)
    }


@pytest.mark.parametrize(
    "kind, name", [("kaldi", "dir"), ("tsv", "t.tsv"), ("nemo", "n.json"), ("shar", "s"), ("cuts", "c")]
)
def test_texts_speakers_and_audio_come_back(
    run_speechkit: Run, cuts: Path, tmp_path: Path, kind: str, name: str
) -> None:
    there = run_speechkit(
        "data", "convert", cuts, "--to", kind, "--out", tmp_path / name, "--json", tmp_path / "r.json"
    )
    assert there.exit_code == 0, there.stderr
    assert there.stdout.startswith(f"{tmp_path / name}: 3 utterances as {kind}")
    result = json.loads((tmp_path / "r.json").read_text())
    assert (result["from"], result["to"], result["num_written"], result["num_skipped"]) == ("cuts", kind, 3, 0)
    back = run_speechkit("data", "convert", tmp_path / name, "--to", "cuts", "--out", tmp_path / "back")
    assert back.exit_code == 0, back.stderr
    assert texts(tmp_path / "back") == texts(cuts)
    for before, after in zip(iter_cuts(cuts), iter_cuts(tmp_path / "back"), strict=True):
        np.testing.assert_array_equal(
            soundfile.read(audio_path(before), dtype="int16")[0], soundfile.read(audio_path(after), dtype="int16")[0]
        )


@pytest.mark.parametrize("kind, name", [("ctm", "w.ctm"), ("stm", "w.stm"), ("textgrid", "grids")])
def test_marks_come_back_with_the_audio_they_name(
    run_speechkit: Run, cuts: Path, tmp_path: Path, kind: str, name: str
) -> None:
    assert run_speechkit("data", "convert", cuts, "--to", kind, "--out", tmp_path / name).exit_code == 0
    command = ["data", "convert", tmp_path / name, "--to", "cuts", "--out", tmp_path / "back.jsonl.gz"]
    failed = run_speechkit(*command)
    assert (failed.exit_code, "--audio FOLDER" in failed.stderr) == (2, True)
    assert run_speechkit(*command, "--audio", cuts).exit_code == 0
    found = {c.supervisions[0].text: c for c in load_cuts(tmp_path / "back.jsonl.gz")}
    assert found.keys() == {"one two", "three", "two one"}
    if kind != "stm":
        assert found["one two"].supervisions[0].alignment["word"][1].start == pytest.approx(0.5)
    if kind != "textgrid":
        folder = tmp_path / "audio"
        folder.mkdir()
        for cut in iter_cuts(cuts):
            (folder / audio_path(cut).name).write_bytes(audio_path(cut).read_bytes())
        again = run_speechkit(*command, "--audio", folder)
        assert again.exit_code == 0, again.stderr
        assert sorted(c.supervisions[0].text for c in load_cuts(tmp_path / "back.jsonl.gz")) == sorted(found)


def test_what_is_lost_is_counted_and_listed(run_speechkit: Run, cuts: Path, tmp_path: Path) -> None:
    done = run_speechkit(
        "data", "convert", cuts, "--to", "kaldi", "--out", tmp_path / "k", "--json", tmp_path / "r.json"
    )
    lost = "lost alignment `word` (3), custom field `take` (3)"
    assert done.stdout == f"{tmp_path}/k: 3 utterances as kaldi; {lost}, see {tmp_path}/k/lost.tsv\n"
    assert (tmp_path / "k" / "lost.tsv").read_text().splitlines()[:2] == ["what\tid", "alignment `word`\tann-0"]
    ids = ["ann-0", "ann-1", "bob-2"]
    assert json.loads((tmp_path / "r.json").read_text())["lost"] == [
        {"what": "alignment `word`", "num": 3, "ids": ids},
        {"what": "custom field `take`", "num": 3, "ids": ids},
    ]
    again = run_speechkit("data", "convert", cuts, "--to", "kaldi", "--out", tmp_path / "k")
    assert again.stdout == f"up to date: {tmp_path}/k\n" + done.stdout
    table = run_speechkit("data", "convert", cuts, "--to", "tsv", "--out", tmp_path / "t.tsv")
    assert (tmp_path / "t.tsv.lost.tsv").read_text().splitlines()[1] == "alignment `word`\tann-0"
    assert "alignment `word` (3)" in table.stdout


def test_a_kaldi_directory_is_as_kaldi_wants_it(run_speechkit: Run, cuts: Path, tmp_path: Path) -> None:
    run_speechkit("data", "convert", cuts, "--to", "kaldi", "--out", tmp_path / "k")
    read = {p.name: p.read_text() for p in (tmp_path / "k").iterdir()}
    assert read["text"] == "ann-0 one two\nann-1 three\nbob-2 two one\n"
    assert read["utt2spk"] == "ann-0 ann\nann-1 ann\nbob-2 bob\n"
    assert read["spk2utt"] == "ann ann-0 ann-1\nbob bob-2\n"
    assert read["spk2gender"] == "ann f\nbob f\n"
    assert read["utt2dur"] == "ann-0 1.00\nann-1 1.0125\nbob-2 1.025\n"
    assert read["wav.scp"].splitlines()[0] == f"ann-0 {cuts}/ann-0.wav"
    assert "segments" not in read
    from lhotse.kaldi import load_kaldi_data_dir

    recordings, supervisions, _ = load_kaldi_data_dir(tmp_path / "k", sampling_rate=8000)
    assert next((s.id, s.text, s.speaker) for s in supervisions) == ("ann-0", "one two", "ann")
    assert len(recordings) == 3


@pytest.mark.parametrize("kind, name", [("tsv", "t.tsv"), ("nemo", "n.json"), ("kaldi", "k")])
def test_parts_of_a_recording_keep_their_place(run_speechkit: Run, tmp_path: Path, kind: str, name: str) -> None:
    audio = make_wav(tmp_path / "long.wav", 3.0)
    recording = make_recording("long", audio, sampling_rate=8000, num_samples=24000)
    made = []
    for k in range(2):
        cut = make_cut(f"u{k}", audio, text=f"part {k}", speaker="u")
        cut.recording, cut.start, cut.duration = recording, 0.5 + k, 1.0
        cut.supervisions[0].duration = 1.0
        made.append(cut)
    save_cuts(made, tmp_path / "m.jsonl.gz")
    run_speechkit("data", "convert", tmp_path / "m.jsonl.gz", "--to", kind, "--out", tmp_path / name)
    if kind == "kaldi":
        assert (tmp_path / "k" / "segments").read_text() == "u0 long 0.50 1.50\nu1 long 1.50 2.50\n"
        assert (tmp_path / "k" / "wav.scp").read_text() == f"long {audio}\n"
    run_speechkit("data", "convert", tmp_path / name, "--to", "cuts", "--out", tmp_path / "back.jsonl.gz")
    again = load_cuts(tmp_path / "back.jsonl.gz")
    assert [(c.start, c.duration, c.recording.id) for c in again] == [(0.5, 1.0, "long"), (1.5, 1.0, "long")]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # lhotse leaves the tar open
def test_lhotse_reads_the_shards_and_they_are_the_same_for_any_number_of_jobs(
    run_speechkit: Run, cuts: Path, tmp_path: Path
) -> None:
    for name, jobs in (("a", 1), ("b", 3)):
        run_speechkit("data", "convert", cuts, "--to", "shar", "--out", tmp_path / name, "--nj", jobs)
    files = [{p.name: p.read_bytes() for p in (tmp_path / name / "shards").iterdir()} for name in "ab"]
    assert files[0] == files[1]
    from lhotse import CutSet

    for before, after in zip(iter_cuts(cuts), CutSet.from_shar(in_dir=tmp_path / "a" / "shards"), strict=True):
        assert after.id == before.id
        assert after.supervisions[0].text == before.supervisions[0].text
        np.testing.assert_array_equal(after.load_audio(), before.load_audio())


def test_24_bit_audio_stays_exact_and_rounded_audio_is_named(run_speechkit: Run, tmp_path: Path) -> None:
    samples = np.random.default_rng(1).integers(-(2**23), 2**23, 800, dtype=np.int32) * 256
    for name, subtype in (("fine", "PCM_24"), ("float", "FLOAT")):
        soundfile.write(tmp_path / f"{name}.wav", samples, 8000, subtype=subtype)
    made = [make_cut(name, tmp_path / f"{name}.wav", text="x", speaker="s") for name in ("fine", "float")]
    save_cuts(made, tmp_path / "m.jsonl.gz")
    done = run_speechkit("data", "convert", tmp_path / "m.jsonl.gz", "--to", "shar", "--out", tmp_path / "s")
    assert "lost samples that are no 16- or 24-bit integers: rounded to 16 bits (1)" in done.stdout
    run_speechkit("data", "convert", tmp_path / "s", "--to", "cuts", "--out", tmp_path / "back")
    again = load_cuts(tmp_path / "back")
    np.testing.assert_array_equal(soundfile.read(audio_path(again["fine"]), dtype="int32")[0], samples)


def test_audio_of_shards_lies_in_the_folder_that_needs_it(run_speechkit: Run, cuts: Path, tmp_path: Path) -> None:
    run_speechkit("data", "convert", cuts, "--to", "shar", "--out", tmp_path / "s")
    failed = run_speechkit("data", "convert", tmp_path / "s", "--to", "tsv", "--out", tmp_path / "t.tsv")
    assert (failed.exit_code, "--to cuts --out FOLDER" in failed.stderr) == (2, True)
    assert run_speechkit("data", "convert", tmp_path / "s", "--to", "kaldi", "--out", tmp_path / "k").exit_code == 0
    named = [Path(line.split()[1]) for line in (tmp_path / "k" / "wav.scp").read_text().splitlines()]
    assert named[0] == tmp_path / "k" / "audio" / "000000" / "ann-0.flac"
    assert all(path.is_file() for path in named)


def test_bad_items_are_skipped_with_their_reasons_up_to_max_bad(run_speechkit: Run, tmp_path: Path) -> None:
    make_wav(tmp_path / "a.wav")
    rows = [{"audio_filepath": "a.wav", "text": "one"}, {"audio_filepath": "b.wav"}, {"text": "no file"}]
    rows += [{"audio_filepath": "a.wav", "offset": 5.0, "duration": 1.0}, {"audio_filepath": "a.wav", "text": "one"}]
    rows += [
        {"audio_filepath": "a.wav", "id": "x", "alignments": 3},
        {"audio_filepath": "a.wav", "id": "y", "offset": "z"},
    ]
    (tmp_path / "n.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = ["data", "convert", tmp_path / "n.json", "--to", "tsv", "--out", tmp_path / "t.tsv"]
    failed = run_speechkit(*command)
    assert (failed.exit_code, failed.stdout) == (1, "")
    assert "6 of 7 items can not be used" in failed.stderr
    for text in (
        "n.json:2  b.wav  audio file",
        "n.json:3  -  no `audio_filepath`",
        "n.json:4  a.wav  it runs from 5 to 6 s",
    ):
        assert text in failed.stderr
    assert "n.json:5  a  the id occurs twice" in failed.stderr
    assert not (tmp_path / "t.tsv").exists()
    done = run_speechkit(*command, "--max-bad", "6")
    assert done.stdout.startswith(f"{tmp_path}/t.tsv: 1 utterance as tsv; 6 skipped (see {tmp_path}/t.tsv.skipped.tsv)")
    assert len((tmp_path / "t.tsv.skipped.tsv").read_text().splitlines()) == 7


@pytest.mark.parametrize("target, name", [("kaldi", "k"), ("nemo", "n.json"), ("cuts", "c.jsonl.gz"), ("cuts", "c")])
def test_lines_that_are_no_cuts_are_skipped_up_to_max_bad(
    run_speechkit: Run, cuts: Path, tmp_path: Path, target: str, name: str
) -> None:
    lines = gzip.decompress((cuts / "cuts.jsonl.gz").read_bytes()).splitlines(keepends=True)
    bad = tmp_path / "in" / "bad.jsonl"
    bad.write_bytes(lines[0] + b"{\n" + lines[1] + lines[0] + b'{"id": "x"}\n' + lines[2])
    out = tmp_path / name
    command = ["data", "convert", bad, "--from", "cuts", "--to", target, "--out", out]
    for options in ([], ["--max-bad", "2"], ["--max-bad", "49%"]):
        failed = run_speechkit(*command, *options)
        assert (failed.exit_code, out.exists()) == (1, False)
        assert "3 of 6 items can not be used" in failed.stderr and "--max-bad 3" in failed.stderr
    assert f"{bad}:2  -  not valid JSON" in failed.stderr
    assert f"{bad}:4  -  the id `ann-0` occurs twice" in failed.stderr
    assert f"{bad}:5  -  not a lhotse cut: " in failed.stderr
    done = run_speechkit(*command, "--max-bad", "3", "--json", tmp_path / "r.json")
    assert done.exit_code == 0, done.stderr
    result = json.loads((tmp_path / "r.json").read_text())
    assert (result["num_written"], result["num_skipped"]) == (3, 3)
    skipped = out / "skipped.tsv" if out.is_dir() else tmp_path / f"{name}.skipped.tsv"
    assert len(skipped.read_text().splitlines()) == 4


def test_a_result_that_can_not_be_written_is_told_before_the_work(
    run_speechkit: Run, cuts: Path, tmp_path: Path
) -> None:
    command = ["data", "convert", cuts, "--to", "kaldi", "--out", tmp_path / "k", "--json"]
    for path, problem in ((cuts, "is a folder"), (cuts / "cuts.jsonl.gz" / "r.json", "is no folder")):
        failed = run_speechkit(*command, path)
        assert (failed.exit_code, problem in failed.stderr, (tmp_path / "k").exists()) == (1, True, False)


@pytest.mark.parametrize(
    "name, content, options, code, problem",
    [
        ("x.bin", "?", [], 2, "the format of"),
        ("x.tsv", "?", ["--to", "csv"], 2, "`target`"),
        ("none", None, [], 1, "does not exist"),
        ("x.jsonl", "[]\n", [], 1, "not a JSON object"),
        ("x.tsv", "id\tpath\tspeaker\ttext\n", [], 1, "a header line and nothing else"),
    ],
)
def test_what_can_not_be_converted_is_refused(
    run_speechkit: Run, tmp_path: Path, name: str, content: str | None, options: list[str], code: int, problem: str
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    done = run_speechkit(
        "data", "convert", tmp_path / name, *(options or ["--to", "nemo"]), "--out", tmp_path / "o.json"
    )
    assert (done.exit_code, problem in done.stderr) == (code, True), done.stderr
    assert not (tmp_path / "o.json").exists()


def test_nothing_left_to_write_is_a_failure_that_keeps_what_was_there(run_speechkit: Run, tmp_path: Path) -> None:
    make_wav(tmp_path / "a.wav")
    make_table(tmp_path / "t.tsv", "id path speaker text", "u1 a.wav ann one")
    (tmp_path / "w.ctm").write_text("old\n")
    failed = run_speechkit("data", "convert", tmp_path / "t.tsv", "--to", "ctm", "--out", tmp_path / "w.ctm")
    assert failed.exit_code == 1
    assert "no utterance is left to write\n  1 of them: the utterance: it has no word alignment" in failed.stderr
    assert (tmp_path / "w.ctm").read_text() == "old\n"


def test_an_output_on_top_of_the_source_is_refused(run_speechkit: Run, cuts: Path) -> None:
    assert run_speechkit("data", "convert", cuts, "--to", "kaldi", "--out", cuts).exit_code == 2
    assert run_speechkit("data", "convert", cuts, "--to", "kaldi", "--out", cuts / "k").exit_code == 2


def test_a_tar_that_does_not_belong_to_its_cuts_is_refused(run_speechkit: Run, cuts: Path, tmp_path: Path) -> None:
    run_speechkit("data", "convert", cuts, "--to", "shar", "--out", tmp_path / "s")
    tar = tmp_path / "s" / "shards" / "recording.000000.tar"
    data = tar.read_bytes()
    manifest = tmp_path / "s" / "shards" / "cuts.000000.jsonl.gz"
    packed = manifest.read_bytes()
    manifest.write_bytes(gzip.compress(gzip.decompress(packed).replace(b"ann-0", b"eve-0")))
    failed = run_speechkit("data", "convert", tmp_path / "s", "--to", "cuts", "--out", tmp_path / "c")
    assert (failed.exit_code, "does not belong to its cuts: `ann-0.flac` for `eve-0`" in failed.stderr) == (1, True)
    manifest.write_bytes(packed)
    tar.write_bytes(data[:3000])
    assert run_speechkit("data", "convert", tmp_path / "s", "--to", "cuts", "--out", tmp_path / "c").exit_code == 1
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    "kind, name", [("nemo", "n.json"), ("tsv", "t.tsv"), ("kaldi", "k"), ("textgrid", "g"), ("cuts", "c")]
)
def test_outputs_are_the_same_bytes_for_any_number_of_jobs(
    run_speechkit: Run, cuts: Path, tmp_path: Path, kind: str, name: str
) -> None:
    run_speechkit("data", "convert", cuts, "--to", "nemo", "--out", tmp_path / "in.json")
    found = []
    for jobs in (1, 3):
        out = tmp_path / str(jobs) / name
        assert (
            run_speechkit("data", "convert", tmp_path / "in.json", "--to", kind, "--out", out, "--nj", jobs).exit_code
            == 0
        )
        files = [out] if out.is_file() else sorted(p for p in out.iterdir() if p.name not in ("run.json", "log.txt"))
        found.append({p.name: p.read_bytes() for p in files})
    assert found[0] == found[1]


def test_cuts_with_several_supervisions_become_several_utterances(run_speechkit: Run, tmp_path: Path) -> None:
    cut = make_cut("call", make_wav(tmp_path / "call.wav", 4.0), text="first", speaker="ann", custom={"room": "a"})
    first = cut.supervisions[0]
    second = make_cut(
        "x", tmp_path / "call.wav", text="second", speaker="bob", tiers={"word": [Word("second", 2.5, 0.5)]}
    ).supervisions[0]
    first.id, first.duration = "call-1", 1.5
    second.id, second.start, second.duration, second.recording_id = "call-2", 2.0, 1.0, "call"
    cut.supervisions = [first, second]
    other = make_cut("call-1", tmp_path / "call.wav", text="again", speaker="ann")
    save_cuts([cut, other], tmp_path / "m.jsonl.gz")
    done = run_speechkit("data", "convert", tmp_path / "m.jsonl.gz", "--to", "nemo", "--out", tmp_path / "n.json")
    rows = [json.loads(line) for line in (tmp_path / "n.json").read_text().splitlines()]
    assert [(r["id"], r["offset"], r["duration"], r["text"]) for r in rows] == [
        ("call-1", 0.0, 1.5, "first"),
        ("call-2", 2.0, 1.0, "second"),
    ]
    assert rows[1]["alignments"] == {"word": [["second", 0.5, 0.5]]}
    assert "lost the cut around several supervisions (1), the utterance: its id occurs twice (1)" in done.stdout
