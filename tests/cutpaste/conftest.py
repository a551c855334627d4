"""One small corpus and its inventory, made once."""

from __future__ import annotations

from pathlib import Path

import pytest
from paste_corpus import make_inventory, make_paste_corpus

from speechkit.cutpaste.inventory import Inventory


@pytest.fixture(scope="session")
def tone_words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_paste_corpus(tmp_path_factory.mktemp("paste") / "corpus")


@pytest.fixture(scope="session")
def inventory_folder(tone_words: Path) -> Path:
    make_inventory(tone_words, tone_words.parent / "inv")
    return tone_words.parent / "inv"


@pytest.fixture(scope="session")
def inventory(inventory_folder: Path) -> Inventory:
    from speechkit.cutpaste.inventory import load_inventory

    return load_inventory(inventory_folder)
