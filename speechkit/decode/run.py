"""`speechkit decode`: a manifest and a trained model in, `hyp.jsonl` out."""

from __future__ import annotations

import time
from pathlib import Path

import orjson
import torch

from speechkit import log
from speechkit.artifact import make_artifact, write_json
from speechkit.data.batch import BatchMaker, utterances_of
from speechkit.data.overlap import overlap_with_training
from speechkit.data.store import CUTS_FILE, load_cuts
from speechkit.decode.config import DecodeConfig
from speechkit.decode.search import choose_search, decode_utterances
from speechkit.models.converged import check_converged
from speechkit.models.table import check_device, load_trained

HYP_FILE = "hyp.jsonl"


def run(
    config: DecodeConfig,
    *,
    cuts: Path,
    exp: Path,
    out: Path,
    require_converged: bool = False,
    force: bool = False,
    json_file: Path | None = None,
) -> None:
    """Write `out/hyp.jsonl`: one line per utterance with `id`, `text`, `log_prob` of the best path and `frames`.

    Raises:
        CheckFailed: `require_converged`, and the model has not.
    """
    check_device(config.device)
    if require_converged:
        check_converged(exp)
    trained = load_trained(exp)
    choose_search(trained.model, config)  # a wrong choice is told before any work
    summary: dict[str, object] = {}

    def build(folder: Path) -> None:
        torch.set_num_threads(config.threads)
        device = torch.device(config.device)
        evaluation = load_cuts(cuts)
        summary["train_overlap"] = overlap_with_training(evaluation, exp)
        utterances = utterances_of(evaluation, trained.features)
        start = time.process_time()
        maker = BatchMaker(trained.tokenizer, trained.features)
        hypotheses = decode_utterances(trained.model.to(device), utterances, maker, config, device)
        cpu = time.process_time() - start
        seconds = sum(utt.duration_seconds for utt in utterances)
        with (folder / HYP_FILE).open("wb") as stream:
            for hyp in hypotheses:
                line = {
                    "id": hyp.utt_id,
                    "text": hyp.text,
                    "log_prob": round(hyp.log_prob, 4),
                    "frames": hyp.num_frames,
                }
                stream.write(orjson.dumps(line) + b"\n")
        empty = sum(not hyp.text for hyp in hypotheses)
        cut = sum(hyp.is_cut for hyp in hypotheses)
        summary.update(
            num_utterances=len(hypotheses),
            num_empty=empty,
            num_cut=cut,
            audio_seconds=round(seconds, 2),
            cpu_seconds=round(cpu, 2),
        )
        write_json(folder / "summary.json", summary)
        log.info(
            f"{len(hypotheses)} utterances, {empty} empty hypotheses, {cut} cut short, "
            f"{seconds / max(cpu, 1e-9):.0f} audio s/CPU s"
        )

    manifest = cuts / CUTS_FILE if cuts.is_dir() else cuts
    make_artifact(out, command="decode", config=config, inputs={"cuts": manifest, "exp": exp}, build=build, force=force)
    if json_file is not None:
        write_json(json_file, orjson.loads((out / "summary.json").read_bytes()))
