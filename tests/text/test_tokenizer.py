"""Tokenizers: round trips, what is unknown, equal bytes, and clear errors."""

from __future__ import annotations

import pickle
from functools import lru_cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechkit.errors import ConfigError, SpeechkitError
from speechkit.text.config import TokenizerKind
from speechkit.text.tokenizer import Tokenizer, load_tokenizer, train_tokenizer

TEXTS = [
    "the quick brown fox jumps over the lazy dog",
    "pack my box with five dozen liquor jugs",
    "how vexingly quick daft zebras jump",
    "grüße aus köln",
]
KINDS: list[TokenizerKind] = ["char", "word", "bpe", "unigram"]
LETTERS = sorted(set("".join(TEXTS)) - {" "})
WORDS = sorted(set(" ".join(TEXTS).split()))


@lru_cache
def tokenizer_of(kind: TokenizerKind) -> Tokenizer:
    return train_tokenizer(TEXTS, kind=kind, size=45 if kind in ("bpe", "unigram") else None)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


spaces = st.text(" \t", min_size=1, max_size=2)
free_texts = st.lists(st.text(LETTERS, min_size=1, max_size=6) | spaces, max_size=6).map(" ".join)
known_texts = st.lists(st.sampled_from(WORDS) | spaces, max_size=6).map(" ".join)


@pytest.mark.parametrize("kind", ["char", "bpe", "unigram"])
@given(text=free_texts)
def test_texts_of_known_letters_survive_encode_and_decode(kind: TokenizerKind, text: str) -> None:
    tokenizer = tokenizer_of(kind)
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == " ".join(text.split())
    assert all(0 < i < tokenizer.num_tokens for i in ids)


@given(text=known_texts)
def test_known_words_survive_encode_and_decode(text: str) -> None:
    tokenizer = tokenizer_of("word")
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == " ".join(text.split())
    assert len(ids) == len(text.split())
    assert all(1 < i < tokenizer.num_tokens for i in ids)


