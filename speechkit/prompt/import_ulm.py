"""`speechkit prompt import`: unit language models of GSLM, Unit mBART and Hugging Face as folders that prompts take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from speechkit import log
from speechkit.artifact import make_artifact
from speechkit.errors import ConfigError, SpeechkitError
from speechkit.models.table import WEIGHTS_FILE
from speechkit.models.ulm_folder import write_about
from speechkit.prompt.config_import import UlmImportConfig
from speechkit.prompt.import_fairseq import files_of, read_gslm, read_unit_mbart
from speechkit.prompt.import_hf import CONFIG_JSON, read_hf
from speechkit.prompt.import_tensors import MEAN, Found, our_tensors
from speechkit.train.checkpoint import save_tensors
from speechkit.units.codebook import CODEBOOK_FILE, Codebook, load_codebook

_READERS: dict[str, Callable[[Path, UlmImportConfig], Found]] = {
    "gslm": read_gslm,
    "unit-mbart": read_unit_mbart,
    "hf": read_hf,
}


def run(config: UlmImportConfig, source: Path, *, out: Path, codebook: Path | None = None, force: bool = False) -> None:
    """Make a folder of a unit language model from the files of others.

    Args:
        codebook: what the units are of; else nobody can check that prompts and units belong together.
    Raises:
        SpeechkitError: the files are not those of such a model; the codebook has another number of units.
    """
    if config.model is not None:
        raise ConfigError("`model` is read from the files", hint="leave it out")
    if not source.exists():
        raise SpeechkitError(f"`{source}` does not exist")
    inputs = _inputs(config, source)
    book = None if codebook is None else load_codebook(codebook)
    found = _READERS[config.kind](source, config)
    num_units = len(found.rows) - 2
    if book is not None and book.k != num_units:
        raise SpeechkitError(
            f"the model has {num_units} units, the codebook `{codebook}` {book.k}",
            hint="--set num_units=N leaves the rest out; it must be the codebook that the model was trained with",
        )
    resolved = config.model_copy(update={**found.settings, "model": found.config})
    if codebook is not None:
        inputs["codebook"] = codebook / CODEBOOK_FILE

    def build(folder: Path) -> None:
        tensors = our_tensors(found)
        save_tensors(tensors, folder / WEIGHTS_FILE)
        write_about(folder, _about(resolved, num_units, book))
        count = sum(tensor.numel() for tensor in tensors.values())
        for role, row in zip(("end", "separator"), found.rows[-2:], strict=True):
            log.info(f"{role}: " + (f"the mean of the units ({MEAN})" if row is None else f"row {row}"))
        print(f"{out}: {num_units} units, {count} values, {found.config.num_layers} layers of {found.config.dim}")

    make_artifact(out, command="prompt import", config=resolved, inputs=inputs, build=build, force=force)


def _inputs(config: UlmImportConfig, source: Path) -> dict[str, Path]:
    if config.kind == "hf":
        if not (source / CONFIG_JSON).is_file():
            raise SpeechkitError(f"`{source / CONFIG_JSON}` is missing", expected="a folder of transformers")
        return {"source": source}
    checkpoint, listing = files_of(source)
    return {"checkpoint": checkpoint, "dict": listing}


def _about(config: UlmImportConfig, num_units: int, book: Codebook | None) -> dict[str, object]:
    dedup = config.dedup
    if dedup is None and config.kind != "hf":
        dedup = True  # as both were trained
    about: dict[str, object] = {"num_units": num_units, "dedup": dedup}
    if book is not None:
        about |= {
            "codebook": book.fingerprint,
            "frames_per_second": book.times.frames_per_second,
            "first_centre_seconds": book.times.first_centre_seconds,
            "sampling_rate": book.sampling_rate,
        }
    return about
