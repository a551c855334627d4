"""What each planner of texts promises, and texts that must never be made."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paste_corpus import WORDS

from speechkit.cutpaste.config import Mode, TextConfig
from speechkit.cutpaste.exclude import Exclusion, read_exclusion, text_key
from speechkit.cutpaste.ngram import Ngram
from speechkit.cutpaste.textgen import PLANNERS, Material, Sentence, SpeakerView, make_planner
from speechkit.errors import ConfigError, SpeechkitError

SENTENCES = ((0, 1, 2, 3), (3, 1, 4), (2, 0, 4, 1, 5), (5, 2))
MATERIAL = Material(train=SENTENCES, target=((0, 5, 1), (4, 3, 2, 0), (1, -1, 5)), num_words=6)
MODES: tuple[Mode, ...] = ("perm", "uniform", "ngram", "target-lm", "swap", "cover")


def view_of(words: set[int]) -> SpeakerView:
    """A speaker who has said these words."""
    sentences = tuple(
        Sentence(tuple(word for word in text if word in words), number) for number, text in enumerate(SENTENCES)
    )
    return SpeakerView(np.array(sorted(words), np.int64), frozenset(words), sentences)


MODES_OF_PAIRS: tuple[Mode, Mode] = ("cover", "uniform")
ALL = view_of(set(range(6)))


def draws(mode: Mode, num: int, view: SpeakerView = ALL, **options: object) -> list[tuple[int, ...]]:
    planner = make_planner(MATERIAL, TextConfig(mode=mode, **options))  # type: ignore[arg-type]
    gen = np.random.default_rng(0)
    return [tuple(planner(view, gen).words) for _ in range(num)]


def pairs(texts: list[tuple[int, ...]]) -> set[tuple[int, int]]:
    return {pair for text in texts for pair in itertools.pairwise(text)}


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(MODES), st.sets(st.integers(0, 5), min_size=1), st.integers(1, 6), st.integers(0, 4),
    st.booleans(), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_a_text_holds_only_words_of_its_speaker_in_the_lengths_asked_for(
    mode: Mode, words: set[int], low: int, more: int, allow_repeats: bool, seed: int
) -> None:
    config = TextConfig(mode=mode, min_words=low, max_words=low + more, allow_repeats=allow_repeats)
    planner, gen = make_planner(MATERIAL, config), np.random.default_rng(seed)
    for _ in range(10):
        text = planner(view_of(words), gen).words
        if not text:
            continue
        assert set(text) <= words
        assert low <= len(text) <= low + more
        if not allow_repeats and len(words) > 1 and mode != "target-lm":
            assert all(a != b for a, b in itertools.pairwise(text))


def test_every_mode_of_the_config_has_a_planner() -> None:
    assert set(PLANNERS) == set(MODES)


def test_perm_gives_the_words_of_one_sentence_in_another_order() -> None:
    texts = draws("perm", 200)
    assert {tuple(sorted(text)) for text in texts} == {tuple(sorted(text)) for text in SENTENCES}
    assert len(set(texts)) > 50


def test_uniform_gives_every_word_and_every_pair_alike() -> None:
    texts = draws("uniform", 3000, min_words=5, max_words=5)
    words = Counter(word for text in texts for word in text)
    assert all(abs(words[word] / 15000 - 1 / 6) < 0.015 for word in range(6))
    joins = Counter(pair for text in texts for pair in itertools.pairwise(text))
    assert len(joins) == 30  # no word follows itself
    assert all(abs(count / 12000 - 1 / 30) < 0.008 for count in joins.values())


def test_lengths_are_those_of_the_recorded_texts() -> None:
    lengths = Counter(len(text) for text in draws("uniform", 2000))
    assert set(lengths) == {2, 3, 4, 5}
    assert all(abs(lengths[size] / 2000 - 0.25) < 0.05 for size in (2, 3, 4, 5))


def test_ngram_without_free_words_has_only_recorded_pairs() -> None:
    texts = draws("ngram", 300, order=2, unigram_mix=0.0)
    # the discount leaves a share of words that follow anything
    recorded = [pair in pairs(list(SENTENCES)) for text in texts for pair in itertools.pairwise(text)]
    free = draws("ngram", 300, order=2, unigram_mix=1.0)
    free_recorded = [pair in pairs(list(SENTENCES)) for text in free for pair in itertools.pairwise(text)]
    assert np.mean(recorded) > 0.6 > 0.5 > np.mean(free_recorded)


def test_target_sentences_come_verbatim_or_as_their_pairs() -> None:
    assert set(draws("target-lm", 100, verbatim=1.0)) == {(0, 5, 1), (4, 3, 2, 0)}  # the third has an unknown word
    mixed = draws("target-lm", 300, verbatim=0.0, order=2)
    target = {(0, 5), (5, 1), (4, 3), (3, 2), (2, 0)}
    assert np.mean([pair in target for text in mixed for pair in itertools.pairwise(text)]) > 0.5
    assert (0, 5, 1) in mixed


def test_target_lm_without_target_texts_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs target texts"):
        make_planner(Material(SENTENCES, (), 6), TextConfig(mode="target-lm"))


def test_a_target_sentence_that_a_speaker_can_not_say_is_not_made() -> None:
    view = view_of({0, 5, 1, 2})
    assert set(draws("target-lm", 100, view, verbatim=1.0)) == {(0, 5, 1)}
    assert all(set(text) <= {0, 5, 1, 2} for text in draws("target-lm", 100, view, verbatim=0.0))


def test_swap_changes_one_to_three_words_of_a_sentence_and_names_its_recording() -> None:
    planner, gen = make_planner(MATERIAL, TextConfig(mode="swap")), np.random.default_rng(0)
    numbers = Counter()
    for _ in range(300):
        draft = planner(ALL, gen)
        if draft.words:
            base = SENTENCES[draft.source]
            assert len(base) == len(draft.words)
            numbers[sum(a != b for a, b in zip(base, draft.words, strict=True))] += 1
    assert set(numbers) == {1, 2, 3} and min(numbers.values()) > 30


def _num_texts_until_all_pairs(mode: Mode, seed: int) -> int:
    planner = make_planner(Material(SENTENCES, (), 6), TextConfig(mode=mode, min_words=6, max_words=6))
    gen, found = np.random.default_rng(seed), pairs(list(SENTENCES))
    for number in itertools.count(1):
        found |= pairs([tuple(planner(ALL, gen).words)])
        if len(found) == 30:
            return number
    raise AssertionError


def test_cover_makes_all_pairs_with_half_the_texts_that_uniform_needs() -> None:
    cover, uniform = (
        np.mean([_num_texts_until_all_pairs(mode, seed) for seed in range(10)]) for mode in MODES_OF_PAIRS
    )
    assert cover < 0.5 * uniform


def test_cover_makes_all_pairs_alike() -> None:
    planner = make_planner(Material(SENTENCES, (), 6), TextConfig(mode="cover", min_words=6, max_words=6))
    gen = np.random.default_rng(0)
    joins = Counter(pair for _ in range(200) for pair in itertools.pairwise(planner(ALL, gen).words))
    assert len(joins) == 30 and max(joins.values()) - min(joins.values()) <= 6


def test_cover_with_target_texts_makes_their_pairs_most_often() -> None:
    material = Material(SENTENCES, ((0, 5, 1),) * 20, 6)
    planner, gen = make_planner(material, TextConfig(mode="cover", min_words=5, max_words=5)), np.random.default_rng(0)
    joins = Counter(pair for _ in range(200) for pair in itertools.pairwise(planner(ALL, gen).words))
    assert {pair for pair, _ in joins.most_common(2)} == {(0, 5), (5, 1)}
    assert len(joins) > 20  # the others come, too


def test_ngram_of_order_one_has_the_words_in_their_shares() -> None:
    ngram, gen = Ngram([[0, 0, 0, 1]], 1), np.random.default_rng(0)
    words = Counter(w for _ in range(2000) for w in ngram.draw(frozenset({0, 1}), gen, longest=5, unigram_mix=0.0))
    assert words[0] / words.total() == pytest.approx(0.75, abs=0.03)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=30), st.sampled_from([".", "!", " ", "-", "\u2019", ", "]), st.randoms())
def test_spellings_of_a_text_share_their_key(text: str, mark: str, random: object) -> None:
    places = sorted(random.choices(range(len(text) + 1), k=3), reverse=True)  # type: ignore[attr-defined]
    other = text
    for place in places:
        other = other[:place] + mark + other[place:]
    if any(c.isalnum() for c in text):  # else it is told by its symbols
        assert text_key(other) == text_key(text)
    assert text_key(text.upper()) == text_key(text.upper().lower())


@pytest.mark.parametrize(
    "text",
    ["The dog runs.", "THE  DOG RUNS", "the dog-runs", "the do\uff47 runs", "\u201cThe dog\u201d runs!", "thedog runs"],
)
def test_an_excluded_text_is_met_however_it_is_written(text: str) -> None:
    exclusion = Exclusion(["the dog runs"])
    assert exclusion.hits(text) and exclusion.count == 1
    assert not exclusion.hits("the dogs run")
    assert not exclusion.hits("dog the runs")


def test_marks_of_other_scripts_count() -> None:
    assert text_key("\u0915\u093f") != text_key("\u0915")
    assert Exclusion(["\u0915\u093f \u0915"]).hits("\u0915\u093f\u0915")


def test_texts_without_letters_are_told_by_their_symbols() -> None:
    exclusion = Exclusion(["+ %", ""])
    assert exclusion.hits("+%") and exclusion.hits("+ %")
    assert not exclusion.hits("% +") and not exclusion.hits("")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("more.txt", "ba tu\ngi de po\n"),
        ("dos.txt", "\ufeffBa tu\r\nGi, de po.\r\n"),
        ("text", "u1 ba tu\nu2 gi de po\n"),
        ("text", "ba ba tu\ngi gi de po\n"),  # ids that are words
        ("kaldi.txt", "u1 ba tu\nu2 gi de po\n"),
        ("test.tsv", "id\ttext\nu1\tba tu\nu2\tgi de po\n"),
        ("ref.trn", "ba tu (u1)\ngi de po (u2)\n"),
        ("ref.jsonl", '{"id": "u1", "text": "ba tu"}\n{"id": "u2", "text": "gi de po"}\n'),
    ],
)
def test_exclusions_are_read_from_every_format_of_transcripts(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    exclusion = read_exclusion([tmp_path / name], WORDS)
    assert exclusion.hits("ba tu") and exclusion.hits("gi de po")
    assert not exclusion.hits("tu ba") and not exclusion.hits("de")


def test_exclusions_are_read_from_manifests(tone_words: Path) -> None:
    exclusion = read_exclusion([tone_words, tone_words / "cuts.jsonl.gz"], WORDS)
    assert exclusion.hits("ba de gi") and not exclusion.hits("gi de ba")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("ids.tsv", "id\tspeaker\ttext\nu1\tx\tba tu\n", "not one text of .* nothing would be excluded"),
        ("digits.txt", "7 2\n9\n", "not one text of .* nothing would be excluded"),
        ("ref.ctm", "u1 1 0.0 0.1 ba\n", "is time-marked"),
        ("none.txt", None, "does not exist"),
    ],
)
def test_a_file_that_would_exclude_nothing_is_refused(
    tmp_path: Path, name: str, content: str | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(SpeechkitError, match=message):
        read_exclusion([tmp_path / name], WORDS)


def test_texts_with_unknown_words_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "some.txt").write_text("ba tu\nba seven\ntuba-de\n")
    assert read_exclusion([tmp_path / "some.txt"], WORDS).hits("tu ba de")
    assert "1 of 3 texts" in caplog.text
