"""Labelers: rates from an audit with shrinkage, quality and consensus from several transcripts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make import make_cut, make_wav
from scipy.stats import spearmanr

from speechkit.audit.consensus import DEL, INS, SUB, find_consensus
from speechkit.audit.labelers import labeler_rates
from speechkit.audit.network import build_networks
from speechkit.data.store import save_cuts
from speechkit.kernels.edit import align_words

VOCABULARY = [f"w{k}" for k in range(200)]


def simulate_audit(
    seed: int, rates: np.ndarray, distance: float
) -> tuple[list[str], np.ndarray, np.ndarray]:  # fmt: skip
    """50 utterances per labeler; calibrated probabilities of an audit whose score tells right from wrong so well."""
    gen = np.random.default_rng(seed)
    labeler = np.repeat(np.arange(len(rates)), 50)
    is_wrong = gen.random(len(labeler)) < rates[labeler]
    score = gen.normal(size=len(labeler)) + distance * is_wrong
    common = rates.mean()
    p = 1 / (1 + np.exp(-(distance * score - distance**2 / 2 + np.log(common / (1 - common)))))
    return [f"l{k:02d}" for k in labeler], p, is_wrong


def test_rates_are_ranked_as_the_true_ones_with_fifty_utterances_per_labeler() -> None:
    for seed in range(3):
        true = np.random.default_rng(seed).permutation(np.linspace(0.02, 0.8, 20))
        names, p_error, _ = simulate_audit(seed, true, 3.0)
        found = labeler_rates(names, p_error)
        estimate = dict(zip(found.names, found.rate, strict=True))
        assert spearmanr(true, [estimate[f"l{k:02d}"] for k in range(20)])[0] >= 0.9
        assert (np.diff(found.rate) <= 0).all()
        assert ((found.low <= found.rate) & (found.rate <= found.high)).all()


def test_intervals_of_rates_cover_the_truth() -> None:
    hits, total = 0, 0
    for seed in range(8):
        true = np.random.default_rng(seed).uniform(0.02, 0.5, 15)
        names, p_error, _ = simulate_audit(seed, true, 2.5)
        found = labeler_rates(names, p_error)
        for name, low, high in zip(found.names, found.low, found.high, strict=True):
            hits += low <= true[int(name[1:])] <= high
            total += 1
    assert 0.86 <= hits / total <= 0.995


def test_decisions_alone_give_the_beta_binomial() -> None:
    wrong = {"anna": 9, "bert": 3, "carl": 1, "dora": 0}
    names = [name for name in wrong for _ in range(20)]
    p_error = np.array([float(k < wrong[name]) for name in wrong for k in range(20)])
    found = labeler_rates(names, p_error, is_decided=np.ones(80, np.bool_))
    a, b = found.prior
    assert found.names == ["anna", "bert", "carl", "dora"]
    assert found.num_errors.tolist() == [9, 3, 1, 0]
    assert found.rate == pytest.approx([(a + k) / (a + b + 20) for k in wrong.values()], abs=0.002)
    assert found.rate[0] < 0.45
    assert found.rate[-1] > 0.0  # shrunken towards the others
    assert (found.rank_low[0], found.rank_high[-1]) == (1, 4)


def test_equal_labelers_are_drawn_together_and_one_stays_as_it_is() -> None:
    names = ["a"] * 30 + ["b"] * 30
    p_error = np.array(([1.0] * 6 + [0.0] * 24) * 2)
    found = labeler_rates(names, p_error, is_decided=np.ones(60, np.bool_))
    assert found.rate == pytest.approx([0.2, 0.2], abs=0.01)
    one = labeler_rates(["a"] * 30, p_error[:30], is_decided=np.ones(30, np.bool_))
    assert one.rate[0] == pytest.approx((6 + 0.2) / 31, abs=0.01)


def words_of(*texts: str) -> dict[int, list[str]]:
    return {labeler: text.split() for labeler, text in enumerate(texts)}


def test_networks_align_words_and_put_additions_where_they_belong() -> None:
    (network,) = build_networks([words_of("a b c", "a c", "a b x c")])
    assert network == [
        {0: "a", 1: "a", 2: "a"}, {0: "b", 2: "b"}, {2: "x"}, {0: "c", 1: "c", 2: "c"}
    ]  # fmt: skip
    (network,) = build_networks([words_of("a b", "a x y b", "a x y b", "a b", "a b")])
    assert [sorted(slot.items()) for slot in network[1:3]] == [[(1, "x"), (2, "x")], [(1, "y"), (2, "y")]]
    assert build_networks([words_of("", "")]) == [[]]
    assert build_networks([]) == []


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(st.sampled_from("abc"), max_size=5), min_size=1, max_size=4))
def test_every_transcript_can_be_read_from_its_network(texts: list[list[str]]) -> None:
    (network,) = build_networks([dict(enumerate(texts))])
    for labeler, words in enumerate(texts):
        assert [slot[labeler] for slot in network if labeler in slot] == words
    assert all(network)


def test_the_consensus_is_the_majority_among_equals() -> None:
    found = find_consensus([words_of("a b c", "a b c", "a x c"), words_of("d", "d e", "d")], 3)
    assert found.words == [["a", "b", "c"], ["d"]]
    assert all(0.5 < p <= 1 for own in found.posteriors for p in own)


def test_good_labelers_outvote_more_bad_ones_who_err_by_themselves() -> None:
    texts = simulate_transcripts(0, [0.02, 0.02, 0.6, 0.6], 60, votes=4)
    good = {0: ["yes", "it", "is"], 1: ["yes", "it", "is"], 2: ["no", "it", "is"], 3: ["no", "it", "is"]}
    found = find_consensus([*texts[1], good], 4)
    assert found.words[-1] == ["yes", "it", "is"]


def simulate_transcripts(
    seed: int, rates: list[float], num: int, *, votes: int
) -> tuple[list[list[str]], list[dict[int, list[str]]]]:
    """True texts, and those of some labelers each: half substitutions, three tenths deletions, two insertions."""
    gen = np.random.default_rng(seed)
    true, given_ = [], []
    for _ in range(num):
        said = [VOCABULARY[k] for k in gen.integers(0, 200, gen.integers(4, 9))]
        own = {}
        for labeler in sorted(gen.choice(len(rates), votes, replace=False).tolist()):
            words: list[str] = []
            for word in said:
                kind = gen.random() / rates[labeler]
                if kind < 0.5:
                    words.append(VOCABULARY[gen.integers(200)])
                elif kind >= 0.8:
                    words.append(word)
                if gen.random() < 0.2 * rates[labeler]:
                    words.append(VOCABULARY[gen.integers(200)])
            own[labeler] = words
        true.append(said)
        given_.append(own)
    return true, given_


def test_quality_ranks_labelers_and_the_consensus_beats_the_best_of_each() -> None:
    rates = np.random.default_rng(3).uniform(0.02, 0.5, 20)
    said, texts = simulate_transcripts(1, rates.tolist(), 333, votes=3)  # 50 utterances per labeler
    found = find_consensus(texts, 20)
    quality = found.errors.sum(axis=0) / found.said.sum(axis=0)
    assert spearmanr(rates, quality)[0] >= 0.9
    num_words = sum(map(len, said))
    consensus = align_words(said, found.words).counts.sum() / num_words
    best = align_words(said, [own[min(own, key=lambda k: rates[k])] for own in texts]).counts.sum() / num_words
    assert consensus < 0.9 * best


def test_the_probability_that_a_consensus_is_right_is_about_true_where_alignments_are_sure() -> None:
    rates = np.random.default_rng(5).uniform(0.02, 0.2, 10).tolist()
    said, texts = simulate_transcripts(5, rates, 300, votes=3)
    found = find_consensus(texts, 10)
    wrong = np.mean([a != b for a, b in zip(said, found.words, strict=True)])
    assert 0.05 < wrong < 0.25
    assert 1 - np.mean(found.p_right) == pytest.approx(wrong, abs=0.05)


def test_kinds_of_errors_are_told_apart() -> None:
    true, texts = simulate_transcripts(2, [0.05] * 4, 80, votes=4)
    for said, own in zip(true, texts, strict=True):
        own[4] = said[:-1]  # leaves out the last word
        own[5] = [*said, "oh"]
    found = find_consensus(texts, 6)
    assert found.rates[4, DEL] == pytest.approx(1 / 6, abs=0.04)
    assert found.rates[4, SUB] < 0.02
    assert found.rates[5, INS] > 10 * found.rates[4, INS]


@pytest.fixture
def transcripts(tmp_path: Path) -> list[Path]:
    """Three labelers in three formats, and a fourth as cuts; the third errs."""
    (tmp_path / "anna.txt").write_text("")
    anna, bert, carl = tmp_path / "anna" / "text", tmp_path / "bert.trn", tmp_path / "carl.jsonl"
    anna.parent.mkdir()
    anna.write_text("u1 a b c\nu2 d e f\nu3 g h\n")
    bert.write_text("a b c (u1)\nd e f (u2)\ng h (u3)\n")
    rows = [{"id": "u1", "text": "a c"}, {"id": "u2", "text": "d x f"}, {"id": "u3", "text": "g h"}]
    carl.write_text("".join(json.dumps(row) + "\n" for row in rows))
    cuts = [make_cut("u1", make_wav(tmp_path / "wav" / "u1.wav"), text="a b c")]
    save_cuts(cuts, tmp_path / "dora" / "cuts.jsonl.gz")
    return [anna, bert, carl, tmp_path / "dora"]


def test_transcripts_of_all_formats_make_a_consensus(
    run_speechkit: Callable[..., Any], transcripts: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "consensus.jsonl"
    done = run_speechkit("audit", "labelers", *transcripts, "--out", out, "--json", tmp_path / "l.json")
    assert done.exit_code == 0, done.stderr
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert {row["id"]: row["text"] for row in rows} == {"u1": "a b c", "u2": "d e f", "u3": "g h"}
    assert [row["transcripts"] for row in rows] == [4, 3, 3]
    assert all(len(row["words"]) == len(row["text"].split()) for row in rows)
    result = json.loads((tmp_path / "l.json").read_text())
    assert result["labelers"][0]["labeler"] == "carl.jsonl"
    assert result["labelers"][0]["errors"] == pytest.approx(2, abs=0.5)
    assert result["labelers"][0]["rank_interval"][0] == 1
    assert done.stdout.splitlines()[1].startswith("carl.jsonl")


def write_audit(folder: Path) -> Path:
    """20 rows of two speakers, b wrong in half of its own."""
    folder.mkdir()
    rows = [
        {"id": f"u{k:02d}", "rank": k + 1, "p_error": 0.95 if k % 4 == 1 else 0.02, "suspicious": k % 4 == 1,
         "text": "a", "speaker": "ab"[k % 2]}
        for k in range(20)
    ]  # fmt: skip
    (folder / "audit.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_an_audit_gives_rates_by_any_field_and_heeds_decisions(
    run_speechkit: Callable[..., Any], tmp_path: Path
) -> None:
    audit = write_audit(tmp_path / "audit")
    done = run_speechkit("audit", "labelers", audit, "--field", "speaker", "--json", tmp_path / "l.json")
    assert done.exit_code == 0, done.stderr
    first, second = json.loads((tmp_path / "l.json").read_text())["labelers"]
    assert (first["labeler"], first["utterances"]) == ("b", 10)
    assert first["rate"] > 0.3 > second["rate"]
    decisions = [{"id": f"u{k:02d}", "decision": "wrong" if k % 2 == 0 else "right"} for k in range(20)]
    (tmp_path / "d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in decisions))
    options = ("--field", "speaker", "--decisions", tmp_path / "d.jsonl", "--json", tmp_path / "l.json")
    run_speechkit("audit", "labelers", audit, *options)
    result = json.loads((tmp_path / "l.json").read_text())
    assert result["decided"] == 20
    assert result["labelers"][0]["labeler"] == "a"
    audio = make_wav(tmp_path / "a.wav")
    cuts = [make_cut(f"u{k:02d}", audio, custom={"labeler": "xyz"[k % 3]}) for k in range(20)]
    save_cuts(cuts, tmp_path / "cuts" / "cuts.jsonl.gz")
    done = run_speechkit("audit", "labelers", audit, "--cuts", tmp_path / "cuts", "--json", tmp_path / "l.json")
    assert {row["labeler"] for row in json.loads((tmp_path / "l.json").read_text())["labelers"]} == {"x", "y", "z"}


def test_labelers_refuse_what_does_not_fit(
    run_speechkit: Callable[..., Any], transcripts: list[Path], tmp_path: Path
) -> None:
    audit = write_audit(tmp_path / "audit")
    for arguments, code, message in (
        ([audit], 2, "an audit does not say the `labeler` of its cuts"),
        ([audit, "--field", "speaker", "--out", tmp_path / "o"], 2, "a consensus (--out) needs two transcripts"),
        ([*transcripts, "--cuts", audit], 2, "belong to an audit"),
        ([transcripts[0], transcripts[0]], 2, "a file of transcripts is given twice"),
        ([audit, "--cuts", tmp_path / "dora"], 1, "20 utterances of the audit without a `labeler`"),
        ([tmp_path / "nothing"], 1, "does not exist"),
    ):
        done = run_speechkit("audit", "labelers", *arguments)
        assert (done.exit_code, message in done.stderr) == (code, True), done.stderr
    (tmp_path / "other.trn").write_text("a (x1)\n")
    done = run_speechkit("audit", "labelers", transcripts[0], tmp_path / "other.trn")
    assert "the transcripts share no utterance" in done.stderr
