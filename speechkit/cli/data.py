"""`speechkit data`: prepare corpora, make synthetic ones."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from speechkit.cli.options import Force, NumJobs, Out, Set, ShowConfig

app = typer.Typer(name="data", help="Prepare corpora and make synthetic ones.", no_args_is_help=True)


@app.command()
def prepare(
    corpus: Annotated[str, typer.Argument(help="tsv, fsdd, fsdd-strings, so762, kaldi or lhotse:NAME.")],
    source: Annotated[Path, typer.Argument(metavar="SRC", help="Folder or file the corpus lies in.")],
    out: Out,
    max_bad: Annotated[
        str, typer.Option(help="Skip up to so many unusable items: a count or a share (1%).")
    ] = "0",
    num_jobs: NumJobs = 1,
    overrides: Set = [],  # noqa: B006
    show_config: ShowConfig = False,
    force: Force = False,
) -> None:
    """Read a corpus and write recordings, supervisions and cuts (.jsonl.gz) into the folder --out."""
    from speechkit.config import show_config as describe
    from speechkit.data.config import PrepareConfig
    from speechkit.data.prepare import corpus_options, prepare_corpus

    options = corpus_options(corpus, overrides)
    if show_config:
        print(describe(options), end="")
        return
    config = PrepareConfig(corpus=corpus, source=str(source.resolve()), max_bad=max_bad, options=options)
    prepare_corpus(config, out, num_jobs=num_jobs, force=force)
