# Every target does its own set-up: an environment in .venv from requirements.lock, nothing global.
# Needs make, git and a Python 3.10-3.13; `make PYTHON=/path/to/python3.12` chooses one. uv is used when on PATH.

PYTHON ?=
UPGRADE ?=
BIN := .venv/bin
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto
WITHOUT := not slurm and not gpu and not k2

.PHONY: help demo check test bench lock test-slurm test-k2 lint clean
help:
	@echo "make demo      a small corpus made on the spot, models with and without cut-and-paste, a report (about twelve minutes)"
	@echo "make check     format, lint, types, recipes, layers, sizes, fast tests (before each commit)"
	@echo "make test      everything that needs no GPU"
	@echo "make bench     one script per speed claim; prints JSON lines"
	@echo "make test-slurm  the promises about jobs against a real two-node Slurm, started on the spot (root on Debian)"
	@echo "make test-k2   the k2 functions against the real k2, in a side environment (Python 3.10)"
	@echo "make lock      write requirements.lock anew; UPGRADE=--upgrade takes newer versions"
	@echo "make .venv     only the environment; PYTHON=... chooses the interpreter"
	@echo "make clean     remove caches and build folders; environments and experiments stay"

.venv .venv/.stamp: tools/make_env.sh requirements.lock pyproject.toml
	@sh tools/make_env.sh "$(PYTHON)"

demo: .venv/.stamp
	PATH="$(CURDIR)/$(BIN):$$PATH" egs/fewtexts/run.sh --results exp/results.md

lint: .venv/.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python tools/lint_recipes.py

check: lint
	$(PYTEST) -m "not slow and $(WITHOUT)"

test: lint
	$(PYTEST) -v -m "$(WITHOUT)"

bench: .venv/.stamp
	@for script in tools/bench/*.py; do \
	  echo "# $$script"; $(BIN)/python "$$script" || exit 1; \
	done

# four clusters, two of them with accounting, each with a worker of its own; some promises are about seconds, so what
# failed beside a busy neighbour is tried once more, alone
SLURM_TESTS := OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/jobs -rs -m slurm
test-slurm: .venv/.stamp
	$(SLURM_TESTS) -n 4 --dist loadgroup || { test $$? = 1 && $(SLURM_TESTS) --last-failed; }

test-k2:
	bash tools/test_k2.sh

lock:
	@sh tools/lock.sh $(UPGRADE)

clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.venv*' -prune -exec rm -rf {} +
