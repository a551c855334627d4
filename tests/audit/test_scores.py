"""Evidence and scores against what they are defined to be; planted faults rank first; faults of input are named."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hearing import DIGITS, STEP, char_tokenizer, say

from speechkit.align.ctc import tokens_of
from speechkit.audit import scores as scores_module
from speechkit.audit.logprobs import Emission, greedy_text
from speechkit.audit.scores import SCORES, Lexicon, gather
from speechkit.errors import SpeechkitError
from speechkit.kernels.ctc_edits import text_log_prob
from speechkit.text.tokenizer import Tokenizer, train_tokenizer

LEXICON = Lexicon(tuple(DIGITS))


def heard(text: str, tokenizer: Tokenizer | None = None, **options: float) -> Emission:
    tokenizer = tokenizer or char_tokenizer()
    values = say(tokenizer, text, **options)  # type: ignore[arg-type]
    return Emission(values.astype(np.float32), tokenizer, STEP, STEP / 2, 0, greedy_text(values, tokenizer))


@pytest.mark.parametrize("kind", ["char", "word", "bpe", "unigram"])
def test_edits_are_those_of_the_spelled_text(kind: str) -> None:
    options = {"size": 24} if kind in ("bpe", "unigram") else {}
    tokenizer = train_tokenizer([" ".join(DIGITS)] * 3, kind=kind, **options)  # type: ignore[arg-type]
    words = ["one", "one", "seven"]
    emission = heard("one two seven", tokenizer, num_frames=40)
    evidence = gather(emission, words, lexicon=LEXICON)

    def log_prob(text: list[str]) -> float:
        return text_log_prob(emission.log_probs_TV, tokenizer.encode(" ".join(text)))

    assert tokens_of(words, tokenizer)[0] == tokenizer.encode(" ".join(words))
    assert evidence.log_prob == pytest.approx(log_prob(words))
    deleted = [log_prob(words[:i] + words[i + 1 :]) - evidence.log_prob for i in range(3)]
    np.testing.assert_allclose(evidence.delete_W, deleted, atol=1e-9)
    for i, word in enumerate(words):
        others = {v: log_prob([*words[:i], v, *words[i + 1 :]]) for v in DIGITS if v != word}
        best = max(others, key=lambda v: others[v])
        assert DIGITS[evidence.replacement_W[i]] == best
        assert evidence.replace_W[i] == pytest.approx(others[best] - evidence.log_prob)
    for g in range(4):
        every = {v: log_prob([*words[:g], v, *words[g:]]) for v in DIGITS}
        assert evidence.insert_G[g] == pytest.approx(max(every.values()) - evidence.log_prob)


def test_each_fault_is_found_where_it_is() -> None:
    emission = heard("nine one six two", num_frames=120)
    wrong = gather(emission, ["nine", "one", "three", "two"], lexicon=LEXICON)
    assert int(np.argmax(wrong.star_W)) == 2
    assert DIGITS[wrong.replacement_W[2]] == "six"
    missing = gather(emission, ["nine", "one", "two"], lexicon=LEXICON)
    assert int(np.argmax(missing.insert_G)) == 2
    assert DIGITS[missing.insertion_G[2]] == "six"
    extra = gather(emission, ["nine", "one", "six", "four", "two"], lexicon=LEXICON)
    assert int(np.argmax(extra.delete_W)) == 3
    right = gather(emission, ["nine", "one", "six", "two"], lexicon=LEXICON)
    for name in ("nll_per_char", "llr_free", "llr_hyp", "edit_lse", "edit_lexicon", "cer_hyp", "segment_max"):
        assert right.scores[name] < min(e.scores[name] for e in (wrong, missing, extra)), name


def test_doubt_finds_several_faults_of_one_transcript() -> None:
    emission = heard("nine one six two five four", num_frames=180)
    evidence = gather(emission, ["nine", "three", "six", "five", "four", "four"])
    assert np.flatnonzero(evidence.doubt_W > 0).tolist() in ([1, 4], [1, 5]), "one of the two fours was not said"
    assert np.flatnonzero(evidence.doubt_G > 0).tolist() == [3]
    right = gather(emission, ["nine", "one", "six", "two", "five", "four"])
    assert max(*right.doubt_W, *right.doubt_G) < -4
    assert right.scores["edits_any"] < -2 < 2 < evidence.scores["edits_any"]


def test_scores_are_what_they_say() -> None:
    emission = heard("nine one", num_frames=60, seed=3)
    words = ["nine", "two", "one"]
    evidence = gather(emission, words, lexicon=LEXICON)
    scores, values = evidence.scores, emission.log_probs_TV.astype(np.float64)
    assert set(scores) == set(SCORES)
    assert scores["nll_per_char"] == pytest.approx(-evidence.log_prob / len("nine two one"))
    assert scores["nll_per_token"] == pytest.approx(-evidence.log_prob / len("nine two one"))
    assert scores["llr_free"] == pytest.approx(values.max(axis=1).sum() - evidence.log_prob, abs=1e-4)
    assert emission.hypothesis == "nine one"
    hypothesis = text_log_prob(emission.log_probs_TV, emission.tokenizer.encode("nine one"))
    assert scores["llr_hyp"] == pytest.approx(hypothesis - evidence.log_prob)
    assert scores["cer_hyp"] == pytest.approx(4 / 12)
    assert scores["wer_hyp"] == pytest.approx(1 / 3)
    edits = np.concatenate([evidence.delete_W, evidence.star_W - 6.0, evidence.gap_star_G - 6.0])
    assert scores["edit_lse"] == pytest.approx(math.log(np.exp(edits).sum()))
    assert scores["min_confidence"] == -evidence.confidence_W.min()
    assert scores["segment_max"] == max(evidence.segment_W.max(), evidence.segment_G.max())
    surplus = evidence.segment_W.sum() + evidence.segment_G.sum()
    assert 0 < scores["llr_free"] <= surplus + 1e-4  # one path has less probability than all of them
    blanks = [len(list(run)) for is_blank, run in itertools.groupby(values.argmax(axis=1) == 0) if is_blank]
    assert scores["blank_run"] == pytest.approx(max(blanks) * STEP)


def test_speech_after_the_text_and_closed_lexicon_posteriors() -> None:
    emission = heard("nine one six", num_frames=90)
    short, whole = (
        gather(emission, ["nine"], lexicon=LEXICON),
        gather(emission, ["nine", "one", "six"], lexicon=LEXICON),
    )
    assert short.scores["trailing"] > 0.5 > 0.1 > whole.scores["trailing"]
    posterior = []
    for given in DIGITS:
        words = ["nine", given, "six"]
        posterior.append(text_log_prob(emission.log_probs_TV, emission.tokenizer.encode(" ".join(words))))
    expected = np.exp(posterior - np.logaddexp.reduce(posterior))
    wrong = gather(emission, ["nine", "four", "six"], lexicon=LEXICON).scores
    assert wrong["cleanlab_self_confidence"] == pytest.approx(-expected[DIGITS.index("four")], abs=1e-6)
    margin = (expected[DIGITS.index("four")] - expected[DIGITS.index("one")] + 1) / 2
    assert wrong["cleanlab_normalized_margin"] == pytest.approx(-margin, abs=1e-6)
    assert "cleanlab_self_confidence" not in gather(emission, ["nine"]).scores


def test_a_word_beyond_the_lexicon_competes_with_it() -> None:
    emission = heard("nine one", num_frames=60)
    small = Lexicon(("two", "nine"))
    evidence = gather(emission, ["nine", "one"], lexicon=small)
    assert evidence.replacement_W.tolist() == [0, 1]
    assert evidence.scores["cleanlab_self_confidence"] < -0.99


def test_words_of_the_lexicon_that_can_not_be_spelled_keep_their_numbers() -> None:
    lexicon = Lexicon(("quick", "nine", "two"))
    emission = heard("nine two", num_frames=60)
    assert lexicon.for_tokenizer(emission.tokenizer).unknown == ("quick",)
    evidence = gather(emission, ["nine", "nine"], lexicon=lexicon)
    assert evidence.replacement_W[1] == 2
    assert gather(emission, ["nine"], lexicon=Lexicon(("quick",))).replacement_W.tolist() == [-1]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([], "it has no words"),
        (["nine", "quick"], "unknown symbol|not in|k"),
        (["nine"] * 20, "too short for its text: 60 encoder frames, 99 needed"),
    ],
)
def test_texts_that_can_not_be_scored(words: list[str], reason: str) -> None:
    with pytest.raises(SpeechkitError, match=reason):
        gather(heard("nine", num_frames=60), words)


def test_long_recordings_are_refused_before_memory_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scores_module, "_MAX_CELLS", 60 * 7)
    gather(heard("one two", num_frames=60), ["one", "two"])
    with pytest.raises(SpeechkitError, match="too long to score: 60 encoder frames, 9 tokens"):
        gather(heard("one two", num_frames=60), ["one", "three"])


def test_unknown_words_of_a_word_tokenizer_are_no_words() -> None:
    tokenizer = train_tokenizer([" ".join(DIGITS)], kind="word")
    with pytest.raises(SpeechkitError, match="the model does not know `quick`"):
        gather(heard("nine", tokenizer), ["quick"])
