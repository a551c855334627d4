"""From plans to files: `speechkit cutpaste render`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from speechkit import log
from speechkit.artifact import make_artifact, write_json
from speechkit.audio.io import write_flac
from speechkit.cutpaste.config import RenderConfig
from speechkit.cutpaste.plan_file import Plan, Planned, join_places, load_plan
from speechkit.cutpaste.renderer import Renderer, load_pool
from speechkit.data.prepare import bad_count_limit
from speechkit.data.store import Word, make_cut, save_manifests
from speechkit.errors import SpeechkitError
from speechkit.jobs.shard import Shard, Sharing, link_files, make_in_parts

if TYPE_CHECKING:
    from lhotse import MonoCut

SKIPPED_FILE = "skipped.tsv"
_PART_FILE = "part.json"
Done = Sequence[tuple[int, str | None]]  # places in the plan, and why there is no audio
_BLOCK_SAMPLES = 1 << 26  # recorded samples held by one job
_FILES_PER_FOLDER = 1000


def word_times(utterance: Planned, sampling_rate: int) -> list[Word]:
    """Where each word lies in the rendered utterance; what was cut off of a word does not count."""
    times = []
    position = utterance.lead
    symbols = iter(utterance.text.split())
    for piece, pause in zip(utterance.pieces, (*utterance.pauses, 0), strict=True):
        for start, end in piece.marks:
            first = position + min(max(start, piece.start), piece.end) - piece.start
            last = position + min(max(end, piece.start), piece.end) - piece.start
            times.append(Word(next(symbols), first / sampling_rate, (last - first) / sampling_rate))
        position += piece.end - piece.start + pause
    return times


def run_render(
    config: RenderConfig,
    *,
    plan: Path,
    out: Path,
    num_jobs: int = 1,
    force: bool = False,
    sharing: Sharing | None = None,
) -> None:
    """Render a plan into FLAC files and manifests; prints one summary line.

    Raises:
        SpeechkitError: the plan is damaged, or more utterances than `max_bad` need audio that is not usable.
    """
    loaded = load_plan(plan)
    bad_count_limit(config.max_bad, 0)  # a wrong value shows before the work
    audio = [Path(source.audio) for source in loaded.sources]

    def make(folder: Path, suffix: str, build: Callable[[Path], None]) -> bool:
        return make_artifact(
            folder, command=f"cutpaste render{suffix}", config=config, inputs={"plan": plan}, audio=audio, force=force,
            build=build,
        )  # fmt: skip

    def build_part(folder: Path, shard: Shard) -> None:
        write_json(folder / _PART_FILE, _render_blocks(loaded, folder, num_jobs=num_jobs, shard=shard))

    def build(folder: Path, parts: list[Path]) -> None:
        done = [tuple(item) for part in parts for item in json.loads((part / _PART_FILE).read_bytes())]
        for part in parts:
            link_files(part / "audio", folder / "audio")
        _write(
            config, loaded, folder, out=out, done=done if parts else _render_blocks(loaded, folder, num_jobs=num_jobs)
        )

    folder, made = make_in_parts(out, sharing or Sharing(), make=make, build_part=build_part, build=build)
    if made:
        print(f"{out}: {_result(loaded, out)}" if folder == out else folder)


def _render_blocks(plan: Plan, folder: Path, *, num_jobs: int, shard: Shard | None = None) -> Done:
    """Write audio, of all utterances or of a shard; for each its place in the plan, and why it has none."""
    blocks: Sequence[list[int]] = make_blocks(plan)
    blocks = blocks if shard is None else shard.take(blocks)
    for start in range(0, len(plan.utterances), _FILES_PER_FOLDER):
        (folder / "audio" / f"{start // _FILES_PER_FOLDER:03d}").mkdir(parents=True)
    # threads are enough: rendering and FLAC run outside the interpreter lock
    with ThreadPoolExecutor(num_jobs) as pool:
        jobs = pool.map(lambda block: _render_block(plan, block, folder), blocks)
        return [item for block in log.track(jobs, "pasting", unit="blocks", total=len(blocks)) for item in block]


def _write(config: RenderConfig, plan: Plan, folder: Path, *, out: Path, done: Done) -> None:
    """Write the manifests of utterances whose audio is there."""
    done = sorted(done)
    cuts = [_cut(plan, plan.utterances[index], _audio_name(plan, index)) for index, fault in done if fault is None]
    bad = [(plan.utterances[index].utt_id, fault) for index, fault in done if fault is not None]
    if not cuts or len(bad) > bad_count_limit(config.max_bad, len(done)):
        raise SpeechkitError(
            f"{len(bad)} of {len(done)} utterances need audio that is not usable",
            where=[f"{utt_id}  {reason}" for utt_id, reason in bad],
            hint=f"mend it, make inventory and plan again, or skip them with --max-bad {len(bad)}" if cuts else "",
        )
    if bad:
        lines = "".join(f"{utt_id}\t{reason}\n" for utt_id, reason in bad)
        (folder / SKIPPED_FILE).write_text(f"id\treason\n{lines}", encoding="utf-8")
        log.warn(f"{len(bad)} of {len(done)} utterances are skipped; reasons in {SKIPPED_FILE}")
    save_manifests(cuts, folder, final_folder=out)
    log.info(f"{len(cuts)} utterances, {sum(cut.duration for cut in cuts) / 3600:.2f} h, {len(bad)} skipped")


def _result(plan: Plan, out: Path) -> str:
    skipped = out / SKIPPED_FILE
    bad = {line.split("\t")[0] for line in skipped.read_text("utf-8").splitlines()[1:]} if skipped.is_file() else set()
    sizes = [utterance.num_samples for utterance in plan.utterances if utterance.utt_id not in bad]
    notes = f", {len(bad)} skipped (see {skipped})" if bad else ""
    return f"{len(sizes)} utterances, {sum(sizes) / plan.sampling_rate / 3600:.2f} h{notes}"


def make_blocks(plan: Plan) -> list[list[int]]:
    """Utterances grouped so that those of one speaker, who share recordings, come together."""
    order = sorted(range(len(plan.utterances)), key=lambda index: (plan.utterances[index].speaker, index))
    blocks: list[list[int]] = []
    held: set[int] = set()
    speaker, load = "", _BLOCK_SAMPLES + 1
    for index in order:
        utterance = plan.utterances[index]
        new = {piece.source for piece in utterance.pieces} - held
        load += sum(plan.sources[number].num_samples for number in new)
        if load > _BLOCK_SAMPLES or utterance.speaker != speaker:
            blocks.append([])
            held = {piece.source for piece in utterance.pieces}
            speaker, load = utterance.speaker, sum(plan.sources[number].num_samples for number in held)
        held |= new
        blocks[-1].append(index)
    return blocks


def _audio_name(plan: Plan, index: int) -> Path:
    return Path("audio", f"{index // _FILES_PER_FOLDER:03d}", f"{plan.utterances[index].utt_id}.flac")


def _render_block(plan: Plan, block: Sequence[int], folder: Path) -> list[tuple[int, str | None]]:
    """Write the audio of some utterances; for each why there is none."""
    wanted = sorted({piece.source for index in block for piece in plan.utterances[index].pieces})
    pool = load_pool(plan.sources, wanted)
    results: list[tuple[int, str | None]] = []
    good = []
    for index in block:
        faults = [pool.faults[p.source] for p in plan.utterances[index].pieces if p.source in pool.faults]
        if faults:
            results.append((index, "; ".join(dict.fromkeys(faults))))
        else:
            good.append(index)
    renderer = Renderer(plan, [plan.utterances[index] for index in good], pool)
    for number, index in enumerate(good):
        samples = renderer(number)
        write_flac(folder.resolve() / _audio_name(plan, index), samples, plan.sampling_rate)
        results.append((index, None))
    return results


def _cut(plan: Plan, utterance: Planned, audio: Path) -> MonoCut:
    rate = plan.sampling_rate
    sources = list(dict.fromkeys(plan.sources[piece.source].utt_id for piece in utterance.pieces))
    joins = [round(place / rate, 8) for place in join_places(utterance)]
    return make_cut(
        utterance.utt_id, audio, sampling_rate=rate, num_samples=utterance.num_samples, text=utterance.text,
        speaker=utterance.speaker, tiers={"word": word_times(utterance, rate)},
        custom={"cutpaste": {"sources": sources, "joins": joins}},
    )  # fmt: skip
