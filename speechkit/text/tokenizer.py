"""Text <-> token ids. Token 0 is the blank of CTC and transducers and is never produced by `encode`.

Folder of a tokenizer: `tokens.txt` (`symbol id` a line, in order), `tokenizer.json` (its kind), and
`spm.model` for the sentencepiece kinds (Kudo and Richardson 2018; BPE: Sennrich et al. 2016; unigram: Kudo 2018).
Texts are read as words joined by single blanks.
"""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

from speechkit.artifact import publish_file, write_json
from speechkit.errors import ConfigError, SpeechkitError
from speechkit.text.config import TokenizerKind

BLANK = "<blk>"
UNKNOWN = "<unk>"
SPACE = "<space>"
TOKENS_FILE = "tokens.txt"
KIND_FILE = "tokenizer.json"
MODEL_FILE = "spm.model"
_PIECE_SPACE = "\u2581"  # how sentencepiece writes a blank
_PIECE_KINDS = ("bpe", "unigram")


class Tokenizer:
    """Symbols and ids of one kind; make it with `train_tokenizer` or `load_tokenizer`.

    Attributes:
        kind: char, word, bpe or unigram.
        tokens: symbols in the order of their ids.
        unknown_counts: how often `encode` met each word (kind word) that became `<unk>`.
    """

    blank_id = 0

    def __init__(self, kind: TokenizerKind, tokens: Sequence[str], model: bytes | None = None) -> None:
        self.kind = kind
        self.tokens = list(tokens)
        self.unknown_counts: Counter[str] = Counter()
        self._model = model
        self._ids = {token: index for index, token in enumerate(self.tokens)}
        self._processor = _open_model(model) if model is not None else None

    @property
    def num_tokens(self) -> int:
        """Number of ids, the blank included."""
        return len(self.tokens)

    @property
    def unknown_id(self) -> int | None:
        """Id of `<unk>`, or None for the kind char, which refuses unknown symbols."""
        return self._ids.get(UNKNOWN)

    def encode(self, text: str) -> list[int]:
        """Ids of a text, never the blank.

        Raises:
            SpeechkitError: a symbol is unknown and the kind has no `<unk>`; the message names it.
        """
        words = text.split()
        if self._processor is not None:
            return self._encode_pieces(" ".join(words))
        if self.kind == "word":
            return [self._id_of_word(word) for word in words]
        return [self._id_of_char(char, text) for char in " ".join(words)]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids: words joined by single blanks; unknown ones are `<unk>`.

        Raises:
            SpeechkitError: an id is the blank or beyond the last token.
        """
        symbols = []
        for token_id in ids:
            if not 0 < token_id < self.num_tokens:
                raise SpeechkitError(f"{token_id} is no token id", expected=f"1 to {self.num_tokens - 1}")
            symbols.append(self.tokens[token_id])
        if self.kind == "word":
            return " ".join(symbols)
        if self.kind == "char":
            return " ".join("".join(" " if symbol == SPACE else symbol for symbol in symbols).split())
        return " ".join("".join(symbols).replace(_PIECE_SPACE, " ").split())

    def word_ranges(self, ids: Sequence[int]) -> list[tuple[int, int]]:
        """First and end index of each word of `encode`'s ids; blanks between words belong to none."""
        if self.kind == "word":
            return [(index, index + 1) for index in range(len(ids))]
        if self.kind == "char":
            space = self._ids.get(SPACE)
            edges = [-1, *(index for index, token in enumerate(ids) if token == space), len(ids)]
            return [(left + 1, right) for left, right in pairwise(edges) if right > left + 1]
        starts = [index for index, token in enumerate(ids) if self.tokens[token].startswith(_PIECE_SPACE)]
        return list(pairwise(sorted({0, *starts, len(ids)})))

    def save(self, folder: Path) -> None:
        """Write the files of the tokenizer into `folder`; the same tokenizer gives the same bytes."""
        with publish_file(folder / TOKENS_FILE) as stream:
            stream.writelines(f"{token} {index}\n" for index, token in enumerate(self.tokens))
        if self._model is not None:
            with publish_file(folder / MODEL_FILE, "wb") as stream:
                stream.write(self._model)
        write_json(folder / KIND_FILE, {"kind": self.kind, "num_tokens": self.num_tokens})

    def _id_of_word(self, word: str) -> int:
        token_id = self._ids.get(word, 0)
        if token_id > 1:
            return token_id
        self.unknown_counts[word] += 1
        return 1

    def _id_of_char(self, char: str, text: str) -> int:
        token_id = self._ids.get(SPACE if char == " " else char)
        if token_id is None:
            raise SpeechkitError(
                f"the symbol `{char}` (U+{ord(char):04X}) is unknown to the tokenizer",
                where=f"text: {text}",
                hint="normalise the text, or train the tokenizer on text that holds the symbol",
            )
        return token_id

    def _encode_pieces(self, text: str) -> list[int]:
        assert self._processor is not None
        _check_piece_text(text)
        return [piece_id + 1 for piece_id in self._processor.encode(text)] if text else []


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer that `save` or `speechkit text tokenizer` left in a folder.

    Raises:
        SpeechkitError: a file is missing or damaged.
    """
    description = _read(folder / KIND_FILE)
    try:
        kind = json.loads(description)["kind"]
    except (ValueError, KeyError, TypeError):
        raise SpeechkitError(f"`{folder / KIND_FILE}` does not tell the kind of a tokenizer") from None
    if kind not in ("char", "word", *_PIECE_KINDS):
        raise SpeechkitError(f"`{folder / KIND_FILE}`: unknown kind `{kind}`")
    tokens = []
    try:
        lines = _read(folder / TOKENS_FILE).decode("utf-8").split("\n")[:-1]
    except UnicodeDecodeError as error:
        raise SpeechkitError(f"`{folder / TOKENS_FILE}` is not UTF-8: {error.reason}") from None
    for number, line in enumerate(lines, start=1):
        symbol, _, token_id = line.rpartition(" ")
        if not symbol or token_id != str(number - 1):
            raise SpeechkitError("not `SYMBOL ID` in the order of the ids", where=f"{folder / TOKENS_FILE}:{number}")
        tokens.append(symbol)
    if not tokens or tokens[0] != BLANK:
        raise SpeechkitError(f"token 0 is not `{BLANK}`", where=f"{folder / TOKENS_FILE}:1")
    model = _read(folder / MODEL_FILE) if kind in _PIECE_KINDS else None
    return Tokenizer(kind, tokens, model)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise SpeechkitError(f"`{path}` is missing", expected="a folder made by `speechkit text tokenizer`") from None


def train_tokenizer(texts: Iterable[str], *, kind: TokenizerKind, size: int | None = None) -> Tokenizer:
    """A tokenizer for texts; the same texts give the same tokenizer.

    Args:
        size: number of tokens with `<blk>` and `<unk>`; needed for bpe and unigram, a limit for word.
    Raises:
        ConfigError: `size` is missing, useless or impossible for these texts.
        SpeechkitError: no text, or a text holds a reserved symbol.
    """
    sentences = [" ".join(text.split()) for text in texts]
    sentences = [sentence for sentence in sentences if sentence]
    if not sentences:
        raise SpeechkitError("no text to make a tokenizer from", expected="at least one word")
    if kind == "char":
        if size is not None:
            raise ConfigError("kind `char` takes no size: every symbol of the texts is a token")
        symbols = set().union(*sentences) - {" "}
        return Tokenizer(kind, [BLANK, SPACE, *sorted(symbols)])
    if kind == "word":
        return Tokenizer(kind, [BLANK, UNKNOWN, *_choose_words(sentences, size)])
    if size is None:
        raise ConfigError(f"kind `{kind}` needs a size", hint="for example --size 500")
    model = _train_pieces(sentences, kind, size)
    processor = _open_model(model)
    pieces = [processor.id_to_piece(index) for index in range(processor.get_piece_size())]
    return Tokenizer(kind, [BLANK, *pieces], model)


def _choose_words(sentences: Sequence[str], size: int | None) -> list[str]:
    counts = Counter(word for sentence in sentences for word in sentence.split(" "))
    for reserved in (BLANK, UNKNOWN):
        if reserved in counts:
            raise SpeechkitError(f"the texts hold the reserved symbol `{reserved}`", hint="take it out of the texts")
    if size is None:
        return sorted(counts)
    by_count = sorted(counts, key=lambda word: (-counts[word], word))
    return sorted(by_count[: size - 2])


def _train_pieces(sentences: Sequence[str], kind: str, size: int) -> bytes:
    import sentencepiece

    _check_piece_text(" ".join(sentences))
    model = io.BytesIO()
    sentencepiece.set_random_generator_seed(1)
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sentences),
            model_writer=model,
            model_type=kind,
            vocab_size=size - 1,  # the blank is ours
            character_coverage=1.0,
            normalization_rule_name="identity",
            max_sentence_length=max(10, *(len(s.encode()) + 1 for s in sentences)),  # longer ones would be dropped
            unk_id=0,
            bos_id=-1,
            eos_id=-1,
            pad_id=-1,
            num_threads=1,
            shuffle_input_sentence=False,
            minloglevel=2,
        )
    except (RuntimeError, OSError) as error:
        _explain_failure(str(error), size)
    return model.getvalue()


def _explain_failure(message: str, size: int) -> NoReturn:
    # sentencepiece counts without our blank
    too_high = re.search(r"value <= ([0-9]+)", message)
    if too_high:
        largest = int(too_high[1]) + 1
        raise ConfigError(f"--size {size} is too large for these texts", expected=f"at most {largest}") from None
    too_low = re.search(r"smaller than required_chars\.? *([0-9]+) vs ([0-9]+)", message)
    if too_low:
        smallest = int(too_low[2]) + 1
        raise ConfigError(f"--size {size} is too small for these texts", expected=f"at least {smallest}") from None
    raise SpeechkitError(f"sentencepiece can not make {size} tokens: {message.strip().splitlines()[-1]}") from None


def _check_piece_text(text: str) -> None:
    for symbol in (_PIECE_SPACE, "\0"):
        if symbol in text:
            raise SpeechkitError(
                f"the symbol U+{ord(symbol):04X} is reserved by sentencepiece", where=f"text: {text[:80]!r}"
            )


def _open_model(model: bytes) -> Any:
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor()
    try:
        processor.LoadFromSerializedProto(model)
    except RuntimeError:
        raise SpeechkitError(f"`{MODEL_FILE}` is damaged", hint="make the tokenizer again") from None
    return processor
