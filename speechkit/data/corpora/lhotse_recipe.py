"""Corpora `lhotse:NAME`: any of lhotse's own recipes, `lhotse.recipes.prepare_NAME(SRC)`.

The manifests of all splits are joined; the name of the split is the custom field `split`.
"""

from __future__ import annotations

import contextlib
import difflib
import inspect
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lhotse import MonoCut, Recording, SupervisionSegment
from lhotse.utils import fastcopy

from speechkit.data.config import LhotseConfig
from speechkit.data.corpora.items import BadItem, Prepared, repeated_ids
from speechkit.data.store import cut_of_supervision
from speechkit.errors import ConfigError, SpeechkitError

_PREFIX = "prepare_"
# what recipes raise when the data are not as they expect; anything else is a bug
_DATA_FAULTS = (
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    subprocess.SubprocessError,
)


def prepare(source: Path, out: Path, config: LhotseConfig, *, num_jobs: int, recipe: str) -> Prepared:
    """Cuts of everything that the recipe finds, sorted by id.

    Raises:
        ConfigError: no such recipe, or it needs or refuses an argument.
        SpeechkitError: the recipe gave up, or gives no recordings with supervisions.
    """
    function = find_recipe(recipe)
    manifests = _call(function, source, recipe=recipe, args=config.args)
    found = list(_walk(manifests, ()))
    if not found:
        raise SpeechkitError(f"the recipe `{recipe}` gives no recordings with supervisions")
    cuts: list[MonoCut] = []
    bad: list[BadItem] = []
    counts: Counter[str] = Counter()
    for split, recordings, supervisions in found:
        by_id = {recording.id: recording for recording in recordings}
        for supervision in supervisions:
            cut = _cut_of(by_id.get(supervision.recording_id), supervision, split, counts=counts)
            if isinstance(cut, MonoCut):
                cuts.append(cut)
            else:
                bad.append(BadItem(f"{source} {split}".strip(), supervision.id, cut))
    cuts.sort(key=lambda cut: str(cut.id))
    twice = repeated_ids((cut.id, f"recording {cut.recording.id}") for cut in cuts)
    kept = {cut.id: cut for cut in reversed(cuts)}  # the first of each id
    return Prepared(
        list(reversed(kept.values())), bad + twice, [f"{count} {text}" for text, count in counts.items() if count]
    )


def find_recipe(name: str) -> Callable[..., Any]:
    """The function `lhotse.recipes.prepare_NAME`; dashes in the name count as underscores.

    Raises:
        ConfigError: there is none; the message has the nearest names.
    """
    import lhotse.recipes

    known = {key.removeprefix(_PREFIX): key for key in dir(lhotse.recipes) if key.startswith(_PREFIX)}
    wanted = name.replace("-", "_")
    if wanted not in known:
        near = difflib.get_close_matches(wanted, known, n=5, cutoff=0.4)
        raise ConfigError(
            f"lhotse has no recipe `{name}`",
            expected=f"lhotse:{' or lhotse:'.join(near)}" if near else f"one of {', '.join(sorted(known))}",
        )
    function: Callable[..., Any] = getattr(lhotse.recipes, known[wanted])
    return function


def _call(function: Callable[..., Any], source: Path, *, recipe: str, args: Mapping[str, Any]) -> Any:
    signature = inspect.signature(function)
    try:
        bound = signature.bind(source, **args)
    except TypeError as error:
        raise ConfigError(
            f"the recipe `{recipe}` can not be called: {error}",
            expected=f"prepare_{recipe}{signature}",
            hint="give arguments with --set args.NAME=VALUE",
        ) from None
    try:
        with contextlib.redirect_stdout(sys.stderr):  # recipes print; our stdout is for results
            return function(*bound.args, **bound.kwargs)
    except SpeechkitError:
        raise
    except _DATA_FAULTS as error:
        place = _place_of(error)
        reason = str(error) or type(error).__name__
        raise SpeechkitError(
            f"the recipe `{recipe}` gave up: {reason}",
            where=place,
            hint=f"the folder has to look as lhotse's recipe `{recipe}` expects; see its docstring",
        ) from None


def _place_of(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return (
        f"{type(error).__name__} in {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else ""
    )


def _walk(tree: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any, Any]]:
    """Each pair of recordings and supervisions in nested dicts, with its path joined by `/`."""
    if not isinstance(tree, Mapping):
        return
    if "recordings" in tree and "supervisions" in tree:
        yield "/".join(path), tree["recordings"], tree["supervisions"]
        return
    for name in tree:
        yield from _walk(tree[name], (*path, str(name)))


def _cut_of(
    recording: Recording | None, supervision: SupervisionSegment, split: str, *, counts: Counter[str]
) -> MonoCut | str:
    """The cut of a supervision, or why its audio can not be used."""
    if recording is None:
        return f"no recording `{supervision.recording_id}`"
    channels = supervision.channel if isinstance(supervision.channel, list) else [supervision.channel]
    source = next((s for s in recording.sources if channels[0] in s.channels), None)
    if source is None or source.channels[0] != channels[0]:
        return f"channel {channels[0]} is not the first of its file"
    if source.type != "file":
        return f"the audio comes from a {source.type}, not from a file"
    if recording.transforms:
        return "the recording is transformed while it is read"
    counts["utterances have several channels: the first is used"] += len(channels) > 1
    counts["utterances have no speaker"] += supervision.speaker is None
    counts["utterances have no text"] += supervision.text is None
    single = fastcopy(
        recording,
        id=recording.id if len(recording.sources) == 1 else f"{recording.id}-{channels[0]}",
        sources=[fastcopy(source, channels=[0], source=str(Path(source.source).resolve()))],
        channel_ids=[0],
    )
    custom = {**(supervision.custom or {}), **({"split": split} if split else {})}
    changed = fastcopy(
        supervision, recording_id=single.id, channel=0, text=supervision.text or "", custom=custom or None
    )
    return cut_of_supervision(single, changed)
