"""Options of `speechkit data convert`."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field

from speechkit.config import Config

Format = Literal["kaldi", "tsv", "nemo", "cuts", "shar", "ctm", "stm", "textgrid"]
FORMATS: tuple[str, ...] = get_args(Format)
FOLDER_TARGETS = ("kaldi", "cuts", "shar", "textgrid")


class ConvertConfig(Config):
    """What decides the output of a conversion, besides its inputs."""

    target: Format = Field(description="format of the output")
    source_format: Literal["auto", Format] = Field("auto", description="format of the input; auto: by name and content")
    max_bad: str = Field("0", description="tolerated unusable items: a count or a share such as 1%")
