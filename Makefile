# Everything runs in .venv, which these targets make; only Python >= 3.11 and make are needed.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
# A CUDA build of JAX where an NVIDIA driver answers, the CPU build elsewhere.
GPU := $(shell nvidia-smi >/dev/null 2>&1 && echo ,cuda12)
CUDA := $(if $(GPU),[cuda12],)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: run test test-slow lint format typecheck benchmark clean

run: .venv/.run
	$(BIN)/python experiments/proxyless_cifar.py --dataset digits --epochs 30 --batch-size 64 --run-dir runs/digits --overwrite

test: .venv/.dev
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

test-slow: .venv/.slow
	$(BIN)/python -m pytest -m slow

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

typecheck: .venv/.dev
	$(BIN)/pyright

format: .venv/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

benchmark: .venv/.run
	$(BIN)/python benchmarks/adaptation_step.py
	$(BIN)/python benchmarks/training_step.py

clean:
	rm -rf .venv .cache build *.egg-info

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed: install it, or say make PYTHON=/path/to/python"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than Python 3.11: say make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv .venv

.venv/.run: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) -e ".$(CUDA)"
	@touch $@

.venv/.dev: .venv/.run
	$(PIP) -e ".[dev,tfds$(GPU)]"
	@touch $@

.venv/.slow: .venv/.dev
	$(PIP) -e ".[imports-test]"
	@touch $@
