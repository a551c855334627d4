"""`speechkit units stats`: units in, numbers out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from speechkit.data.store import load_cuts
from speechkit.errors import ConfigError, SpeechkitError
from speechkit.units.codebook import load_codebook
from speechkit.units.config import InvarianceConfig
from speechkit.units.invariance import measure
from speechkit.units.labels import labelled_frames
from speechkit.units.sounds import sounds_of
from speechkit.units.stats import agreement, describe
from speechkit.units.unit_file import UnitSet, load_units


def run(
    folder: Path,
    *,
    cuts: Path | None = None,
    against: Sequence[str] = (),
    codebook: Path | None = None,
    model: str | None = None,
    invariance: InvarianceConfig | None = None,
) -> dict[str, Any]:
    """What there is to say of the units in a folder.

    Args:
        against: tiers and fields of `cuts` to compare units with.
        codebook: what the units are of; needed for `invariance`.
    Raises:
        SpeechkitError: units, manifest and codebook do not belong together.
        ConfigError: a manifest or codebook is needed and not given.
    """
    units = load_units(folder)
    if (against or invariance) and cuts is None:
        raise ConfigError("labels and audio are those of a manifest", expected="--cuts CUTS")
    if invariance and codebook is None:
        raise ConfigError("--invariance encodes audio again", expected="--codebook DIR")
    found = {} if cuts is None else {cut.id: cut for cut in load_cuts(cuts)}
    result = describe(units)
    if against:
        result["against"] = {name: agreement(labelled_frames(units, found, name), units.k) for name in against}
    if invariance and codebook is not None:
        result["invariance"] = _invariance(units, found, codebook, model, invariance)
    return result


def _invariance(
    units: UnitSet, found: dict[str, Any], codebook: Path, model: str | None, config: InvarianceConfig
) -> dict[str, Any]:
    book = load_codebook(codebook)
    if book.fingerprint != units.about["codebook"]:
        raise SpeechkitError(
            f"the units were not made with the codebook `{codebook}`",
            where=f"units of {units.about['codebook'][:12]}, the codebook is {book.fingerprint[:12]}",
            hint="give the codebook of `units quantize`, or quantize again",
        )
    extractor = book.extractor(model=model)
    missing = [utt_id for utt_id in units.ids if utt_id not in found]
    if missing:
        raise SpeechkitError(f"the manifest lacks {len(missing)} utterances of the units", where=missing)
    return measure(sounds_of([found[utt_id] for utt_id in units.ids], extractor), book, extractor, config)


def table(result: dict[str, Any]) -> str:
    """The numbers as lines."""
    bits, rates, runs = result["entropy_bits"], result["bits_per_second"], result["run_lengths"]
    lines = [
        f"{result['num_utterances']} utterances, {result['seconds'] / 60:.1f} minutes, {result['num_frames']} frames, "
        f"{result['num_units']} units, {result['units_per_second']:.1f} per second",
        f"used             {result['used']} of {result['k']}",
        f"bits per unit    {bits['units']:.2f}, {bits['given_last_unit']:.2f} when the last is known, "
        f"{bits['uniform']:.2f} at most",
        f"bits per second  {rates['units']:.0f}, {rates['given_last_unit']:.0f} when the last is known, "
        f"and {rates['runs']:.0f} for run lengths",
        f"run lengths      mean {runs['mean']:.2f}, median {runs['median']:g}, "
        f"90 % up to {runs['p90']:g}, longest {runs['max']}",
    ]
    against = result.get("against", {})
    if against:
        width = max(len("against"), *map(len, against))
        lines.append(f"\n{'against':<{width}}  labels  purity  majority    NMI  NMI of labels")
        for name, row in against.items():
            lines.append(
                f"{name:<{width}}  {row['num_labels']:>6}  {row['purity']:>6.3f}  {row['majority']:>8.3f}  "
                f"{row['nmi']:>5.3f}  {row['label_nmi']:>13.3f}"
            )
    changes = {name: row for name, row in result.get("invariance", {}).items() if name != "num_utterances"}
    if changes:
        width = max(map(len, changes))
        lines.append(f"\n{'change':<{width}}  equal units  unit edits  equal frames")
        for name, row in changes.items():
            frames = f"{row['equal_frames']:>12.3f}" if "equal_frames" in row else f"{'-':>12}"
            lines.append(f"{name:<{width}}  {row['equal']:>11.3f}  {row['unit_edit_percent']:>8.1f} %  {frames}")
    return "\n".join(lines)
