PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test setup lock clean

## run: set everything up, then run the whole pipeline with config.yaml
run: setup
	$(BIN)/snakemake --cores all

## test: set everything up, then run the tests
test: setup
	$(BIN)/pytest

setup: .venv/installed

# The lock is installed as it stands; a partial installation leaves no marker and is repeated.
.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("gcodefp needs Python 3.11 or newer; name one: make PYTHON=python3.12") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@

## lock: resolve pyproject.toml anew; torch itself pins the CUDA packages that it needs
lock: setup
	$(BIN)/uv pip compile --universal --python-version 3.11 --extra dev --no-header --no-annotate \
	    $(shell grep -oE '^(nvidia|cuda|triton)[a-z0-9-]*' requirements.lock | sed 's/^/--no-emit-package /') \
	    --output-file requirements.lock pyproject.toml

clean:
	rm -rf .venv