@given(
    texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8), min_size=1, max_size=4)
)
@settings(deadline=None)
def test_a_char_tokenizer_of_any_text_survives_saving(
    texts: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    if not any(text.split() for text in texts):
        return
    folder = tmp_path_factory.mktemp("char")
    train_tokenizer(texts, kind="char").save(folder)
    tokenizer = load_tokenizer(folder)
    for text in texts:
        assert tokenizer.decode(tokenizer.encode(text)) == " ".join(text.split())


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_texts_give_the_same_bytes_and_loading_gives_the_same_ids(kind: TokenizerKind, tmp_path: Path) -> None:
    size = 45 if kind in ("bpe", "unigram") else None
    for name in ("a", "b"):
        train_tokenizer(TEXTS, kind=kind, size=size).save(tmp_path / name)
    load_tokenizer(tmp_path / "a").save(tmp_path / "c")
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b") == files_of(tmp_path / "c")
    loaded = load_tokenizer(tmp_path / "c")
    assert [loaded.encode(t) for t in TEXTS] == [tokenizer_of(kind).encode(t) for t in TEXTS]


@pytest.mark.parametrize("kind", KINDS)
def test_token_0_is_the_blank_and_tokens_txt_lists_all_ids_in_order(kind: TokenizerKind, tmp_path: Path) -> None:
    tokenizer = tokenizer_of(kind)
    tokenizer.save(tmp_path)
    lines = (tmp_path / "tokens.txt").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "<blk> 0"
    assert [line.rpartition(" ")[2] for line in lines] == [str(i) for i in range(tokenizer.num_tokens)]
    assert tokenizer.blank_id == 0
    assert (tmp_path / "spm.model").exists() == (kind in ("bpe", "unigram"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_tokenizer_reaches_worker_processes_by_pickle(kind: TokenizerKind) -> None:
    copy = pickle.loads(pickle.dumps(tokenizer_of(kind)))
    assert copy.encode(TEXTS[0]) == tokenizer_of(kind).encode(TEXTS[0])


def test_char_tokens_are_the_blank_the_space_and_sorted_letters() -> None:
    tokenizer = train_tokenizer(["ba c", "c"], kind="char")
    assert tokenizer.tokens == ["<blk>", "<space>", "a", "b", "c"]
    assert tokenizer.encode(" c  a ") == [4, 1, 2]
    assert tokenizer.unknown_id is None


def test_spaces_that_a_model_repeats_are_joined() -> None:
    assert train_tokenizer(["a b"], kind="char").decode([1, 2, 1, 1, 3, 1]) == "a b"


def test_an_unknown_letter_is_named() -> None:
    with pytest.raises(SpeechkitError, match=r"the symbol `!` \(U\+0021\) is unknown(?s:.*)text: no!"):
        train_tokenizer(["no"], kind="char").encode("no!")


def test_unknown_words_become_unk_and_are_counted() -> None:
    tokenizer = train_tokenizer(["one two"], kind="word")
    assert tokenizer.encode("one six <blk> six <unk>") == [2, 1, 1, 1, 1]
    assert tokenizer.decode([2, 1]) == "one <unk>"
    assert tokenizer.unknown_counts == {"six": 2, "<blk>": 1, "<unk>": 1}


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_pieces_turn_unknown_letters_into_unk(kind: TokenizerKind) -> None:
    tokenizer = tokenizer_of(kind)
    ids = tokenizer.encode("five %")
    assert tokenizer.unknown_id == 1
    assert 1 in ids
    assert tokenizer.decode(ids) == "five <unk>"


def test_word_size_keeps_the_most_frequent_words() -> None:
    tokenizer = train_tokenizer(["b b a a c d d d"], kind="word", size=4)
    assert tokenizer.tokens == ["<blk>", "<unk>", "a", "d"]


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
@pytest.mark.parametrize("size, problem", [(3, "too small(?s:.*)at least"), (10**4, "too large(?s:.*)at most")])
def test_an_impossible_size_is_refused_with_a_possible_one(kind: TokenizerKind, size: int, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as caught:
        train_tokenizer(TEXTS, kind=kind, size=size)
    possible = int(caught.value.expected.split()[-1])
    assert train_tokenizer(TEXTS, kind=kind, size=possible).num_tokens == possible


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_long_sentences_are_not_dropped(kind: TokenizerKind) -> None:
    tokenizer = train_tokenizer(["ab " * 3000, "cd"], kind=kind, size=8)
    assert 1 not in tokenizer.encode("ab cd")


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_texts_of_one_letter_are_enough(kind: TokenizerKind) -> None:
    assert train_tokenizer(["a"], kind=kind, size=4).decode([2, 3]) in ("a", "a a")


@pytest.mark.parametrize(
    "texts, kind, size, error",
    [
        ([], "char", None, SpeechkitError),
        (["  "], "word", None, SpeechkitError),
        (["a"], "char", 10, ConfigError),
        (["a"], "bpe", None, ConfigError),
        (["a <unk>"], "word", None, SpeechkitError),
        (["a \u2581"], "bpe", 10, SpeechkitError),
    ],
)
def test_texts_and_options_that_can_not_work_are_refused(
    texts: list[str], kind: TokenizerKind, size: int | None, error: type[SpeechkitError]
) -> None:
    with pytest.raises(error) as caught:
        train_tokenizer(texts, kind=kind, size=size)
    assert type(caught.value) is error


@pytest.mark.parametrize("token_id", [-1, 0, 5])
def test_ids_that_are_no_tokens_are_not_decoded(token_id: int) -> None:
    with pytest.raises(SpeechkitError, match=f"{token_id} is no token id"):
        train_tokenizer(["a b c"], kind="char").decode([2, token_id])


def test_damaged_folders_are_named(tmp_path: Path) -> None:
    def problem() -> str:
        with pytest.raises(SpeechkitError) as caught:
            load_tokenizer(tmp_path)
        return caught.value.render()

    assert f"`{tmp_path / 'tokenizer.json'}` is missing" in problem()
    tokenizer_of("bpe").save(tmp_path)
    (tmp_path / "spm.model").write_bytes(b"nothing")
    assert "`spm.model` is damaged" in problem()
    (tmp_path / "tokens.txt").write_text("<blk> 0\na 2\n")
    assert f"{tmp_path / 'tokens.txt'}:2" in problem()
    (tmp_path / "tokens.txt").write_text("a 0\n")
    assert "token 0 is not `<blk>`" in problem()
    (tmp_path / "tokenizer.json").write_text('{"kind": "morse"}')
    assert "unknown kind `morse`" in problem()
    (tmp_path / "tokenizer.json").write_text("[]")
    assert "does not tell the kind" in problem()


def test_tokens_that_are_not_utf_8_are_named(tmp_path: Path) -> None:
    tokenizer_of("char").save(tmp_path)
    with (tmp_path / "tokens.txt").open("ab") as stream:
        stream.write(b"\xff 99\n")
    with pytest.raises(SpeechkitError, match=r"tokens\.txt` is not UTF-8"):
        load_tokenizer(tmp_path)


def test_word_ranges_give_back_the_words_of_every_kind() -> None:
    texts = ["one two", "three", "two two one", "tree owed nowt"] * 20
    for kind, size in (("word", None), ("char", None), ("bpe", 20), ("unigram", 15)):
        tokenizer = train_tokenizer(texts, kind=kind, size=size)  # type: ignore[arg-type]
        for text in texts[:4]:
            ids = tokenizer.encode(text)
            ranges = tokenizer.word_ranges(ids)
            assert [tokenizer.decode(ids[start:end]) for start, end in ranges] == text.split(), kind
        assert tokenizer.word_ranges([]) == [], kind
