"""Which kind of manifest a path is, and the DataSet that its reader fills."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from speechkit.data.validate.columns import ROLES, DataSet, Role
from speechkit.data.validate.config import ValidateConfig
from speechkit.data.validate.intake import Encoder, Intake
from speechkit.data.validate.loaded import LoadedSet
from speechkit.data.validate.source_cuts import read_cuts
from speechkit.data.validate.source_kaldi import NEEDED, read_kaldi
from speechkit.data.validate.source_tsv import read_tsv
from speechkit.errors import SpeechkitError

_CUTS_FILE = "cuts.jsonl.gz"
_TABLE = "manifest.tsv"
_EXPECTED = f"cuts (.jsonl, .jsonl.gz, or a folder with {_CUTS_FILE}), a Kaldi data directory, or a table (.tsv)"
_KALDI_FILES: dict[Role, str] = {"text": "text", "speaker": "utt2spk", "audio": "wav.scp", "times": "segments"}


def read_sets(paths: Sequence[Path], config: ValidateConfig) -> list[LoadedSet]:
    """Read every manifest and check its lines and utterances one by one.

    Raises:
        SpeechkitError: a path does not exist or is no manifest.
    """
    located = [_locate(path, config) for path in paths]
    tokenizer = _tokenizer(config)
    names = _names([path for path, _ in located])
    sets = []
    for index, ((path, kind), name) in enumerate(zip(located, names, strict=True)):
        data = DataSet(name, path, kind, _files(path, kind))
        intake = Intake(data, index, config, tokenizer=tokenizer)
        if kind == "kaldi":
            read_kaldi(path, intake)
        elif kind == "tsv":
            needed = ["path", "id"] + ["speaker"] * ("speakers" not in config.skip)
            needed += [config.text_column] * ("text" not in config.skip)
            read_tsv(path, intake, text_column=config.text_column, needed=needed)
        else:
            read_cuts(path, intake)
        if not len(data):
            intake.fault_of_line("no-utterances", path, 0)
        sets.append(LoadedSet(data, index, config, intake.findings, intake.rare_symbols))
    return sets


def _locate(path: Path, config: ValidateConfig) -> tuple[Path, str]:
    """The file or folder that is read, and its kind."""
    if not path.exists():
        raise SpeechkitError(f"`{path}` does not exist", expected=_EXPECTED)
    kind = config.format
    if path.is_file():
        guess = "tsv" if path.suffix == ".tsv" else "cuts"
        return path, guess if kind == "auto" else kind
    if kind in ("auto", "cuts") and (path / _CUTS_FILE).is_file():
        return path / _CUTS_FILE, "cuts"
    if kind in ("auto", "kaldi") and any((path / name).is_file() for name in NEEDED):
        return path, "kaldi"
    if kind in ("auto", "tsv") and (path / _TABLE).is_file():
        return path / _TABLE, "tsv"
    raise SpeechkitError(f"`{path}` holds no manifest" + f" of the kind {kind}" * (kind != "auto"), expected=_EXPECTED)


def _files(path: Path, kind: str) -> dict[Role, Path]:
    """Where texts, speakers, audio and times stand."""
    if kind != "kaldi":
        return dict.fromkeys(ROLES, path)
    files = {role: path / _KALDI_FILES[role] for role in ROLES}
    if not files["times"].is_file():
        files["times"] = files["audio"]
    return files


def _names(paths: list[Path]) -> list[str]:
    """Short names for messages and folders: of the file, or of the folder where all files are called the same."""
    generic = (_CUTS_FILE, _TABLE)
    short = [path.absolute().parent.name if path.name in generic else path.name.split(".")[0] for path in paths]
    names: list[str] = []
    for name in (name or "set" for name in short):
        number = sum(1 for other in names if other == name or other.startswith(f"{name}-"))
        names.append(f"{name}-{number + 1}" if name in names else name)
    return names


def _tokenizer(config: ValidateConfig) -> Encoder | None:
    if not config.tokenizer:
        return None
    from speechkit.text.tokenizer import load_tokenizer

    return load_tokenizer(Path(config.tokenizer))
