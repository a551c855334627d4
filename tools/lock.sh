#!/bin/sh
# Write requirements.lock: one file for Python 3.10-3.13, without host names, with all extras that have wheels
# (meeteval is built from source with a C++ compiler, so it is left out).
# Usage: lock.sh [--upgrade]. uv comes from PATH, else from its own small environment .venv-lock.
set -eu
cd "$(dirname "$0")/.."

uv=$(command -v uv || true)
if [ -z "$uv" ]; then
  uv=.venv-lock/bin/uv
  if [ ! -x "$uv" ]; then
    "${PYTHON:-python3}" -m venv --clear .venv-lock
    .venv-lock/bin/python -m pip install --quiet --disable-pip-version-check "uv>=0.8"
  fi
fi
extras=$(sed -n '/^\[project.optional-dependencies\]/,/^\[project.scripts/s/^\([a-z0-9-]*\) = .*/--extra \1/p' pyproject.toml |
  grep -v ' meeteval$')
# shellcheck disable=SC2086  # several words
"$uv" pip compile pyproject.toml --quiet --universal --python-version 3.10 $extras \
  --no-emit-index-url --custom-compile-command "make lock" --output-file requirements.lock "$@"
if grep -n '://' requirements.lock >&2; then
  echo "error: requirements.lock names a host" >&2
  exit 1
fi
echo "requirements.lock: $(grep -c '==' requirements.lock) pins"
