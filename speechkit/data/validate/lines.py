"""Lines of a manifest, packed or not, as they come: no file is held in memory."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from speechkit.data.validate.intake import Intake
from speechkit.errors import SpeechkitError, counted

_GZIP = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"


def raw_lines(path: Path, intake: Intake) -> Iterator[tuple[int, bytes]]:
    """Number (from 1) and bytes of each line without its LF; a packed file that breaks off is a fault.

    Raises:
        SpeechkitError: the file does not exist or can not be read.
    """
    number = 0
    try:
        with path.open("rb") as stream:
            is_packed = stream.read(2) == _GZIP
        with gzip.open(path) if is_packed else path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                yield number, line.removesuffix(b"\n")
    except FileNotFoundError:
        raise SpeechkitError(f"manifest `{path}` does not exist") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        reason = "it ends within a block" if isinstance(error, EOFError) else str(error).lower()
        intake.fault_of_line("gzip-truncated", path, number + 1, detail=reason)


def text_lines(path: Path, intake: Intake) -> Iterator[tuple[int, str]]:
    """Number and text of each line that is UTF-8 and not empty; line ends and byte order marks are told once."""
    num_crlf = first_crlf = 0
    for number, raw in raw_lines(path, intake):
        if number == 1 and raw.startswith(_BOM):
            intake.fault_of_line("byte-order-mark", path, 1)
            raw = raw.removeprefix(_BOM)
        if raw.endswith(b"\r"):
            num_crlf += 1
            first_crlf = first_crlf or number
            raw = raw[:-1]
        try:
            line = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            utt_id = raw.split(maxsplit=1)[0].decode("utf-8", "replace")
            detail = f"byte 0x{raw[error.start]:02x} at position {error.start + 1}"
            intake.fault_of_line("line-not-utf8", path, number, utt_id=utt_id, detail=detail)
            continue
        if line.strip():
            yield number, line
        else:
            intake.fault_of_line("line-empty", path, number)
    if num_crlf:
        intake.fault_of_line("line-ends", path, first_crlf, detail=counted(num_crlf, "line"))
