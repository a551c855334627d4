"""`speechkit decode`: a manifest and a trained model in, `hyp.jsonl` out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import torch

from speechkit import log
from speechkit.artifact import make_artifact, write_json
from speechkit.data.batch import BatchMaker, utterances_of
from speechkit.data.overlap import overlap_with_training
from speechkit.data.store import CUTS_FILE, load_cuts
from speechkit.decode.config import DecodeConfig
from speechkit.decode.search import choose_search, decode_utterances
from speechkit.jobs.shard import Shard, Sharing, make_in_parts
from speechkit.models.converged import check_converged
from speechkit.models.table import Trained, check_device, load_trained

HYP_FILE, SUMMARY_FILE = "hyp.jsonl", "summary.json"
_SUMMED = ("num_utterances", "num_empty", "num_cut", "audio_seconds", "cpu_seconds")


@dataclass(frozen=True)
class _Part:
    """What is decoded, and how it is written."""

    config: DecodeConfig
    trained: Trained
    cuts: Path
    exp: Path

    def write(self, folder: Path, shard: Shard | None) -> None:
        """Decode all, or the batches of a shard."""
        torch.set_num_threads(self.config.threads)
        device = torch.device(self.config.device)
        evaluation = load_cuts(self.cuts)
        utterances = utterances_of(evaluation, self.trained.features)
        overlap = overlap_with_training(evaluation, self.exp)
        start = time.process_time()
        maker = BatchMaker(self.trained.tokenizer, self.trained.features)
        model = self.trained.model.to(device)
        hypotheses = decode_utterances(model, utterances, maker, self.config, device, shard=shard)
        cpu = time.process_time() - start
        done = {hyp.utt_id for hyp in hypotheses}
        with (folder / HYP_FILE).open("wb") as stream:
            for hyp in hypotheses:
                line = {
                    "id": hyp.utt_id,
                    "text": hyp.text,
                    "log_prob": round(hyp.log_prob, 4),
                    "frames": hyp.num_frames,
                }
                stream.write(orjson.dumps(line) + b"\n")
        summary = {
            "train_overlap": overlap,
            "num_utterances": len(hypotheses),
            "num_empty": sum(not hyp.text for hyp in hypotheses),
            "num_cut": sum(hyp.is_cut for hyp in hypotheses),
            "audio_seconds": round(sum(utt.duration_seconds for utt in utterances if utt.utt_id in done), 2),
            "cpu_seconds": round(cpu, 2),
        }
        self._tell(folder, summary)

    def write_whole(self, folder: Path, parts: list[Path]) -> None:
        """Decode all, or put together what the parts hold."""
        if not parts:
            self.write(folder, None)
            return
        found = [line for part in parts for line in (part / HYP_FILE).read_bytes().splitlines(keepends=True)]
        lines = {orjson.loads(line)["id"]: line for line in found}
        (folder / HYP_FILE).write_bytes(b"".join(lines[cut.id] for cut in load_cuts(self.cuts)))
        summaries = [orjson.loads((part / SUMMARY_FILE).read_bytes()) for part in parts]
        sums = {name: round(sum(summary[name] for summary in summaries), 2) for name in _SUMMED}
        self._tell(folder, {"train_overlap": summaries[0]["train_overlap"], **sums})

    def _tell(self, folder: Path, summary: dict[str, Any]) -> None:
        write_json(folder / SUMMARY_FILE, summary)
        log.info(
            f"{summary['num_utterances']} utterances, {summary['num_empty']} empty hypotheses, "
            f"{summary['num_cut']} cut short, "
            f"{summary['audio_seconds'] / max(summary['cpu_seconds'], 1e-9):.0f} audio s/CPU s"
        )


def run(
    config: DecodeConfig,
    *,
    cuts: Path,
    exp: Path,
    out: Path,
    require_converged: bool = False,
    force: bool = False,
    json_file: Path | None = None,
    sharing: Sharing | None = None,
) -> Path:
    """Write `out/hyp.jsonl`: one line per utterance with `id`, `text`, `log_prob` of the best path and `frames`.

    Returns:
        The file, of the whole or of a part.
    Raises:
        CheckFailed: `require_converged`, and the model has not.
    """
    check_device(config.device)
    if require_converged:
        check_converged(exp)
    trained = load_trained(exp)
    choose_search(trained.model, config)  # a wrong choice is told before any work
    part = _Part(config, trained, cuts, exp)
    manifest = cuts / CUTS_FILE if cuts.is_dir() else cuts

    def make(folder: Path, suffix: str, build: Callable[[Path], None]) -> bool:
        command, inputs = f"decode{suffix}", {"cuts": manifest, "exp": exp}
        return make_artifact(folder, command=command, config=config, inputs=inputs, build=build, force=force)

    sharing = sharing or Sharing()
    folder, _ = make_in_parts(out, sharing, make=make, build_part=part.write, build=part.write_whole)
    if json_file is not None:
        write_json(json_file, orjson.loads((folder / SUMMARY_FILE).read_bytes()))
    return folder / HYP_FILE
