"""`audit score`: rows in order, what is left out and why, lexicons, log-probs that do not fit, k2 beside it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import orjson
import pytest
import torch
from hearing import char_tokenizer, make_log_probs, make_manifest, say

from speechkit.audit import score_run
from speechkit.audit.config_evidence import ScoreConfig
from speechkit.audit.corpus import CORPUS_SCORES
from speechkit.audit.k2_edits import EditPosteriors
from speechkit.audit.logprobs import open_log_probs
from speechkit.audit.scores import SCORES, gather, read_scores
from speechkit.data.store import load_cuts, save_cuts
from speechkit.decode import k2_info
from speechkit.errors import SpeechkitError

TEXTS = {
    "a": "one two", "b": "three four", "c": "five six", "d": "seven", "e": "eight nine", "f": "zero one",
    "short": "one two three four five six seven eight nine zero one two three four five six",
    "odd": "one quick",
}  # fmt: skip


@pytest.fixture
def corpus(tmp_path: Path) -> tuple[Path, list[Path]]:
    """A manifest with a wrong text (c), one too long for its audio, one that can not be spelled; two folds."""
    cuts = make_manifest(tmp_path / "data", TEXTS)
    tokenizer = char_tokenizer()
    said = {**TEXTS, "c": "five nine", "odd": "one", "short": "one two"}
    spoken = {utt_id: say(tokenizer, text, num_frames=70) for utt_id, text in said.items()}
    halves = [{key: value for key, value in spoken.items() if (key < "d") == first} for first in (True, False)]
    folders = [
        make_log_probs(tmp_path / f"lp-{number}", tokenizer, half, seconds=0.5) for number, half in enumerate(halves)
    ]
    return cuts, folders


def test_the_command_scores_in_order_and_says_what_is_left_out(
    corpus: tuple[Path, list[Path]], tmp_path: Path, run_speechkit: Callable[..., object]
) -> None:
    cuts, folders = corpus
    options = [item for folder in folders for item in ("--log-probs", folder)]
    out = tmp_path / "scores"
    result = run_speechkit("audit", "score", cuts, *options, "--speaker-distance", "--out", out)
    assert result.exit_code == 0, result.stderr  # type: ignore[attr-defined]
    assert f"{out}: 6 utterances scored, 2 left out" in result.stdout  # type: ignore[attr-defined]
    assert "`quick`" in result.stderr  # type: ignore[attr-defined]
    rows = read_scores(out)
    assert [row.utt_id for row in rows] == list("abcdef")
    assert [row.part for row in rows] == [0, 0, 0, 1, 1, 1]
    assert rows[0].speaker == "anna"
    left_out = [orjson.loads(line) for line in (out / "left_out.jsonl").read_bytes().splitlines()]
    assert [row["id"] for row in left_out] == ["short", "odd"]
    assert left_out[0]["reason"].startswith("too short for its text: 70 encoder frames")
    worst = max(rows, key=lambda row: row.scores["rank"])
    assert worst.utt_id == "c"
    assert (worst.words[1].best, worst.words[1].word) == ("nine", "six")
    assert set(rows[0].scores) == set(SCORES) | set(CORPUS_SCORES)
    meta = orjson.loads((out / "meta.json").read_bytes())
    assert meta["log_probs"] == [str(folder) for folder in folders]
    assert meta["cuts"] == str(cuts)


def test_rows_are_read_as_they_were_found(corpus: tuple[Path, list[Path]], tmp_path: Path) -> None:
    cuts, folders = corpus
    score_run.run(ScoreConfig(lexicon="none"), cuts=cuts, log_probs=folders, out=tmp_path / "scores")
    row = read_scores(tmp_path / "scores")[2]
    evidence = gather(open_log_probs(folders).get("c"), ["five", "six"])
    assert [word.delete for word in row.words] == pytest.approx(evidence.delete_W.tolist(), abs=1e-4)
    assert [gap.star for gap in row.gaps] == pytest.approx(evidence.gap_star_G.tolist(), abs=1e-4)
    assert [word.start for word in row.words] == pytest.approx(evidence.start_seconds_W.tolist(), abs=1e-4)
    assert (row.words[0].replace, row.words[0].best, row.gaps[0].insert) == (-math.inf, None, -math.inf)
    assert row.seconds == pytest.approx(1.4)
    assert row.text == "five six"


def test_any_number_of_workers_gives_the_same_bytes(corpus: tuple[Path, list[Path]], tmp_path: Path) -> None:
    cuts, folders = corpus
    found = []
    for num_jobs in (1, 3):
        out = tmp_path / f"scores-{num_jobs}"
        score_run.run(ScoreConfig(), cuts=cuts, log_probs=folders, out=out, num_jobs=num_jobs)
        found.append([(out / name).read_bytes() for name in ("scores.jsonl", "left_out.jsonl")])
    assert found[0] == found[1]


def test_what_k2_says_stands_beside_it(
    corpus: tuple[Path, list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuts, folders = corpus

    def by_k2(values: torch.Tensor, tokens: list[int], words: list[object], **penalties: float) -> EditPosteriors:
        share = np.arange(len(words)) / 10
        return EditPosteriors(7.0 + len(tokens), share, 1 - share, 0 * share, np.full(len(words) + 1, 0.25))

    monkeypatch.setattr(score_run, "import_k2", lambda _: None)
    monkeypatch.setattr(score_run, "edit_posteriors", by_k2)
    score_run.run(ScoreConfig(k2=True), cuts=cuts, log_probs=folders, out=tmp_path / "scores")
    row = read_scores(tmp_path / "scores")[0]
    assert [word.k2_error for word in row.words] == pytest.approx([1.0, 0.9])
    assert [gap.k2_missing for gap in row.gaps] == [0.25] * 3
    assert row.scores["edits_k2"] == pytest.approx(7.0 + len("one two") - row.log_prob, abs=1e-4)


def test_without_k2_its_option_is_refused_before_the_work(
    tmp_path: Path, run_speechkit: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(k2_info, "_package_folder", lambda: None)
    result = run_speechkit("audit", "score", tmp_path, "--log-probs", tmp_path, "--k2", "--out", tmp_path / "out")
    assert result.exit_code == 2  # type: ignore[attr-defined]
    assert "posteriors of several edits at once needs the package `k2`" in result.stderr  # type: ignore[attr-defined]


def test_log_probs_that_are_missing_or_of_other_audio(corpus: tuple[Path, list[Path]], tmp_path: Path) -> None:
    cuts, folders = corpus
    with pytest.raises(SpeechkitError, match="5 of 8 utterances have no log-probs") as caught:
        score_run.run(ScoreConfig(), cuts=cuts, log_probs=folders[:1], out=tmp_path / "scores")
    assert caught.value.where == ["d", "e", "f", "short", "odd"]
    longer = make_manifest(tmp_path / "other", TEXTS, seconds=0.7)
    with pytest.raises(SpeechkitError, match="8 utterances were made from other audio") as caught:
        score_run.run(ScoreConfig(), cuts=longer, log_probs=folders, out=tmp_path / "scores")
    assert caught.value.where[0] == "a  0.70 s in the manifest, 0.50 s in the log-probs"


def test_cuts_without_a_text_are_left_out(corpus: tuple[Path, list[Path]], tmp_path: Path) -> None:
    cuts = list(load_cuts(corpus[0]))
    cuts[0].supervisions[0].text = "  "
    cuts[1].supervisions = []
    save_cuts(cuts, tmp_path / "cuts.jsonl.gz")
    score_run.run(ScoreConfig(), cuts=tmp_path / "cuts.jsonl.gz", log_probs=corpus[1], out=tmp_path / "scores")
    left_out = [orjson.loads(line) for line in (tmp_path / "scores" / "left_out.jsonl").read_bytes().splitlines()]
    reasons = {row["id"]: row["reason"] for row in left_out}
    assert reasons["a"] == "it has no words"
    assert reasons["b"] == "cut `b` has 0 supervisions or no text"
    assert [row.utt_id for row in read_scores(tmp_path / "scores")] == list("cdef")


def test_what_was_not_heard_is_left_out_with_its_reason(corpus: tuple[Path, list[Path]], tmp_path: Path) -> None:
    cuts, folders = corpus
    index = folders[0] / "index.jsonl"
    lines = index.read_bytes().splitlines(keepends=True)
    (folders[1] / "left_out.jsonl").write_bytes(b'{"id": "lost", "reason": "no such file"}\n')
    more = make_manifest(tmp_path / "more", {**TEXTS, "lost": "one"})
    score_run.run(ScoreConfig(), cuts=more, log_probs=folders, out=tmp_path / "scores")
    assert b'{"id":"lost","reason":"no such file"}' in (tmp_path / "scores" / "left_out.jsonl").read_bytes()
    assert len(lines) == 3
    assert cuts.is_file()


@pytest.mark.parametrize(
    ("content", "message"), [("one two\n", "2 words in a line"), ("\n", "holds no words"), (b"\xff", "is not UTF-8")]
)
def test_lexicons_that_are_none(
    corpus: tuple[Path, list[Path]], tmp_path: Path, content: str | bytes, message: str
) -> None:
    path = tmp_path / "lexicon.txt"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(SpeechkitError, match=message):
        score_run.run(ScoreConfig(lexicon=str(path)), cuts=corpus[0], log_probs=corpus[1], out=tmp_path / "scores")


def test_a_lexicon_file_and_too_many_words_for_auto(corpus: tuple[Path, list[Path]], tmp_path: Path) -> None:
    cuts, folders = corpus
    (tmp_path / "lexicon.txt").write_text("nine\neight\n\nnine\n")
    config = ScoreConfig(lexicon=str(tmp_path / "lexicon.txt"))
    score_run.run(config, cuts=cuts, log_probs=folders, out=tmp_path / "given")
    assert {word.best for row in read_scores(tmp_path / "given") for word in row.words} == {"nine", "eight"}
    score_run.run(ScoreConfig(max_auto_words=3), cuts=cuts, log_probs=folders, out=tmp_path / "many")
    assert {word.best for row in read_scores(tmp_path / "many") for word in row.words} == {None}


def test_a_damaged_row_is_named(tmp_path: Path) -> None:
    (tmp_path / "scores.jsonl").write_text('{"id": "a"}\n')
    with pytest.raises(SpeechkitError, match="not a row of `speechkit audit score`") as caught:
        read_scores(tmp_path)
    assert caught.value.where[0].startswith(f"{tmp_path / 'scores.jsonl'}:1")
