"""`data prepare --download`: public corpora through lhotse's downloads; for the others, where they are to be had."""

from __future__ import annotations

import contextlib
import sys
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from speechkit import log
from speechkit.errors import ConfigError, SpeechkitError

# corpus -> function of lhotse.recipes, its arguments, what stands in the folder afterwards
DOWNLOADS: dict[str, tuple[str, Mapping[str, Any], str]] = {
    "cmu_arctic": ("download_cmu_arctic", {}, "cmu_us_*_arctic"),
    "librispeech": ("download_librispeech", {"dataset_parts": "librispeech"}, "LibriSpeech"),
    "mini_librispeech": ("download_librispeech", {"dataset_parts": "mini_librispeech"}, "LibriSpeech"),
    "speech_commands": ("download_speechcommands", {"speechcommands_version": "2"}, "SpeechCommands2"),
    "yesno": ("download_yesno", {}, "waves_yesno"),
}
SOURCES: dict[str, str] = {
    "an4": "an4_sphere.tar.gz: http://www.speech.cs.cmu.edu/databases/an4/",
    "barista": "git clone https://github.com/Picovoice/speech-to-intent-benchmark",
    "commonvoice": "https://commonvoice.mozilla.org/datasets",
    "dspspeech20": "git clone https://github.com/zhongyuchen/DSPSpeech-20",
    "fluent_speech_commands": "https://fluent.ai/fluent-speech-commands-a-dataset-for-spoken-language-understanding-research/",
    "fsdd": "git clone https://github.com/Jakobovski/free-spoken-digit-dataset",
    "l2_arctic": "https://psi.engr.tamu.edu/l2-arctic-corpus/",
    "sap": "https://speechaccessibilityproject.beckman.illinois.edu (data use agreement)",
    "so762": "https://www.openslr.org/101/",
    "timit": "https://catalog.ldc.upenn.edu/LDC93S1 (licence)",
    "torgo": "http://www.cs.toronto.edu/~complingweb/data/TORGO/torgo.html",
    "uaspeech": "http://www.isle.illinois.edu/sst/data/UASpeech/ (on request)",
}


def download(corpus: str, folder: Path) -> None:
    """Put a corpus into `folder`, unless what it unpacks to is there.

    Raises:
        ConfigError: the corpus is none that is downloaded; the message says where it is to be had.
        SpeechkitError: the download failed.
    """
    if corpus not in DOWNLOADS:
        where = SOURCES.get(corpus)
        raise ConfigError(
            f"`{corpus}` is not downloaded",
            where=f"get it here: {where}" if where else (),
            expected=f"--download with one of {', '.join(DOWNLOADS)}",
        )
    name, arguments, result = DOWNLOADS[corpus]
    if next(folder.glob(result), None) is not None:
        log.info(f"`{folder}` holds {result}: nothing to download")
        return
    import lhotse.recipes

    log.info(f"downloading {corpus} into {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with contextlib.redirect_stdout(sys.stderr), _safe_tars():
            getattr(lhotse.recipes, name)(target_dir=folder, **arguments)
    except (OSError, RuntimeError, ValueError, AssertionError, tarfile.TarError) as error:
        raise SpeechkitError(
            f"the download of `{corpus}` failed: {error or type(error).__name__}",
            hint="try again (it goes on where it stopped), or fetch and unpack it yourself and leave out --download",
        ) from None


@contextlib.contextmanager
def _safe_tars() -> Iterator[None]:
    """Archives are unpacked without links out of their folder, absolute names and special files.

    Raises:
        ConfigError: this Python is too old to know how.
    """
    if not hasattr(tarfile, "data_filter"):
        raise ConfigError(
            "this Python unpacks archives without checking their names",
            expected="Python 3.10.12, 3.11.4, 3.12 or newer",
            hint="unpack the corpus yourself and leave out --download",
        )
    before = tarfile.TarFile.__dict__.get("extraction_filter")
    tarfile.TarFile.extraction_filter = staticmethod(tarfile.data_filter)
    try:
        yield
    finally:
        tarfile.TarFile.extraction_filter = before
