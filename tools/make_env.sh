#!/bin/sh
# Make or refresh .venv from requirements.lock, with uv when it is on PATH, else with pip.
# Usage: make_env.sh [PYTHON]. Does nothing when neither the lock nor pyproject.toml changed;
# PYTHON counts when .venv is made, so remove .venv to change it.
set -eu
cd "$(dirname "$0")/.."

fits() { "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; }

choose_python() {
  for name in "$@" python3 python3.12 python3.13 python3.11 python3.10 python; do
    if [ -n "$name" ] && fits "$name"; then echo "$name"; return; fi
    if [ -n "$name" ] && [ "$name" = "${1:-}" ]; then break; fi
  done
  echo "error: ${1:-no python on PATH} is not a Python 3.10, 3.11, 3.12 or 3.13" >&2
  echo "hint: install one, or name it: make PYTHON=/path/to/python3.12" >&2
  exit 1
}

make_venv() {
  python=$(choose_python "$1")
  echo "making .venv with $("$python" --version 2>&1)" >&2
  if command -v uv >/dev/null 2>&1; then
    uv venv --quiet --seed --clear --python "$(command -v "$python")" .venv
  elif ! "$python" -m venv --clear .venv; then
    rm -rf .venv
    echo "error: \`$python -m venv\` does not work" >&2
    echo "hint: install its venv module (on Debian and Ubuntu: apt install python3-venv), or install uv" >&2
    exit 1
  fi
}

install() {
  if command -v uv >/dev/null 2>&1; then
    # uv does not read pip's settings of a private index
    UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-${PIP_INDEX_URL:-}}"
    if [ -n "$UV_DEFAULT_INDEX" ]; then export UV_DEFAULT_INDEX; else unset UV_DEFAULT_INDEX; fi
    uv pip install --quiet --python .venv/bin/python "$@"
  else
    .venv/bin/python -m pip install --quiet --disable-pip-version-check "$@"
  fi
}

stamp=$(cat requirements.lock pyproject.toml tools/make_env.sh | cksum)
if ! fits .venv/bin/python; then make_venv "${1:-}"; fi
if [ "$(cat .venv/.stamp 2>/dev/null)" != "$stamp" ]; then
  echo "installing requirements.lock into .venv (the first time about 2.5 GB: torch with its CUDA libraries)" >&2
  install -r requirements.lock
  install --no-deps -e .
  echo "$stamp" >.venv/.stamp
fi
touch .venv/.stamp .venv
