"""Equality with the tools that own the tie rules: kaldialign, rapidfuzz, sclite; real systems and random pairs."""

from __future__ import annotations

import csv
import random
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from nist_tools import nist_tool

from speechkit.score.marked import score_marked, split_plain
from speechkit.score.nist import Markup
from speechkit.score.normalize import Normalizer
from speechkit.score.transcripts import Transcripts, from_texts, read_transcripts
from speechkit.score.wer import Scored, score

SYSTEMS = ("amazon", "google", "microsoft", "speechmatics", "rev_kaldi", "rev_espnet", "librispeech_kaldi")
NUM_RANDOM = 20_000


def kaldialign_counts(scored: Scored) -> Iterator[list[int]]:
    kaldialign = pytest.importorskip("kaldialign")
    for u in range(len(scored)):
        found = kaldialign.edit_distance(scored.ref_words(u), scored.hyp_words(u))
        yield [found["sub"], found["del"], found["ins"]]


def rapidfuzz_counts(scored: Scored) -> Iterator[list[int]]:
    distance = pytest.importorskip("rapidfuzz.distance")
    for u in range(len(scored)):
        tags = [op.tag for op in distance.Levenshtein.editops(scored.ref_words(u), scored.hyp_words(u))]
        yield [tags.count(tag) for tag in ("replace", "delete", "insert")]


def check_peers(ref: Transcripts, hyp: Transcripts) -> None:
    for ties, peer in (("kaldi", kaldialign_counts), ("rapidfuzz", rapidfuzz_counts)):
        scored = score(ref, hyp, ties=ties, with_chars=False)
        assert scored.words[:, :3].tolist() == list(peer(scored)), ties


@pytest.mark.parametrize("system", SYSTEMS)
def test_real_systems_have_the_counts_of_every_tool_in_every_utterance(corpus_root: Path, system: str) -> None:
    folder = corpus_root / "scoring" / "earnings21"
    ref, hyp = read_transcripts(folder / "utt_ref.trn"), read_transcripts(folder / f"utt_{system}.trn")
    check_peers(ref, hyp)
    with (folder / "expected_utt.tsv").open() as stream:
        rows = [row for row in csv.DictReader(stream, delimiter="\t") if row["system"] == system]
    expected = {row["id"]: [int(row[k]) for k in "SDI"] for row in rows}
    scored = score(ref, hyp, ties="sclite", with_chars=False)
    assert dict(zip(scored.ids, scored.words[:, :3].tolist(), strict=True)) == expected


@pytest.mark.parametrize("system", SYSTEMS)
def test_whole_calls_have_the_fewest_errors(corpus_root: Path, system: str) -> None:
    folder = corpus_root / "scoring" / "earnings21"
    scored = score(read_transcripts(folder / "long_ref.trn"), read_transcripts(folder / f"long_{system}.trn"))
    with (folder / "expected_long_min_edit.tsv").open() as stream:
        rows = [row for row in csv.DictReader(stream, delimiter="\t") if row["system"] == system]
    expected = {row["file"]: int(row["min_edit_errors"]) for row in rows}
    assert {n.split("-")[0]: int(scored.words[u, :3].sum()) for u, n in enumerate(scored.ids)} == expected


def random_side(source: random.Random, words: list[str]) -> list[str]:
    return [source.choice(words) for _ in range(source.choice([0, 1, 2, 3, 5, 8, 13, 20]))]


def random_pairs(num: int, marked: bool) -> tuple[list[str], list[str]]:
    source = random.Random(21)
    words = [
        "a",
        "b",
        "c",
        "the",
        "caf\u00e9",
        "\u5929",
        "\u5730\u5929",
        "%hesitation",
        "eight888",
        "ninechars",
        "u-",
        "o'clock",
    ]
    extra = ["{ a / b }", "{a/@}", "{ b c / d / { a / e } }", "{the}", "@"] if marked else ["{", "{a", "b}", "/"]
    vocabularies = [words[:3], words, words + extra * 2]
    refs, hyps = [], []
    for _ in range(num):
        vocabulary = source.choice(vocabularies)
        ref = random_side(source, vocabulary)
        hyp = random_side(source, vocabulary)
        if source.random() < 0.5:
            hyp = [source.choice(words) if source.random() < 0.2 else word for word in ref]
        refs.append(" ".join(ref))
        hyps.append(" ".join(hyp))
    return refs, hyps


@pytest.mark.slow
def test_random_pairs_have_the_counts_of_kaldialign_and_rapidfuzz() -> None:
    refs, hyps = random_pairs(NUM_RANDOM, marked=False)
    ids = [f"u{k}" for k in range(NUM_RANDOM)]
    check_peers(from_texts(ids, refs, source="ref"), from_texts(ids, hyps, source="hyp"))


UNITS = {"word": (NUM_RANDOM, []), "char": (2000, ["-c"]), "mixed": (2000, ["-c", "NOASCII"])}


@pytest.mark.slow
@pytest.mark.parametrize("unit", UNITS)
def test_random_pairs_with_markup_have_the_counts_of_sclite(tmp_path: Path, unit: str) -> None:
    sclite = nist_tool("sclite")
    num, options = UNITS[unit]
    refs, hyps = random_pairs(num, marked=True)
    ids = [f"s{k % 20}-{k:05d}" for k in range(num)]
    for name, texts in (("ref", refs), ("hyp", hyps)):
        lines = [f"{text} ({utt})\n" for utt, text in zip(ids, texts, strict=True)]
        (tmp_path / f"{name}.trn").write_text("".join(lines), encoding="utf-8")
    files = ["-r", "ref.trn", "trn", "-h", "hyp.trn", "trn", "-i", "spu_id", "-e", "utf-8", "-o", "pralign", "stdout"]
    done = subprocess.run([sclite, *files, *options], cwd=tmp_path, capture_output=True, check=True)
    report = done.stdout.decode(errors="replace")
    expected = dict(re.findall(r"id: \((.*?)\)\nScores: \(#C #S #D #I\) (.*)\n", report))
    normalizer, markup = Normalizer(case="unicode"), Markup(unit=unit)
    texts = [normalizer.transcripts(read_transcripts(tmp_path / f"{name}.trn")) for name in ("ref", "hyp")]
    sides = [split_plain(side, markup, is_marked=True) for side in texts]
    scored = score_marked(score(sides[0], sides[1], ties="sclite", with_chars=False), markup)
    assert len(expected) == num
    wrong = []
    for u, name in enumerate(scored.ids):
        sub, dele, ins, num_ref, _ = scored.words[u].tolist()
        found = f"{num_ref - sub - dele} {sub} {dele} {ins}"
        if found != expected[name].strip():
            wrong.append(f"{name}: {found}, sclite {expected[name]}: {refs[u]} | {hyps[u]}")
    assert not wrong, f"{len(wrong)} of {num}: {wrong[:5]}"
