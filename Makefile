PYTHON ?= python3
JOBS ?= $(shell env -u OMP_NUM_THREADS nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)
BIN := .venv/bin
READY := .venv/ready
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help repro suite test lint pytest test-cluster check
help:  ## Show this help
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*## /\t/'

repro: $(READY)  ## Set up if needed, then run everything that is out of date, JOBS=N cells at once, and write the table
	python -m tools.workers --jobs $(JOBS) $(if $(ALLOW_MISSING),--allow-missing)

suite: $(READY)  ## Make suites/NAME.yaml the one that runs: make suite NAME=cifar10-quick; without NAME, list them
	python -m tools.suite $(if $(NAME),--name $(NAME)) $(if $(DISCARD),--discard)

test: $(READY)  ## Set up if needed, then lint, check types, docs, parameters and graph, and run the quick tests; all with ALL=1
	ruff check .
	ruff format --check .
	$(MAKE) --no-print-directory --jobs=2 pytest lint  # side by side: what comes before the first test uses one core

lint: $(READY)
	lint-imports
	mypy
	python -m tools.docs --check
	$(MAKE) --no-print-directory check

pytest: $(READY)
	OMP_NUM_THREADS=1 pytest -n $(JOBS) --dist loadfile $(if $(ALL),--all)  # one thread each; tests of a file share what it sets up

test-cluster: $(READY)  ## Set up Ray too, then run cells over three Ray nodes on this machine, which takes minutes
	pip install --quiet --disable-pip-version-check --constraint requirements.lock --group cluster
	pytest -m cluster tests/cluster

check: $(READY)  ## Check params.yaml, all problems at once, and the graph
	python -m stages.check --out data/checked.txt
	dvc dag > /dev/null

$(READY): pyproject.toml requirements.lock
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	pip install --quiet --disable-pip-version-check --constraint requirements.lock pip
	pip install --quiet --disable-pip-version-check --no-compile --constraint requirements.lock --group dev  # compiled when imported
	python -m tools.plots_page --template .dvc/plots/page.html --out .dvc/plots/whole.html
	dvc config --local plots.html_template plots/whole.html
	touch $@
