"""`speechkit units quantize`: a manifest and a codebook in, `units.jsonl` out, in parts if wished."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from speechkit import log
from speechkit.artifact import make_artifact, write_json
from speechkit.data.batch import Utterance
from speechkit.data.overlap import TRAINING_SET_FILE, TrainingSet, load_training_set
from speechkit.data.store import audio_path, load_cuts
from speechkit.data.stream import manifest_path
from speechkit.errors import ConfigError, counted
from speechkit.jobs.shard import Shard, Sharing, make_in_parts
from speechkit.text.tokenizer import Tokenizer
from speechkit.units.bpe import load_bpe, save_bpe, text_of_units, train_bpe
from speechkit.units.codebook import CODEBOOK_FILE, TENSORS_FILE, Codebook, load_codebook
from speechkit.units.config import QuantizeConfig
from speechkit.units.extractor import Extractor
from speechkit.units.sounds import frames_of, sounds_of
from speechkit.units.unit_file import ABOUT_FILE, UNITS_FILE, unit_line

BPE_FOLDER = "bpe"


@dataclass(frozen=True)
class _Part:
    """What is encoded, and how it is written."""

    config: QuantizeConfig
    book: Codebook
    extractor: Extractor
    utterances: Sequence[Utterance]
    bpe: Tokenizer | None
    num_jobs: int
    heard: TrainingSet | None  # what the codebook was trained on

    def write(self, folder: Path, shard: Shard | None) -> None:
        """Encode all, or the utterances of a shard."""
        chosen = self.utterances if shard is None else shard.take(self.utterances)
        rate, dedup = self.book.times.frames_per_second, self.config.dedup
        found = log.track(frames_of(chosen, self.extractor, num_jobs=self.num_jobs), "quantizing", total=len(chosen))
        with (folder / UNITS_FILE).open("wb") as stream:
            for utt, frames_TD in found:
                labels_T = self.book.encode(frames_TD)
                stream.write(unit_line(utt.utt_id, labels_T, dedup=dedup, frames_per_second=rate))

    def write_whole(self, folder: Path, parts: list[Path]) -> None:
        """Encode all, or put together what the parts hold; then byte-pair encoding."""
        path = folder / UNITS_FILE
        if parts:
            found = [line for part in parts for line in (part / UNITS_FILE).read_bytes().splitlines(keepends=True)]
            lines = {orjson.loads(line)["id"]: line for line in found}
            path.write_bytes(b"".join(lines[utt.utt_id] for utt in self.utterances))
        else:
            self.write(folder, None)
        about = {
            "codebook": self.book.fingerprint,
            "k": self.book.k,
            "frames_per_second": self.book.times.frames_per_second,
            "first_centre_seconds": self.book.times.first_centre_seconds,
            "sampling_rate": self.book.sampling_rate,
            "dedup": self.config.dedup,
            **self._tokenize(folder, path),
        }
        write_json(folder / ABOUT_FILE, about)
        if self.heard is not None:
            self.heard.save(folder / TRAINING_SET_FILE)

    def _tokenize(self, folder: Path, path: Path) -> dict[str, object]:
        """Add tokens to each line; what units.json says of them."""
        bpe = self.bpe
        if bpe is None and self.config.bpe_size is None:
            return {}
        rows = [orjson.loads(line) for line in path.read_bytes().splitlines()]
        if bpe is None:
            bpe = train_bpe((row["units"] for row in rows), k=self.book.k, size=self.config.bpe_size or 0)
        save_bpe(bpe, folder / BPE_FOLDER, codebook_print=self.book.fingerprint)
        num_units = num_tokens = 0
        with path.open("wb") as stream:
            for row in rows:
                row["tokens"] = bpe.encode(text_of_units(row["units"]))
                num_units, num_tokens = num_units + len(row["units"]), num_tokens + len(row["tokens"])
                stream.write(orjson.dumps(row) + b"\n")
        log.info(f"BPE: {num_units} units are {num_tokens} of {bpe.num_tokens} tokens")
        return {"num_tokens": bpe.num_tokens, "units_per_token": round(num_units / num_tokens, 4)}


def run(
    config: QuantizeConfig,
    *,
    cuts: Path,
    codebook: Path,
    out: Path,
    bpe: Path | None = None,
    num_jobs: int = 1,
    sharing: Sharing | None = None,
    force: bool = False,
) -> Path:
    """Write the units of a manifest; the file.

    Args:
        bpe: byte-pair encoding made by an earlier run, instead of `config.bpe_size`.
    Raises:
        SpeechkitError: codebook, BPE, model and audio do not fit together, or audio can not be used.
    """
    if bpe is not None and config.bpe_size is not None:
        raise ConfigError("--bpe and --bpe-size are given", expected="one: BPE of an earlier run, or a new one")
    book = load_codebook(codebook)
    extractor = book.extractor(model=config.model, device=config.device)
    found = list(load_cuts(cuts))
    utterances = sounds_of(found, extractor)
    tokenizer = None if bpe is None else load_bpe(bpe, codebook_print=book.fingerprint)
    part = _Part(config, book, extractor, utterances, tokenizer, num_jobs, load_training_set(codebook))
    inputs = {
        "cuts": manifest_path(cuts),
        "codebook": codebook / CODEBOOK_FILE,
        "centres": codebook / TENSORS_FILE,
        **({} if bpe is None else {"bpe": bpe}),
        **({} if part.heard is None else {"training_set": codebook / TRAINING_SET_FILE}),
    }

    def make(folder: Path, suffix: str, build: Callable[[Path], None]) -> bool:
        return make_artifact(
            folder,
            command=f"units quantize{suffix}",
            config=config,
            inputs=inputs,
            audio=[audio_path(cut) for cut in found],
            build=build,
            force=force,
        )

    sharing = sharing or Sharing()
    folder, made = make_in_parts(out, sharing, make=make, build_part=part.write, build=part.write_whole)
    if made:
        num = len(utterances if sharing.shard is None else sharing.shard.take(utterances))
        print(f"{folder / UNITS_FILE}: {counted(num, 'utterance')}")
    return folder / UNITS_FILE
