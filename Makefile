# Every command of the project. `make serve` and `make test` are the two a reader needs.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUN := $(BIN)/python
INSTALL := $(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
VERSION := import sys; print("%d.%d" % sys.version_info[:2])
export NO_MKDOCS_2_WARNING := 1

.PHONY: help serve test check build lint update-output parity bench ablations pretrain demo constraints clean

help:  ## list the commands
	@sed -nE 's/^([a-z][a-z-]*):.*## (.*)/\1	\2/p' Makefile | expand -t 16

serve: $(VENV)/installed  ## serve the site at http://127.0.0.1:8000 and reload on every change
	rm -rf .cache/mkdocs-jupyter
	NOTEBOOK_CACHE=true $(RUN) -m mkdocs serve # each notebook is executed once

test: $(VENV)/installed  ## run every test: package, gradients, pages, README, the built site
	$(RUN) -m pytest

# Two processes share the tests; matrix products in threads of their own would only be in the way.
check: export OPENBLAS_NUM_THREADS = 1
check: $(VENV)/installed  ## run the quick tests, under a minute
	$(RUN) -m pytest -m "not slow" --numprocesses 2 --dist loadfile

build: $(VENV)/installed  ## build the site into site/; a warning is an error
	$(RUN) -m mkdocs build --strict

lint: $(VENV)/installed  ## check the style of code and prose, the types and the spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(RUN) -m mypy
	$(BIN)/codespell
	$(BIN)/rumdl check --flavor mkdocs --no-cache .

update-output: $(VENV)/installed  ## show how the recorded outputs would change, then rewrite them
	$(RUN) -m pytest --update-output

# Any interpreter with PyTorch, NumPy and pytest will do: make parity PARITY_PYTHON=/path/to/python
PARITY_PYTHON ?= $(RUN)
WITH_TORCH := $(if $(filter $(RUN),$(PARITY_PYTHON)),$(VENV)/installed-bench)

parity: $(WITH_TORCH)  ## compare values and gradients with PyTorch, live
	$(PARITY_PYTHON) -m pytest --override-ini addopts= tests/parity/test_parity.py

# make bench BENCH="training memory" TEXT=input.txt ROUNDS=9
BENCH ?=
TEXT ?=
ROUNDS ?= 15
bench: $(WITH_TORCH)  ## measure all that is on the page Benchmarks beside its peers, half an hour
	$(PARITY_PYTHON) -m benchmarks $(BENCH) --rounds $(ROUNDS) $(if $(TEXT),--text $(TEXT))
	$(RUN) -m pytest docs/Benchmarks.md docs/Training.md docs/TextGeneration.md --update-output

ABLATIONS := normalization residuals positions attention_scale activation dropout \
	vocabulary_size position_scale

ablations: $(VENV)/installed  ## repeat the ablations that the book quotes, about 45 minutes
	@set -e; for name in $(ABLATIONS); do $(RUN) -m experiments.$$name; done

pretrain: $(VENV)/installed  ## train the default model on the plays of Shakespeare
	$(RUN) -m literategpt.train_pretrain

demo: $(VENV)/installed  ## let the newest checkpoint write
	$(RUN) -m literategpt.run_demo

constraints:  ## pin the newest version of everything, in constraints.txt
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(INSTALL) uv
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 pyproject.toml \
		--extra docs --extra test --extra lint --extra browser \
		--no-header --no-annotate --no-emit-find-links --output-file constraints.new
	@echo "# The versions this project was tested with. Remade by: make constraints" > constraints.tmp
	@cat constraints.new >> constraints.tmp
	@mv constraints.tmp constraints.txt && rm constraints.new

clean:  ## remove what was built; .venv, the corpus and checkpoints stay
	rm -rf site dist .cache .pytest_cache .mypy_cache .ruff_cache

# A PYTHON that was asked for, and an environment of another version: make it anew.
ifneq ($(origin PYTHON),file)
ifneq ($(shell $(PYTHON) -c '$(VERSION)'),$(shell $(RUN) -c '$(VERSION)' 2>/dev/null))
.PHONY: $(VENV)/installed
endif
endif

$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info < (3, 11) and sys.exit("expected Python 3.11 or newer, got %d.%d; try: make PYTHON=python3.13" % sys.version_info[:2])'
	@test "$$($(RUN) -c '$(VERSION)' 2>/dev/null)" = "$$($(PYTHON) -c '$(VERSION)')" \
		|| $(PYTHON) -m venv --clear $(VENV)
	$(INSTALL) --editable ".[docs,test,lint,browser]"
	@touch $@

$(VENV)/installed-bench: $(VENV)/installed
	$(INSTALL) --editable ".[bench]"
	@touch $@
