"""`speechkit score`: word error rate and its relatives."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from speechkit.cli import options
from speechkit.cli.options import AllowOverlap, Json, NumJobs, Seed
from speechkit.config import build_config
from speechkit.errors import ConfigError
from speechkit.score.config import CompareConfig, MultiConfig, WerConfig

app = typer.Typer(name="score", help="Word error rate and its relatives.", no_args_is_help=True)

_FORMATS = "auto, text, trn, jsonl, cuts, lines, stm or ctm"
Ties = Annotated[str, typer.Option(help="Rule among equally good alignments: kaldi, rapidfuzz or sclite.")]
Format = Annotated[str, typer.Option(help=_FORMATS)]
Rules = Annotated[Path | None, typer.Option(metavar="FILE", help="Rules `from => to` or a GLM, applied to both sides.")]
Case = Annotated[str, typer.Option(help="Make letters small: keep, ascii or unicode.")]
Marks = Annotated[
    str, typer.Option(help="nist: alternatives { a / b }, @ and tags; none; auto: nist for STM, CTM, rules with {}.")
]
Unit = Annotated[
    str, typer.Option(help="What is counted: word, char (no spaces), or mixed (ASCII words, other characters).")
]
Fragments = Annotated[bool, typer.Option("--fragments", help="nist: `part-` matches a whole word.")]
OptionalWords = Annotated[bool, typer.Option("--optional-words", help="nist: (word) may be left out.")]
Compounds = Annotated[bool, typer.Option("--compounds", help="`car port` for `carport` is no error.")]
Level = Annotated[float, typer.Option(min=0.5, max=0.9999, help="Level of the bootstrap intervals.")]
Replicates = Annotated[int, typer.Option(min=100, max=10_000_000, help="Bootstrap samples.")]


@app.command()
def wer(
    ref: Annotated[
        Path, typer.Argument(help="Kaldi text, .trn, JSONL with id and text, cuts, an artifact folder, .stm or .ctm.")
    ],
    hyp: Annotated[Path, typer.Argument(help="The same formats, joined with REF by id; .ctm for .stm and .ctm.")],
    train_text: Annotated[
        Path | None,
        typer.Option(help="Texts of the training set (cuts, JSONL, Kaldi text, or .txt with one sentence a line)."),
    ] = None,
    by: Annotated[
        str, typer.Option(metavar="FIELD,...", help="Group by fields of the cuts or JSONL, or by `prefix` of the ids.")
    ] = "",
    missing: Annotated[str, typer.Option(help="No hypothesis: error, delete (count deletions) or skip.")] = "error",
    ties: Ties = "kaldi",
    ci: Level = 0.95,
    replicates: Replicates = 1000,
    ref_format: Format = "auto",
    hyp_format: Format = "auto",
    json: Json = None,
    align: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write every alignment; .jsonl for machines, else text.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="One page: sortable utterances, alignments, plots, players.")
    ] = None,
    audio: Annotated[
        Path | None,
        typer.Option(metavar="CUTS", help="With --html: cuts with the ids of REF; default: REF if it is cuts."),
    ] = None,
    fail_above: Annotated[float | None, options.fail_above("WER", "Exit 3 above this word error rate.")] = None,
    normalize: Rules = None,
    case: Case = "keep",
    markup: Marks = "auto",
    unit: Unit = "word",
    by_time: Annotated[bool, typer.Option("--by-time", help="CTM against CTM: align by the words' times.")] = False,
    fragments: Fragments = False,
    optional_words: OptionalWords = False,
    compounds: Compounds = False,
    words: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Words of interest: their WER and that of all others.")
    ] = None,
    nbest: Annotated[Path | None, typer.Option(metavar="FILE", help="JSONL with id and nbest: oracle WER.")] = None,
    lists: Annotated[int, typer.Option(metavar="N", min=0, help="Print the N most frequent errors of each kind.")] = 0,
    allow_overlap: AllowOverlap = False,
    nj: NumJobs = 1,
    seed: Seed = 0,
) -> None:
    """Word and character error rates with intervals, on all, seen and unseen texts, and by group."""
    from speechkit.artifact import write_json
    from speechkit.score import report

    if audio is not None and html is None:
        raise ConfigError("--audio is for the players of a page", expected="--html FILE")
    config = build_config(
        WerConfig,
        {
            "ties": ties,
            "missing": missing,
            "by": tuple(filter(None, by.split(","))),
            "ci_level": ci,
            "num_replicates": replicates,
            "seed": seed,
            "ref_format": ref_format,
            "hyp_format": hyp_format,
            "train_text": train_text,
            "allow_overlap": allow_overlap,
            "normalize": normalize,
            "case": case,
            "markup": markup,
            "unit": unit,
            "by_time": by_time,
            "fragments": fragments,
            "optional": optional_words,
            "compounds": compounds,
            "words": words,
            "nbest": nbest,
        },
    )
    scored, result = report.report(ref, hyp, config, num_threads=nj)
    if json is not None:  # files come first: a closed pipe ends the command at the first print
        write_json(json, result)
    if align is not None:
        report.write_alignment(align, scored)
    if html is not None:
        from speechkit.score.page import write_page

        write_page(html, scored, result, audio=audio)
    print(report.table(result))
    if lists:
        print(report.lists_table(result, lists))
    report.check_limit(result, fail_above)


@app.command()
def compare(
    ref: Annotated[Path, typer.Argument(help="Reference, as for `score wer`.")],
    hyps: Annotated[list[Path], typer.Argument(metavar="HYP_A HYP_B ...", help="Two or more systems on the same ids.")],
    test: Annotated[
        str, typer.Option(metavar="TEST,...", help="mapsswe, bootstrap, mcnemar, sign, wilcoxon; default all.")
    ] = "",
    by: Annotated[
        str, typer.Option(metavar="FIELD", help="Unit of the sign, Wilcoxon and second bootstrap test.")
    ] = "",
    ties: Ties = "kaldi",
    ci: Level = 0.95,
    replicates: Replicates = 10_000,
    alpha: Annotated[float, typer.Option(help="Corrected probabilities below it count as a difference.")] = 0.05,
    missing: Annotated[str, typer.Option(help="No hypothesis: error, or delete (count deletions).")] = "error",
    normalize: Rules = None,
    case: Case = "keep",
    markup: Marks = "auto",
    unit: Unit = "word",
    fragments: Fragments = False,
    optional_words: OptionalWords = False,
    compounds: Compounds = False,
    ref_format: Format = "auto",
    hyp_format: Format = "auto",
    allow_overlap: AllowOverlap = False,
    json: Json = None,
    seed: Seed = 0,
) -> None:
    """Paired significance tests of two or more systems, corrected for the number of comparisons."""
    from speechkit.artifact import write_json
    from speechkit.score import compare as comparison

    values: dict[str, object] = {"ties": ties, "by": by, "ci_level": ci, "num_replicates": replicates}
    values |= {"alpha": alpha, "seed": seed}
    values |= {"ref_format": ref_format, "hyp_format": hyp_format, "missing": missing, "normalize": normalize}
    values |= {"case": case, "markup": markup, "unit": unit, "fragments": fragments, "optional": optional_words}
    values |= {"compounds": compounds, "allow_overlap": allow_overlap}
    if test:
        values["tests"] = tuple(test.split(","))
    result = comparison.compare_files(ref, hyps, build_config(CompareConfig, values))
    if json is not None:
        write_json(json, result)
    print(comparison.table(result))


@app.command()
def multi(
    ref: Annotated[
        Path, typer.Argument(help="Turns of all speakers: .stm, SegLST (.json), the same as .jsonl, or .ctm.")
    ],
    hyp: Annotated[Path, typer.Argument(help="The same formats; speakers of HYP are output streams.")],
    metric: Annotated[
        str,
        typer.Option(
            metavar="METRIC,...", help="cpwer, orcwer, mimower, dicpwer, greedy-orcwer, tcpwer, tcorcwer, ..."
        ),
    ] = "cpwer",
    collar: Annotated[float, typer.Option(metavar="S", help="tc metrics: seconds a word may be off its time.")] = 5.0,
    missing: Annotated[str, typer.Option(help="No hypothesis: error, delete (count deletions) or skip.")] = "error",
    normalize: Rules = None,
    case: Case = "keep",
    ci: Level = 0.95,
    replicates: Replicates = 1000,
    json: Json = None,
    seed: Seed = 0,
) -> None:
    """Error rates of conversations with several speakers, by session; needs the extra meeteval."""
    from speechkit.artifact import write_json
    from speechkit.score.multi import score_multi, table

    values: dict[str, object] = {"metrics": tuple(filter(None, metric.split(","))), "collar_seconds": collar}
    values |= {"missing": missing, "normalize": normalize, "case": case, "ci_level": ci}
    values |= {"num_replicates": replicates, "seed": seed}
    result = score_multi(ref, hyp, build_config(MultiConfig, values))
    if json is not None:
        write_json(json, result)
    print(table(result))
