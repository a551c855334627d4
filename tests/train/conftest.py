"""A tiny corpus and a config for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tone_corpus import CONFIG_YAML, make_tone_corpus


@pytest.fixture
def tones(tmp_path: Path) -> Path:
    return make_tone_corpus(tmp_path / "tones")


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    path = tmp_path / "conf.yaml"
    path.write_text(CONFIG_YAML)
    return path
