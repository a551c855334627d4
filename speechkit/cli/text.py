"""`speechkit text`: tokenizers and text tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from speechkit.cli.options import Force, Out
from speechkit.text.config import TokenizerConfig, TokenizerKind

app = typer.Typer(name="text", help="Tokenizers and text tools.", no_args_is_help=True)


@app.command()
def tokenizer(
    cuts: Annotated[
        list[Path], typer.Argument(metavar="CUTS...", help="Manifests, or text files (a sentence a line).")
    ],
    out: Out,
    kind: Annotated[TokenizerKind, typer.Option(help="char, word, bpe or unigram.")],
    size: Annotated[int | None, typer.Option(min=3, help="Tokens in total; needed for bpe and unigram.")] = None,
    force: Force = False,
) -> None:
    """Make a tokenizer from transcripts: tokens.txt, tokenizer.json and, for pieces, spm.model."""
    from speechkit.artifact import make_artifact
    from speechkit.data.texts import read_texts
    from speechkit.text.tokenizer import load_tokenizer, train_tokenizer

    config = TokenizerConfig(kind=kind, size=size)

    def build(folder: Path) -> None:
        train_tokenizer(read_texts(cuts), kind=kind, size=size).save(folder)

    inputs = {f"text{i}": path for i, path in enumerate(cuts)}
    if make_artifact(out, command="text tokenizer", config=config, inputs=inputs, build=build, force=force):
        print(f"{out}: {load_tokenizer(out).num_tokens} tokens, kind {kind}")
