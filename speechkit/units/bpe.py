"""Byte-pair encoding of units: frequent runs of units become one token; sentencepiece sees units as characters."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from speechkit.artifact import write_json
from speechkit.errors import ConfigError, SpeechkitError
from speechkit.text.tokenizer import Tokenizer, load_tokenizer, train_tokenizer

ABOUT_FILE = "units.json"
_FIRST = 0xF0000  # a plane of private-use characters, room for 65,534 units


def text_of_units(units: Iterable[int]) -> str:
    """Units as characters."""
    return "".join(chr(_FIRST + unit) for unit in units)


def units_of_text(text: str) -> list[int]:
    """The units that `text_of_units` was given."""
    return [ord(character) - _FIRST for character in text]


def train_bpe(sequences: Iterable[Sequence[int]], *, k: int, size: int) -> Tokenizer:
    """Tokens of units, so many with `<blk>` and `<unk>`; every unit is among them, so that none is unknown.

    Raises:
        ConfigError: the size is impossible.
    """
    texts = [text_of_units(units) for units in sequences] + [text_of_units([unit]) for unit in range(k)]
    try:
        return train_tokenizer(texts, kind="bpe", size=size)
    except ConfigError as error:
        raise ConfigError(error.what.replace("--size", "--bpe-size"), expected=error.expected) from None


def save_bpe(tokenizer: Tokenizer, folder: Path, *, codebook_print: str) -> None:
    """Write a tokenizer and the codebook that its units are of."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(folder)
    write_json(folder / ABOUT_FILE, {"codebook": codebook_print})


def load_bpe(folder: Path, *, codebook_print: str) -> Tokenizer:
    """The tokenizer that `units quantize --bpe-size` left, as OUT/bpe.

    Raises:
        SpeechkitError: there is none, or it is for the units of another codebook.
    """
    path = folder / ABOUT_FILE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["codebook"]
    except (OSError, ValueError, KeyError, TypeError):
        raise SpeechkitError(
            f"`{folder}` holds no BPE of units", expected="OUT/bpe of `speechkit units quantize --bpe-size N --out OUT`"
        ) from None
    if found != codebook_print:
        raise SpeechkitError(
            f"the BPE `{folder}` is for the units of another codebook",
            where=f"BPE {str(found)[:12]}, units {codebook_print[:12]}",
        )
    return load_tokenizer(folder)
