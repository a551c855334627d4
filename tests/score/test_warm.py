"""`doctor --warm` compiles what the first scoring needs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ODD = ["caf\u00e9 is not coffee", " ".join(f"word{k}" for k in range(90)), "no no no no no", ""]


def texts() -> tuple[str, str, str]:
    """A reference and two hypotheses: 2100 utterances of many lengths, some of them long or not ASCII."""
    rows = [(f"s{k % 3}-{k:04d}", ODD[k] if k < len(ODD) else "one two " * (k % 70)) for k in range(2100)]
    ref = "".join(f"{name} {text}\n" for name, text in rows)
    return ref, ref.replace("one", "on", 900).replace("\u00e9", "e").replace("word3", "w"), ref.replace("two", "two no")


SCRIPT = """
import json, sys
from pathlib import Path

import pytest
from numba.core.dispatcher import Dispatcher
from speechkit import doctor
from speechkit.score import compare, report
from speechkit.score.config import CompareConfig, WerConfig

def compiled():
    modules = [m for name, m in sys.modules.items() if name.startswith("speechkit.kernels.")]
    kernels = [f for m in modules for f in vars(m).values() if isinstance(f, Dispatcher)]
    return {f"{f.py_func.__module__}.{f.py_func.__name__}{types}" for f in kernels for types in f.signatures}

scoring = ("confusions", "edit", "line_index", "lines", "resample", "segments", "tally", "words")
doctor.WARM = [f"speechkit.kernels.{name}" for name in scoring]
doctor.warm_kernels()
before = compiled()
ref, *hyps = map(Path, sys.argv[1:])
for ties in ("kaldi", "rapidfuzz", "sclite"):
    report.report(ref, hyps[0], WerConfig(ties=ties, by=("prefix",)))
compare.compare_files(ref, hyps, CompareConfig())
print(json.dumps([len(before), sorted(compiled() - before)]))
"""


@pytest.mark.slow
def test_after_warming_no_scoring_compiles_anything(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("ref", "a", "b")]
    for path, text in zip(paths, texts(), strict=True):
        path.write_text(text, encoding="utf-8")
    done = subprocess.run([sys.executable, "-c", SCRIPT, *map(str, paths)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    num_warm, new = json.loads(done.stdout.splitlines()[-1])
    assert num_warm >= 15 and not new
