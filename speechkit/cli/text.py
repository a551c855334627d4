"""`speechkit text`: tokenizers and text tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from speechkit.cli.options import Force, Out, Seed
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


@app.command()
def sentences(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The text file to write, a sentence a line.")],
    num: Annotated[int, typer.Option(min=1, help="Number of different sentences.")],
    exclude: Annotated[
        list[Path] | None,
        typer.Option(metavar="CUTS|FILE", help="Sentences never to be made: manifests or text files; repeatable."),
    ] = None,
    seed: Seed = 0,
) -> None:
    """Write sentences of the grammar of `data synth` (49 words): text of the domain, without audio."""
    from speechkit.artifact import publish_file
    from speechkit.data.sentences import make_sentences
    from speechkit.data.texts import read_texts

    taken = set(read_texts(exclude)) if exclude else set()
    lines = make_sentences(num, seed, exclude=taken)
    with publish_file(out) as stream:
        stream.writelines(f"{line}\n" for line in lines)
    print(f"{out}: {num} sentences, none of {len(taken)} excluded ones")
