"""`speechkit units`: discrete units of speech."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from speechkit.cli.options import Force, Json, Merge, NumJobs, Out, Seed, Set, ShardOption, ShowConfig
from speechkit.units.config_kinds import FeatureKind

app = typer.Typer(
    name="units", help="Discrete units of speech: codebooks, encoding, what they are worth.", no_args_is_help=True
)

Kind = Annotated[
    FeatureKind | None, typer.Option("--features", help="logmel, mfcc, ssl (torchaudio) or hf (a local folder).")
]
Model = Annotated[
    str | None,
    typer.Option("--model", help="Weights of a neural model, if no longer where they lay; must be the same."),
]


def _with_kind(kind: str | None, overrides: list[str]) -> list[str]:
    """The options as overrides; the kind goes first, its own keys follow."""
    return [*([] if kind is None else [f"features={{kind: {kind}}}"]), *overrides]


@app.command()
def kmeans(
    cuts: Annotated[Path, typer.Argument(metavar="CUTS", help="Manifest to learn units from; needs no transcripts.")],
    out: Out,
    k: Annotated[int | None, typer.Option("--k", min=2, help="Number of units; 100 without it.")] = None,
    features: Kind = None,
    seed: Seed = 0,
    num_jobs: NumJobs = 1,
    overrides: Set = [],  # noqa: B006
    show_config: ShowConfig = False,
    force: Force = False,
) -> None:
    """Cluster frames into units: OUT/codebook.safetensors and OUT/codebook.json.

    Frames are kept on disk while centres move, so corpora may be larger than memory; an interrupted run goes on.

    Example: speechkit units kmeans data/train --features mfcc --k 100 --out exp/units
    """
    from speechkit.config import load_config
    from speechkit.config import show_config as describe
    from speechkit.units.config import KmeansConfig

    given = [f"seed={seed}", *([] if k is None else [f"k={k}"])]
    config = load_config(KmeansConfig, None, _with_kind(features or "mfcc", [*given, *overrides]))
    if show_config:
        print(describe(config), end="")
        return
    from speechkit.units.train import run

    run(config, cuts=cuts, out=out, num_jobs=num_jobs, force=force)


@app.command()
def quantize(
    cuts: Annotated[Path, typer.Argument(metavar="CUTS", help="Manifest to encode; needs no transcripts.")],
    codebook: Annotated[Path, typer.Option("--codebook", help="Folder made by `units kmeans` or `units import`.")],
    out: Out,
    dedup: Annotated[
        bool, typer.Option("--dedup/--no-dedup", help="Runs of equal units become one unit with its length.")
    ] = True,
    bpe_size: Annotated[
        int | None, typer.Option("--bpe-size", min=3, help="Also train unit BPE with so many tokens: OUT/bpe.")
    ] = None,
    bpe: Annotated[
        Path | None, typer.Option("--bpe", metavar="DIR", help="Also use the BPE of an earlier OUT/bpe.")
    ] = None,
    model: Model = None,
    device: Annotated[str, typer.Option("--device", help="Where a neural model runs: cpu or cuda.")] = "cpu",
    num_jobs: NumJobs = 1,
    shard: ShardOption = None,
    merge: Merge = None,
    force: Force = False,
) -> None:
    """Turn audio into units: OUT/units.jsonl has `id`, `units`, `runs` and frames per second of each utterance.

    Example: speechkit units quantize data/test --codebook exp/units --out exp/test-units
    """
    from speechkit.config import build_config
    from speechkit.units.config import QuantizeConfig

    config = build_config(QuantizeConfig, {"dedup": dedup, "bpe_size": bpe_size, "model": model, "device": device})
    from speechkit.jobs.shard import parse_sharing
    from speechkit.units.quantize import run

    sharing = parse_sharing(shard, merge)
    run(config, cuts=cuts, codebook=codebook, out=out, bpe=bpe, num_jobs=num_jobs, sharing=sharing, force=force)


@app.command()
def stats(
    units: Annotated[Path, typer.Argument(metavar="UNITS", help="Folder made by `units quantize`.")],
    cuts: Annotated[Path | None, typer.Option("--cuts", metavar="CUTS", help="The manifest that was encoded.")] = None,
    against: Annotated[
        str,
        typer.Option("--against", metavar="NAME,...", help="Tiers (word, phone) or fields (speaker, text) of CUTS."),
    ] = "",
    invariance: Annotated[
        int,
        typer.Option("--invariance", metavar="N", min=0, help="Change the audio of N utterances and compare units."),
    ] = 0,
    codebook: Annotated[
        Path | None, typer.Option("--codebook", help="What the units are of; for --invariance.")
    ] = None,
    model: Model = None,
    overrides: Set = [],  # noqa: B006
    json_file: Json = None,
) -> None:
    """Codes used, bits per second, run lengths; purity and mutual information; what noise, speed and level change.

    Example: speechkit units stats exp/test-units --cuts data/test --against text,speaker
    """
    from speechkit.artifact import check_writable, write_json
    from speechkit.config import load_config
    from speechkit.units.config import InvarianceConfig
    from speechkit.units.stats_run import run, table

    check_writable(json_file)
    changes = load_config(InvarianceConfig, None, [*([f"num_utterances={invariance}"] * bool(invariance)), *overrides])
    result: dict[str, Any] = run(
        units,
        cuts=cuts,
        against=[name.strip() for name in against.split(",") if name.strip()],
        codebook=codebook,
        model=model,
        invariance=changes if invariance else None,
    )
    print(table(result))
    if json_file is not None:
        write_json(json_file, result)


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="npy, npz, safetensors, or k-means of scikit-learn.")],
    out: Out,
    features: Kind = None,
    array: Annotated[str | None, typer.Option("--array", metavar="NAME", help="Which array holds the centres.")] = None,
    overrides: Set = [],  # noqa: B006
    show_config: ShowConfig = False,
    force: Force = False,
) -> None:
    """Make a codebook of centres from elsewhere, such as km.bin of GSLM; pickles are read without running them.

    Example: speechkit units import km.bin --features ssl --set features.checkpoint=hubert.pth --out exp/hubert100
    """
    from speechkit.config import load_config
    from speechkit.config import show_config as describe
    from speechkit.units.config import ImportConfig

    given = [] if array is None else [f"name={array}"]
    config = load_config(ImportConfig, None, _with_kind(features or "ssl", [*given, *overrides]))
    if show_config:
        print(describe(config), end="")
        return
    from speechkit.units.importers import run

    run(config, source, out=out, force=force)


@app.command("vocoder-train")
def vocoder_train(
    units: Annotated[Path, typer.Argument(metavar="UNITS", help="Folder made by `units quantize`, with run lengths.")],
    cuts: Annotated[Path, typer.Option("--cuts", metavar="CUTS", help="The manifest that was encoded.")],
    out: Out,
    num_jobs: NumJobs = 1,
    overrides: Set = [],  # noqa: B006
    show_config: ShowConfig = False,
    force: Force = False,
) -> None:
    """Train a small vocoder on a corpus and its units: units to log-mel bands, bands to audio by Griffin-Lim.

    It also learns how long units last, for units without run lengths. Utterances kept back measure the result.

    Example: speechkit units vocoder-train exp/train-units --cuts data/train --out exp/vocoder
    """
    from speechkit.config import load_config
    from speechkit.config import show_config as describe
    from speechkit.train.config_vocoder import VocoderConfig

    config = load_config(VocoderConfig, None, overrides)
    if show_config:
        print(describe(config), end="")
        return
    from speechkit.train.vocoder import run

    run(config, units=units, cuts=cuts, out=out, num_jobs=num_jobs, force=force)


@app.command("vocoder-import")
def vocoder_import(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="FILE", help="Checkpoint of a unit HiFi-GAN, such as g_00500000.")
    ],
    config: Annotated[Path, typer.Option("--config", metavar="FILE", help="The config.json that goes with it.")],
    out: Out,
    force: Force = False,
) -> None:
    """Make a vocoder of a unit HiFi-GAN trained elsewhere; nothing that the checkpoint names is run.

    Example: speechkit units vocoder-import g_00500000 --config config.json --out exp/hifigan
    """
    from speechkit.units.resynth import import_hifigan

    import_hifigan(checkpoint, config, out=out, force=force)


@app.command()
def resynth(
    units: Annotated[
        Path, typer.Argument(metavar="UNITS", help="Folder made by `units quantize` or `prompt generate`.")
    ],
    vocoder: Annotated[
        Path, typer.Option("--vocoder", metavar="DIR", help="Made by `units vocoder-train` or `vocoder-import`.")
    ],
    out: Out,
    cuts: Annotated[
        Path | None, typer.Option("--cuts", metavar="CUTS", help="Take texts and speakers of these ids over.")
    ] = None,
    speaker: Annotated[str | None, typer.Option("--speaker", help="Voice that the vocoder knows.")] = None,
    durations: Annotated[
        Literal["given", "predicted"],
        typer.Option("--durations", help="Run lengths: those given, or those that the vocoder predicts."),
    ] = "given",
    iterations: Annotated[int, typer.Option("--iterations", min=1, help="Of Griffin-Lim.")] = 32,
    device: Annotated[str, typer.Option("--device", help="Where the network runs: cpu or cuda.")] = "cpu",
    seed: Seed = 0,
    num_jobs: NumJobs = 1,
    force: Force = False,
) -> None:
    """Turn units into audio: OUT/audio and a manifest that other commands can read.

    Example: speechkit units resynth exp/test-units --vocoder exp/vocoder --cuts data/test --out exp/spoken
    """
    from speechkit.config import build_config
    from speechkit.units.config_vocoder import ResynthConfig

    options = {"speaker": speaker, "durations": durations, "iterations": iterations, "device": device, "seed": seed}
    config = build_config(ResynthConfig, options)
    from speechkit.units.resynth import run

    run(config, units=units, vocoder=vocoder, out=out, cuts=cuts, num_jobs=num_jobs, force=force)
