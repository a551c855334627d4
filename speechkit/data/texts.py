"""Transcripts of cuts manifests and of plain text files, for tokenizers and language models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from speechkit.data.corpora.tables import read_lines
from speechkit.data.store import load_cuts, text_of
from speechkit.errors import SpeechkitError


def read_texts(paths: Sequence[Path]) -> list[str]:
    """One text per cut or line, in order.

    Args:
        paths: cuts manifests (`*.jsonl.gz`, `*.jsonl`, artifact folders) or text files, one sentence a line.
    Raises:
        SpeechkitError: a file is missing, empty, not UTF-8, or a cut has no text.
    """
    texts: list[str] = []
    for path in paths:
        if path.is_dir() or path.name.endswith((".jsonl", ".jsonl.gz")):
            texts += [text_of(cut) for cut in load_cuts(path)]
            continue
        lines, bad = read_lines(path)
        if bad:
            raise SpeechkitError(f"`{path}` is not UTF-8", where=[f"{item.where}  {item.reason}" for item in bad])
        texts += [line for _, line in lines]
    return texts
