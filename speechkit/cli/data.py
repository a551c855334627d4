"""`speechkit data`: prepare corpora, make synthetic ones."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from speechkit.cli import convert, describe, split, validate
from speechkit.cli.options import Force, Merge, NumJobs, Out, Seed, Set, ShardOption, ShowConfig

app = typer.Typer(name="data", help="Prepare corpora and make synthetic ones.", no_args_is_help=True)
convert.register(app)
describe.register(app)
split.register(app)
validate.register(app)


@app.command()
def prepare(
    corpus: Annotated[
        str, typer.Argument(help="tsv, kaldi, lhotse:NAME, or a corpus by name: librispeech, torgo, ... (see README).")
    ],
    source: Annotated[Path, typer.Argument(metavar="SRC", help="Folder or file the corpus lies in.")],
    out: Out,
    download: Annotated[
        bool, typer.Option("--download", help="First fetch the corpus into SRC, where that is free.")
    ] = False,
    max_bad: Annotated[str, typer.Option(help="Skip up to so many unusable items: a count or a share (1%).")] = "0",
    num_jobs: NumJobs = 1,
    overrides: Set = [],  # noqa: B006
    show_config: ShowConfig = False,
    force: Force = False,
) -> None:
    """Read a corpus and write recordings, supervisions and cuts (.jsonl.gz) into the folder --out."""
    from speechkit.config import show_config as describe_config
    from speechkit.data.config import PrepareConfig
    from speechkit.data.prepare import corpus_name, corpus_options, prepare_corpus

    options = corpus_options(corpus, overrides)
    if show_config:
        print(describe_config(options), end="")
        return
    if download:
        from speechkit.data.download import download as fetch

        fetch(corpus_name(corpus), source)
    config = PrepareConfig(corpus=corpus, source=str(source.resolve()), max_bad=max_bad, options=options)
    prepare_corpus(config, out, num_jobs=num_jobs, force=force)


@app.command()
def synth(
    out: Out,
    speakers: Annotated[int, typer.Option(min=1, help="Speakers, each with a voice of their own.")],
    texts: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Texts: one sentence per line, or a cuts manifest.")
    ] = None,
    sentences: Annotated[
        int | None, typer.Option(min=1, help="So many sentences of 49 words; the first 20 hold all words.")
    ] = None,
    digits: Annotated[
        str | None, typer.Option(metavar="MIN:MAX", help="Random digit strings of so many digits as texts.")
    ] = None,
    digit_strings: Annotated[int, typer.Option(min=1, help="Number of different digit strings.")] = 200,
    exclude: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Sentences never to be made, in the forms of --texts.")
    ] = None,
    sentences_per_speaker: Annotated[
        int | None, typer.Option(min=1, help="Each speaker says a draw of so many texts instead of all.")
    ] = None,
    repeat: Annotated[int, typer.Option(min=1, help="Takes of each text by each speaker.")] = 1,
    seed: Seed = 0,
    voice_set: Annotated[str, typer.Option(help="train, dev, test (no voice variant in common) or all.")] = "all",
    accents: Annotated[
        str | None, typer.Option(help="Base voices separated by commas, for example en-us,en-gb-scotland.")
    ] = None,
    prefix: Annotated[str, typer.Option(help="Speaker ids are PREFIX0000, PREFIX0001, ...")] = "spk",
    sampling_rate: Annotated[int, typer.Option(help="Hz.")] = 16000,
    rate: Annotated[str, typer.Option(metavar="MIN:MAX", help="Words per minute.")] = "120:220",
    pitch: Annotated[str, typer.Option(metavar="MIN:MAX", help="0 to 99; children about 70:99.")] = "20:80",
    pitch_range: Annotated[str, typer.Option(metavar="MIN:MAX", help="0 to 99, liveliness.")] = "30:70",
    formant: Annotated[
        str, typer.Option(metavar="MIN:MAX", help="Vocal-tract scaling of all frequencies, for example 0.9:1.1.")
    ] = "1:1",
    word_gap_ms: Annotated[int, typer.Option(min=0, help="Pause between words.")] = 0,
    noise: Annotated[bool, typer.Option("--noise/--no-noise", help="Add 1/f^a noise.")] = False,
    snr: Annotated[str, typer.Option(metavar="MIN:MAX", help="dB, with --noise.")] = "15:30",
    reverb: Annotated[bool, typer.Option("--reverb/--no-reverb", help="Place the speakers in rooms.")] = False,
    rt60: Annotated[str, typer.Option(metavar="MIN:MAX", help="Reverberation time in s, with --reverb.")] = "0.1:0.5",
    num_jobs: NumJobs = 1,
    shard: ShardOption = None,
    merge: Merge = None,
    force: Force = False,
) -> None:
    """Make a corpus of synthetic speech with exact word times (espeak-ng) in the folder --out."""
    from speechkit.data.config_synth import synth_config
    from speechkit.data.synth import run

    config = synth_config(
        {
            "speakers": speakers,
            "sentences": sentences,
            "digits": digits,
            "digit_strings": digit_strings,
            "sentences_per_speaker": sentences_per_speaker,
            "repeat": repeat,
            "seed": seed,
            "voice_set": voice_set,
            "accents": accents,
            "prefix": prefix,
            "sampling_rate": sampling_rate,
            "rate": rate,
            "pitch": pitch,
            "pitch_range": pitch_range,
            "formant": formant,
            "word_gap_ms": word_gap_ms,
            "noise": noise,
            "snr_db": snr,
            "reverb": reverb,
            "rt60_seconds": rt60,
        }
    )
    from speechkit.jobs.shard import parse_sharing

    sharing = parse_sharing(shard, merge)
    run(config, out=out, texts=texts, exclude=exclude, num_jobs=num_jobs, force=force, sharing=sharing)
