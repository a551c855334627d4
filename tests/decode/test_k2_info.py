"""What is said about k2 when it is absent, present and broken, with a stand-in package on the path."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from speechkit.decode.graph import word_loop
from speechkit.decode.k2_graph import k2_decode
from speechkit.decode.k2_info import import_k2, k2_status
from speechkit.errors import ConfigError

without_k2 = pytest.mark.skipif(bool(k2_status()["installed"]), reason="k2 is installed here")


@pytest.fixture
def broken_k2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A k2 built for another torch."""
    package = tmp_path / "k2"
    package.mkdir()
    (package / "__init__.py").write_text('raise ImportError("k2 was built using\\nPyTorch 9.9.9")\n')
    (package / "torch_version.py").write_text('# made by a build\nk2_torch_version = "9.9.9+cu117"\n')
    monkeypatch.syspath_prepend(str(tmp_path))


@without_k2
def test_absent_k2_is_a_config_error_that_names_the_installer() -> None:
    with pytest.raises(ConfigError) as caught:
        k2_decode(torch.zeros(2, 3), word_loop({"a": [[1]]}))
    assert "graph decoding with k2 needs the package `k2`" in caught.value.what
    assert caught.value.hint == "run `tools/install_k2.sh`"


@without_k2
def test_status_without_k2_says_how_to_get_it() -> None:
    status = k2_status()
    assert (status["installed"], status["version"], status["built_for_torch"]) == (False, "", "")
    assert status["install"] == "tools/install_k2.sh"
    assert (Path(__file__).parents[2] / str(status["install"])).is_file()


@without_k2
def test_a_plain_folder_named_k2_is_not_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "k2").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert k2_status()["installed"] is False
    with pytest.raises(ConfigError, match="not installed"):
        import_k2("decoding")


@without_k2
@pytest.mark.usefixtures("broken_k2")
def test_status_reads_the_torch_version_without_importing_k2() -> None:
    status = k2_status()
    assert (status["installed"], status["built_for_torch"]) == (True, "9.9.9+cu117")
    assert "k2" not in sys.modules


@without_k2
@pytest.mark.usefixtures("broken_k2")
def test_k2_for_another_torch_is_a_config_error_with_its_own_words() -> None:
    with pytest.raises(ConfigError) as caught:
        import_k2("rescoring")
    assert caught.value.where == ["k2 was built using PyTorch 9.9.9"]


def test_status_imports_neither_torch_nor_k2() -> None:
    code = "import sys; from speechkit.decode.k2_info import k2_status; k2_status(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "k2", "numpy", "numba"} & set(done.stdout.split())
