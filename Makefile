# Everything runs in .venv, which these targets make; only make and Python 3.11, 3.12 or 3.13 are
# needed (3.14 as soon as TensorFlow, which reads some data sets, has wheels for it).
BIN := .venv/bin
OLDEST := .venv-oldest/bin
ONNX := .venv-onnx/bin
DOCS := .venv-docs/bin
WHEEL := .venv-wheel/bin
# $(call newest,3.13 3.12): the first of these Pythons that answers and can make environments. One on
# the PATH may be a shim of pyenv's that stands for nothing, while pyenv has that version.
newest = $(shell for version in $(1); do \
	for python in "python$$version" "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/"$$version"*/bin/python3 python3; do \
	"$$python" -c "import ensurepip, sys, venv; sys.exit('%d.%d' % sys.version_info[:2] != '$$version')" \
	>/dev/null 2>&1 && { echo "$$python"; exit; }; done; done)
PYTHON ?= $(call newest,3.13 3.12 3.11)
PYTHON_OLDEST ?= $(call newest,3.11)
# The CUDA build of JAX that the NVIDIA driver serves, the CPU build where none answers.
GPU := $(shell nvidia-smi --query-gpu=driver_version --format=csv,noheader 2>/dev/null | awk -F. \
	'$$1 ~ /^[0-9]+$$/ { print ($$1 >= 580) ? "cuda13" : "cuda12"; exit }')
comma := ,
PIP_FLAGS := --quiet --disable-pip-version-check
PIP := $(BIN)/python -m pip install $(PIP_FLAGS) -c constraints.txt

.PHONY: run test test-slow test-oldest test-onnx test-wheel docs lint format typecheck benchmark clean

run: .venv/.run
	$(BIN)/python experiments/proxyless_cifar.py --dataset digits --train-limit 300 --base resnet20_cells --epochs 24 --batch-size 32 --run-dir runs/digits --overwrite

test: .venv/.dev
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

test-slow: .venv/.slow
	$(BIN)/python -m pytest -n 2 --dist worksteal -m slow
	$(MAKE) test-onnx

# jax2onnx and its runtime, which want an older Orbax than the other tests have.
test-onnx: .venv-onnx/.dev
	$(ONNX)/python -m pytest -n 2 --dist worksteal tests/nn/weights/test_onnx_file.py

# The oldest Python and JAX that are supported, on the tests that tell most.
test-oldest: .venv-oldest/.dev
	$(OLDEST)/python -m pytest -n 2 --dist worksteal -m "oldest and not slow"

# The pages of docs/ as a site, in build/site/index.html. A link or an anchor that leads nowhere is an error.
docs: .venv-docs/.done
	NO_MKDOCS_2_WARNING=1 $(DOCS)/mkdocs build --strict --quiet

# The wheel and the sdist: what they hold, and the wheel in an environment that has nothing else.
test-wheel: .venv/.wheel
	rm -rf .venv-wheel && mkdir .venv-wheel
	$(BIN)/python -m build --outdir .venv-wheel/dist > .venv-wheel/build.log || { cat .venv-wheel/build.log; exit 1; }
	$(BIN)/twine check --strict .venv-wheel/dist/*
	$(BIN)/python .ci/archives.py .venv-wheel/dist
	$(BIN)/python -m venv .venv-wheel
	$(WHEEL)/python -m pip install $(PIP_FLAGS) -c constraints.txt .venv-wheel/dist/*.whl
	$(WHEEL)/jaxnas adapt --base resnet20_cells --dataset digits --train-limit 200 --epochs 1 --methods cell --batch-size 32 --run-dir .venv-wheel/run
	downstream="$$(mktemp -d)" && cp .ci/downstream.py "$$downstream" && \
	$(BIN)/pyright -p "$$downstream" --pythonpath $(WHEEL)/python && rm -r "$$downstream"

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
	rm -rf .venv .venv-oldest .venv-onnx .venv-docs .venv-wheel .cache build *.egg-info

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 with its venv module is needed, and none answers: install one, or say make PYTHON=/path/to/python"; exit 1; }
	@test "$$("$(PYTHON)" -c 'import sys; print(sys.version_info >= (3, 11))')" = True || { echo "$(PYTHON) does not answer or is older than Python 3.11: say make PYTHON=/path/to/python3.13"; exit 1; }
	"$(PYTHON)" -m venv .venv

.venv/.run: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) -e "$(if $(GPU),.[$(GPU)],.)"
	@touch $@

.venv/.dev: .venv/.run
	$(PIP) -e ".[dev,tfds$(if $(GPU),$(comma)$(GPU))]"
	@touch $@

.venv/.slow: .venv/.dev
	$(PIP) -e ".[imports-test,tables]"
	@touch $@

.venv/.wheel: .venv/.dev
	$(PIP) -e ".[wheel-test]"
	@touch $@

.venv-oldest/.dev: pyproject.toml constraints.txt
	@test -n "$(PYTHON_OLDEST)" || { echo "Python 3.11 with its venv module is needed, and does not answer: install it, or say make PYTHON_OLDEST=/path/to/python3.11"; exit 1; }
	test -x $(OLDEST)/python || "$(PYTHON_OLDEST)" -m venv .venv-oldest
	$(OLDEST)/python -m pip install $(PIP_FLAGS) -c constraints.txt -e ".[oldest-test]"
	@touch $@

.venv-onnx/.dev: pyproject.toml constraints.txt | .venv/bin/python
	test -x $(ONNX)/python || "$(PYTHON)" -m venv .venv-onnx
	sed 's/^orbax-checkpoint==.*/orbax-checkpoint==0.11.36/' constraints.txt > .venv-onnx/constraints.txt
	$(ONNX)/python -m pip install $(PIP_FLAGS) -c .venv-onnx/constraints.txt -e ".[oldest-test,onnx]"
	@touch $@

# The pages of the API are read from the source: nothing of jaxnas's own dependencies is needed.
.venv-docs/.done: pyproject.toml constraints.txt | .venv/bin/python
	test -x $(DOCS)/python || "$(PYTHON)" -m venv .venv-docs
	$(DOCS)/python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']['docs'], sep='\n')" > .venv-docs/requirements.txt
	$(DOCS)/python -m pip install $(PIP_FLAGS) -c constraints.txt -r .venv-docs/requirements.txt
	@touch $@
