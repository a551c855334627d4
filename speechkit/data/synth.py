"""A corpus of synthetic speech with known word times: many voices say texts from a file, a grammar or digits.

Output: `audio/<speaker>/<utt>.flac`, recordings, supervisions and cuts (with word and phone tiers), `texts.txt`,
`speakers.json` and `synth.json`. The bytes depend on config, texts and engine, never on the number of processes.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from pathlib import Path

from lhotse import MonoCut

from speechkit import log
from speechkit.artifact import make_artifact, write_json
from speechkit.data import espeak
from speechkit.data.config_synth import SynthConfig
from speechkit.data.sentences import make_digit_strings, make_sentences, read_sentences
from speechkit.data.store import Word, make_cut, save_manifests
from speechkit.data.synth_render import Order, Rendered, read_rendered, render_orders
from speechkit.data.voices import Speaker, draw_speakers
from speechkit.errors import ConfigError, SpeechkitError
from speechkit.jobs.shard import Shard, Sharing, link_files, make_in_parts
from speechkit.rng import rng

_ORDERS_PER_JOB = 20
_PART_FILE = "part.json"


def run(
    config: SynthConfig,
    *,
    out: Path,
    texts: Path | None = None,
    exclude: Path | None = None,
    num_jobs: int = 1,
    force: bool = False,
    sharing: Sharing | None = None,
) -> Path:
    """Make the corpus in the folder `out`, or a part of it beside; where it lies.

    Args:
        texts: sentences to say: a text file or a cuts manifest; instead of config.sentences or config.digits.
        exclude: sentences never to be said, in the same forms.
    Raises:
        ConfigError: not exactly one source of texts, more speakers than voices, or no engine.
        SpeechkitError: bad texts, or none left.
    """
    if (texts is not None) + (config.sentences is not None) + (config.digits is not None) != 1:
        raise ConfigError(
            "not exactly one source of texts is given", expected="one of --texts FILE, --sentences M, --digits MIN:MAX"
        )
    espeak.engine_files()
    speakers = draw_speakers(config)
    sentences = _sentences(config, texts, exclude)
    inputs = {role: path for role, path in (("texts", texts), ("exclude", exclude)) if path is not None}

    def make(folder: Path, suffix: str, build: Callable[[Path], None]) -> bool:
        return make_artifact(
            folder, command=f"data synth{suffix}", config=config, inputs=inputs, build=build, force=force
        )

    orders = make_orders(config, speakers, sentences)

    def build_part(folder: Path, shard: Shard) -> None:
        items = _speak(shard.take(orders), config, folder, num_jobs=num_jobs)
        write_json(folder / _PART_FILE, [asdict(item) for item in items])

    def build(folder: Path, parts: list[Path]) -> None:
        found = [item for part in parts for item in read_rendered(part / _PART_FILE)]
        for part in parts:
            link_files(part / "audio", folder / "audio")
        by_id = {item.utt_id: item for item in found}
        items = (
            [by_id[order.utt_id] for order in orders] if parts else _speak(orders, config, folder, num_jobs=num_jobs)
        )
        _write(folder, config, speakers=speakers, sentences=sentences, pairs=list(zip(orders, items, strict=True)))

    return make_in_parts(out, sharing or Sharing(), make=make, build_part=build_part, build=build)[0]


def _sentences(config: SynthConfig, texts: Path | None, exclude: Path | None) -> list[str]:
    never = set(read_sentences(exclude)) if exclude is not None else set()
    if config.sentences is not None:
        sentences = make_sentences(config.sentences, config.seed, exclude=never)
    elif config.digits is not None:
        sentences = make_digit_strings(config.digit_strings, config.digits, config.seed, exclude=never)
    else:
        sentences = _sentences_of_file(texts, never)
    if (config.sentences_per_speaker or 0) > len(sentences):
        raise ConfigError(
            f"{config.sentences_per_speaker} sentences per speaker, but only {len(sentences)} different texts",
            hint="lower --sentences-per-speaker, or give more texts",
        )
    return sentences


def _sentences_of_file(texts: Path | None, never: Collection[str]) -> list[str]:
    if texts is None:
        return []
    found = read_sentences(texts)
    sentences = [text for text in found if text not in never]
    if len(sentences) < len(found):
        log.info(f"{len(found) - len(sentences)} of {len(found)} texts are excluded")
    if not sentences:
        raise SpeechkitError(f"no text of `{texts}` is left after --exclude", expected="at least one other text")
    return sentences


def make_orders(config: SynthConfig, speakers: Sequence[Speaker], sentences: Sequence[str]) -> list[Order]:
    """The utterances to make, speaker by speaker; `spk0007-s0012` says sentence 12, `-r1` is its second take."""
    orders = []
    for speaker in speakers:
        chosen: Sequence[int] = range(len(sentences))
        if config.sentences_per_speaker is not None:
            gen = rng(config.seed, "texts", speaker.speaker_id)
            chosen = sorted(gen.choice(len(sentences), config.sentences_per_speaker, replace=False).tolist())
        for index in chosen:
            for take in range(config.repeat):
                utt_id = f"{speaker.speaker_id}-s{index:04d}" + (f"-r{take}" if take else "")
                orders.append(Order(utt_id, sentences[index], speaker, take))
    return orders


def _speak(orders: Sequence[Order], config: SynthConfig, folder: Path, *, num_jobs: int) -> list[Rendered]:
    """Write the audio of some utterances below `folder/audio`."""
    audio = folder.resolve() / "audio"
    audio.mkdir()
    return list(log.track(_render(orders, config, audio, num_jobs=num_jobs), "speaking", total=len(orders)))


def _write(
    folder: Path, config: SynthConfig, *, speakers: Sequence[Speaker], sentences: Sequence[str],
    pairs: Sequence[tuple[Order, Rendered]],
) -> None:  # fmt: skip
    """Write everything but the audio."""
    cuts = [_cut(order, item, config.sampling_rate) for order, item in pairs if not item.fault]
    if not cuts:
        raise SpeechkitError(
            "no utterance has exact word times",
            where=[f"{item.utt_id}  {item.fault}" for _, item in pairs],
            hint="try other texts, with single words that are in a dictionary",
        )
    save_manifests(cuts, folder)
    said = {order.text for order, item in pairs if not item.fault}
    lines = [text for text in sentences if text in said]
    (folder / "texts.txt").write_text("".join(f"{text}\n" for text in lines), encoding="utf-8")
    write_json(folder / "speakers.json", [asdict(speaker) for speaker in speakers])
    summary = _summary(config, pairs)
    write_json(folder / "synth.json", {**summary, "engine": espeak.engine_identity()})
    seconds = sum(cut.duration for cut in cuts)
    log.info(
        f"{len(cuts)} utterances, {seconds / 60:.1f} min, {len(speakers)} speakers, {len(said)} texts; "
        f"{summary['num_rejected']} rejected, {summary['num_peak_limited']} turned down to avoid clipping"
    )
    if summary["num_rejected"]:
        log.warn(f"{summary['num_rejected']} utterances without exact word times are left out, listed in synth.json")


def _render(orders: Sequence[Order], config: SynthConfig, audio: Path, *, num_jobs: int) -> Iterator[Rendered]:
    batches = [orders[start : start + _ORDERS_PER_JOB] for start in range(0, len(orders), _ORDERS_PER_JOB)]
    if num_jobs == 1 or len(batches) == 1:
        for order in orders:
            yield from render_orders([order], config, audio)
        return
    # spawn: a fork would copy the threads and the memory of torch
    context = multiprocessing.get_context("spawn")
    try:
        # Ctrl-C reaches every process of the terminal; only this one is to act on it
        with ProcessPoolExecutor(
            min(num_jobs, len(batches)),
            mp_context=context,
            initializer=signal.signal,
            initargs=(signal.SIGINT, signal.SIG_IGN),
        ) as pool:
            count = len(batches)
            for batch in pool.map(render_orders, batches, [config] * count, [audio] * count):
                yield from batch
    except BrokenProcessPool:
        raise SpeechkitError(
            "a process that makes speech died", hint="use fewer with --nj if memory is short, and run it again"
        ) from None


def _cut(order: Order, item: Rendered, sampling_rate: int) -> MonoCut:
    tiers: dict[str, Sequence[Word]] = {
        name: [Word(symbol, start / sampling_rate, (end - start) / sampling_rate) for symbol, start, end in marks]
        for name, marks in (("word", item.words), ("phone", item.phones))
    }
    return make_cut(
        item.utt_id,
        Path("audio", order.speaker.speaker_id, f"{item.utt_id}.flac"),
        sampling_rate=sampling_rate,
        num_samples=item.num_samples,
        text=order.text,
        speaker=order.speaker.speaker_id,
        tiers=tiers,
        gender=order.speaker.gender,
        language="en",
        custom={"voice": order.speaker.voice, **dict(item.conditions)},
    )


def _summary(config: SynthConfig, pairs: Sequence[tuple[Order, Rendered]]) -> dict[str, object]:
    rejected = [(order, item) for order, item in pairs if item.fault]
    return {
        "seed": config.seed,
        "num_utterances": len(pairs) - len(rejected),
        "num_rejected": len(rejected),
        "num_pairs_divided": sum(item.num_divided for _, item in pairs),
        "num_peak_limited": sum(item.is_peak_limited for _, item in pairs),
        "reasons": dict(sorted(Counter(item.fault.partition(":")[0] for _, item in rejected).items())),
        "rejected": [{"id": item.utt_id, "text": order.text, "reason": item.fault} for order, item in rejected],
    }
