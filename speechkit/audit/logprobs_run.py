"""`speechkit audit logprobs`: what a model hears in utterances that it was not trained on; for the files see
`audit/logprobs.py`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

import numpy as np
import orjson
import torch
from numpy.typing import NDArray

from speechkit import log
from speechkit.align.config import CtcConfig
from speechkit.align.emissions import emission_seconds, emissions
from speechkit.artifact import make_artifact, write_json
from speechkit.audit.config_evidence import LogProbsConfig
from speechkit.audit.logprobs import INDEX_FILE, LEFT_OUT_FILE, LOG_PROBS_FILE, META_FILE, greedy_text, read_lines
from speechkit.data.batch import Utterance, utterances_of
from speechkit.data.prepare import bad_count_limit
from speechkit.data.store import audio_path, load_cuts
from speechkit.data.stream import manifest_path
from speechkit.errors import SpeechkitError, counted
from speechkit.fingerprint import fingerprint
from speechkit.models.table import TOKENIZER_FOLDER, Trained, check_device, load_trained

_HEADER_BYTES = 128  # of the .npy file: the number of frames is known, and written there, at the end
_LOWEST = float(np.finfo(np.float16).min)
_AHEAD = 4  # utterances per worker that are in memory at once


def run(config: LogProbsConfig, *, cuts: Path, exp: Path, out: Path, num_jobs: int = 1, force: bool = False) -> None:
    """Make the artifact `out` and print one summary line.

    Raises:
        SpeechkitError: the model has no CTC output; more utterances than `max_bad` can not be read: all are listed.
    """
    bad_count_limit(config.max_bad, 0)  # a wrong value shows before the work
    check_device(config.device)
    trained = load_trained(exp)
    if "ctc" not in trained.model.heads:  # type: ignore[operator]
        raise SpeechkitError(f"the model in `{exp}` has no CTC output")
    trained.model.to(config.device)
    manifest = manifest_path(cuts)
    found = list(load_cuts(manifest))
    utterances = utterances_of(found, trained.features)

    def build(folder: Path) -> None:
        torch.set_num_threads(1)
        _write(trained, utterances, config, folder, num_jobs=num_jobs)
        left_out = read_lines(folder / LEFT_OUT_FILE)
        _judge(left_out, len(utterances), config.max_bad)
        trained.tokenizer.save(folder / TOKENIZER_FOLDER)
        step, first = emission_seconds(trained)
        write_json(
            folder / META_FILE,
            {
                "cuts": str(manifest.absolute()),
                "exp": str(exp.absolute()),
                "exp_fingerprint": fingerprint(exp),
                "step_seconds": step,
                "first_seconds": first,
                "num_utterances": len(utterances) - len(left_out),
                "num_left_out": len(left_out),
            },
        )

    made = make_artifact(
        out,
        command="audit logprobs",
        config=config,
        inputs={"cuts": manifest, "exp": exp},
        build=build,
        audio=[audio_path(cut) for cut in found],
        force=force,
        resumable=True,
    )
    if made:
        meta = orjson.loads((out / META_FILE).read_bytes())
        left_out = f", {meta['num_left_out']} left out (see {out / LEFT_OUT_FILE})" if meta["num_left_out"] else ""
        print(f"{out}: {counted(meta['num_utterances'], 'utterance')}{left_out}")


def _write(
    trained: Trained, utterances: Sequence[Utterance], config: LogProbsConfig, folder: Path, *, num_jobs: int
) -> None:
    """Add what the folder lacks: frames first, then the line about them, so that a killed run can be continued."""
    (folder / TOKENIZER_FOLDER).mkdir(exist_ok=True)
    width = trained.tokenizer.num_tokens
    done, num_frames = _resume(folder, width)
    todo = [utt for utt in utterances if utt.utt_id not in done]
    if done:
        log.info(f"going on after {counted(len(done), 'utterance')} of an earlier run")
    settings = CtcConfig(
        chunk_seconds=config.chunk_seconds, context_seconds=config.context_seconds, device=config.device
    )
    with (
        (folder / LOG_PROBS_FILE).open("r+b") as data,
        (folder / INDEX_FILE).open("ab") as index,
        (folder / LEFT_OUT_FILE).open("ab") as left_out,
        ThreadPoolExecutor(num_jobs) as pool,
    ):
        data.seek(0, os.SEEK_END)
        heard = _in_order(pool, trained, todo, settings, ahead=_AHEAD * num_jobs)
        for utt, found in zip(todo, log.track(heard, "hearing", total=len(todo)), strict=True):
            if isinstance(found, str):
                _add_line(left_out, {"id": utt.utt_id, "reason": found})
                continue
            data.write(found.tobytes())
            data.flush()
            row = {
                "id": utt.utt_id,
                "start": num_frames,
                "frames": len(found),
                "seconds": round(utt.duration_seconds, 6),
                "hypothesis": greedy_text(found, trained.tokenizer),
            }
            _add_line(index, row)
            num_frames += len(found)
        data.seek(0)
        data.write(_header(num_frames, width))


def _in_order(
    pool: ThreadPoolExecutor, trained: Trained, utterances: Sequence[Utterance], config: CtcConfig, *, ahead: int
) -> Iterator[NDArray[np.float16] | str]:
    """Log-probs of each utterance, or why there are none; few are in memory at once."""

    def hear(utt: Utterance) -> NDArray[np.float16] | str:
        try:
            values_TV = emissions(trained, utt, config)
        except SpeechkitError as error:
            return error.what
        if not len(values_TV):
            return "it has no frames"
        if np.isnan(values_TV).any():
            return "the model's output is not a number"
        return values_TV.clip(_LOWEST, 0.0).astype(np.float16)

    for first in range(0, len(utterances), ahead):
        yield from pool.map(hear, utterances[first : first + ahead])


def _resume(folder: Path, width: int) -> tuple[set[str], int]:
    """Ids that are done and their frames; what a killed run left half-written is cut off."""
    data, index, left_out = (folder / name for name in (LOG_PROBS_FILE, INDEX_FILE, LEFT_OUT_FILE))
    for path in (data, index, left_out):
        path.touch()
    rows = []
    frame_bytes = 2 * width
    end = data.stat().st_size
    for path in (index, left_out):
        whole = path.read_bytes().rpartition(b"\n")
        os.truncate(path, len(whole[0]) + len(whole[1]))
    for row in read_lines(index):
        if _HEADER_BYTES + frame_bytes * (row["start"] + row["frames"]) > end:
            break
        rows.append(row)
    with index.open("wb") as stream:
        for row in rows:
            _add_line(stream, row)
    num_frames = rows[-1]["start"] + rows[-1]["frames"] if rows else 0
    os.truncate(data, _HEADER_BYTES + frame_bytes * num_frames)
    return {row["id"] for row in [*rows, *read_lines(left_out)]}, num_frames


def _header(num_frames: int, width: int) -> bytes:
    """Of a .npy file of format 1.0, which ends with a newline."""
    text = f"{{'descr': '<f2', 'fortran_order': False, 'shape': ({num_frames}, {width}), }}"
    start = b"\x93NUMPY\x01\x00" + (_HEADER_BYTES - 10).to_bytes(2, "little")
    return start + text.encode("ascii").ljust(_HEADER_BYTES - 11) + b"\n"


def _add_line(stream: IO[bytes], row: dict[str, Any]) -> None:
    stream.write(orjson.dumps(row) + b"\n")
    stream.flush()


def _judge(left_out: Sequence[dict[str, Any]], total: int, max_bad: str) -> None:
    if left_out and (len(left_out) > bad_count_limit(max_bad, total) or len(left_out) == total):
        raise SpeechkitError(
            f"{len(left_out)} of {counted(total, 'utterance')} can not be heard",
            where=[f"{row['id']}  {row['reason']}" for row in left_out],
            hint=f"mend them, or leave them out with --max-bad {len(left_out)}" if len(left_out) < total else "",
        )
    if left_out:
        log.warn(f"{len(left_out)} of {counted(total, 'utterance')} can not be heard: see {LEFT_OUT_FILE}")
