"""Every --help is fast: no heavy import, and at most half a second of CPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent
MAX_CPU_SECONDS = 0.5
HEAVY = (
    "torch",
    "torchaudio",
    "numpy",
    "numba",
    "lhotse",
    "scipy",
    "soundfile",
    "matplotlib",
    "jinja2",
    "sentencepiece",
)

HELP_OF_ALL = """
import sys
sys.path.insert(0, sys.argv[1])
from command_line import all_commands
for words, command in all_commands():
    with command.context_class(command, info_name=words[-1]) as context:
        assert command.get_help(context).startswith("Usage"), words
    loaded = [name for name in sys.argv[2].split(",") if name in sys.modules]
    if loaded:
        sys.exit(f"`{' '.join(words)} --help` loads {', '.join(loaded)}")
"""


def test_no_help_loads_a_heavy_package() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HELP_OF_ALL, str(TESTS), ",".join(HEAVY)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr + "\nhint: `python -X importtime -m speechkit --help` names the importer"


def _cpu_seconds_of_help() -> float:
    before = os.times()
    subprocess.run([sys.executable, "-m", "speechkit", "--help"], capture_output=True, check=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def test_help_takes_at_most_half_a_second_of_cpu() -> None:
    seconds = _cpu_seconds_of_help()
    for _ in range(4):  # the first may write byte code, and other work on the machine slows every one
        seconds = min(seconds, _cpu_seconds_of_help()) if seconds > MAX_CPU_SECONDS else seconds
    assert seconds <= MAX_CPU_SECONDS, f"`speechkit --help` took {seconds:.2f} s of CPU at best"
