#!/usr/bin/env bash
# make test-k2: our CTC and graph search against the real k2, in a side environment of their own.
# k2's newest wheel in the registry is for Python 3.10 with torch 1.13.1, hence .venv-k2 (3.9 GB) beside .venv.
# PYTHON310=/path/to/python3.10 chooses the interpreter; without any Python 3.10 it says so and exits 0.

set -euo pipefail
cd "$(dirname "$0")/.."
venv=.venv-k2
torch=torch==1.13.1
k2=k2==1.23.4
# torch 1.13.1 opens these two on import; the other CUDA libraries it asks for are not needed on a CPU
cuda="nvidia-cublas-cu11==11.10.3.66 nvidia-cudnn-cu11==8.5.0.96"
rest="numpy<2 numba>=0.61 pytest>=8 typing_extensions graphviz"

is_310() { "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, 10))' 2>/dev/null; }
find_310() {
  local candidate
  for candidate in ${PYTHON310:-} python3.10 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.10*/bin/python \
    "$(uv python find 3.10 2>/dev/null || true)"; do
    if [ -n "$candidate" ] && is_310 "$candidate"; then echo "$candidate"; return; fi
  done
}

stamp="$(echo "$torch $k2 $cuda $rest" | cksum)"
if [ "$(cat $venv/.stamp 2>/dev/null)" != "$stamp" ]; then
  python="$(find_310)"
  if [ -z "$python" ]; then
    echo "skipped: no Python 3.10 with venv (tried \$PYTHON310, python3.10, pyenv's versions, uv); k2 $k2 needs it"
    exit 0
  fi
  if [ "$(uname -s)-$(uname -m)" != Linux-x86_64 ]; then
    echo "skipped: the registry has $k2 and $torch for Linux on x86_64 only, this is $(uname -s) on $(uname -m)"
    exit 0
  fi
  echo "building $venv with $python: about 2 GB to download, once" >&2
  rm -rf $venv
  "$python" -m venv $venv
  set -f # the lists below are split at blanks, and numpy<2 is no pattern
  # shellcheck disable=SC2086
  $venv/bin/python -m pip install -q $rest
  # shellcheck disable=SC2086
  $venv/bin/python -m pip install -q --no-cache-dir --no-deps $torch $k2 $cuda
  set +f
  $venv/bin/python -c 'import k2, numba, numpy, pytest'
  echo "$stamp" > $venv/.stamp
fi

OMP_NUM_THREADS=1 PYTHONPATH=. PYTHONWARNINGS=ignore $venv/bin/python - <<'PROBE'
import sys

import k2
import torch

import speechkit.decode.k2_graph
import speechkit.kernels.ctc

heavy = {"typer", "pydantic", "lhotse"} & set(sys.modules)
if heavy:
    sys.exit(f"error: importing the k2 modules pulled in {sorted(heavy)}")
print(f"Python {sys.version.split()[0]}, torch {torch.__version__}, k2 from {k2.__path__[0]}")
PROBE
OMP_NUM_THREADS=1 PYTHONPATH=. exec $venv/bin/python -m pytest -c tests/real_k2/side.ini tests/real_k2 -m k2 "$@"
