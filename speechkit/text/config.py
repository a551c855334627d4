"""Options of the text commands."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from speechkit.config import Config

TokenizerKind = Literal["char", "word", "bpe", "unigram"]


class TokenizerConfig(Config):
    """What decides a tokenizer besides the texts."""

    kind: TokenizerKind = Field("char", description="char, word, or pieces by bpe or unigram")
    size: int | None = Field(
        None, ge=3, description="tokens in total, <blk> and <unk> included; not for char, optional for word"
    )
