# `make demo` on a fresh Debian 12: installs what is missing, then does the main job.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= 2
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input --quiet \
       --retries 10 --timeout 60 install --constraint requirements.lock
TOOLS := scripts/install_tools.sh $(PYTHON)
FRAMEWORKS := tensorflow onnx torch
# A version of which some registries have a build without CUDA, 3 GB smaller.
PACKAGES_torch ?= torch==2.13.0
C_SOURCES = $(shell find runtime_c examples -name '*.[ch]' -o -name '*.cpp')

.PHONY: help
help:  ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(VENV)/.setup tools  ## Build the digits firmware, boot it in QEMU, check every byte
	@$(BIN)/python examples/digits/demo.py

.PHONY: setup
setup: $(VENV)/.setup  ## Create .venv with tinyml installed (quick when up to date)
	@echo "Ready: . $(BIN)/activate"

.PHONY: tools
tools:  ## Install the cross compiler and QEMU where they are missing (apt)
	@$(TOOLS) python firmware

# Tests build the same C again and again: a cache keeps objects, also those of other folders.
test: export PATH := /usr/lib/ccache:$(PATH)
test: export CCACHE_DIR := $(CURDIR)/build/ccache
test: export CCACHE_NOHASHDIR := 1

.PHONY: test
test: check tools  ## Install what tests need, then check and run all of them
	@$(TOOLS) host linux riscv avr
	@scripts/board_python.sh arm64 build/arm64
	$(BIN)/python -m pytest -n $(JOBS)

.PHONY: test-frameworks
test-frameworks: tools $(FRAMEWORKS:%=test-%)  ## Train in Keras, ONNX, PyTorch, deploy (6 GB in build/)

.PHONY: $(FRAMEWORKS:%=test-%)
$(FRAMEWORKS:%=test-%): test-%: build/frameworks/%/.done
	$(<D)/bin/python -m pytest -v tests/frameworks/test_$*.py

build/frameworks/%/.done: pyproject.toml
	@echo "Installing tinyml[$*] into $(@D)"
	@$(PYTHON) -m venv $(@D)
	@$(@D)/bin/python -m pip --disable-pip-version-check --no-input --quiet --retries 10 --timeout 60 \
	  install --editable '.[$*]' cffi pytest $(PACKAGES_$*)
	@touch $@

.PHONY: check
check: $(VENV)/.dev  ## Formatting, lint, strict types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	@echo "$(BIN)/clang-format --dry-run -Werror (runtime_c, examples)"
	@$(BIN)/clang-format --dry-run -Werror $(C_SOURCES)

.PHONY: format
format: $(VENV)/.dev  ## Format Python and C
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	@$(BIN)/clang-format -i $(C_SOURCES)

.PHONY: bench
bench: $(VENV)/.dev tools  ## Measure every model and rewrite the tables in benchmarks/
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.cores
	$(BIN)/python -m benchmarks.kernels
	$(BIN)/python -m benchmarks.training_steps

.PHONY: bench-diff
bench-diff: $(VENV)/.dev tools  ## Measure again; fail where a figure has grown by over 2 %
	$(BIN)/python -m benchmarks --diff --inputs 2

.PHONY: sweep
sweep: $(VENV)/.dev tools  ## Measure what memory costs in time, and rewrite benchmarks/sweep.md
	$(BIN)/python -m benchmarks.sweep

.PHONY: pictures
pictures: $(VENV)/.dev  ## Draw the pictures of docs/planning.md from plans of real networks
	$(BIN)/python docs/draw.py

.PHONY: planners
planners: $(VENV)/.dev  ## Plan what other planners published figures of; rewrite docs/planning.md
	$(BIN)/python -m benchmarks.planners

.PHONY: training
training: $(VENV)/.dev  ## Compute what training costs and brings; rewrite benchmarks/training.md
	$(BIN)/python -m benchmarks.training

.PHONY: costs
costs: $(VENV)/.dev tools  ## Measure what kernels cost, for what `tinyml plan` predicts
	$(BIN)/python -m benchmarks.costs

.PHONY: lock
lock: $(VENV)/.setup  ## Renew requirements.lock from pyproject.toml
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --extra demo --extra dev \
	  --no-annotate --custom-compile-command "make lock" --upgrade -o requirements.lock

.PHONY: clean
clean:  ## Remove .venv and everything that was built
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/.setup: pyproject.toml requirements.lock
	@$(TOOLS) python
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("error: tinyml needs Python 3.11 \
	or newer, and $(PYTHON) is " + sys.version.split()[0] + "; name another: make PYTHON=python3.12")'
	@echo "Installing Python packages into $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) --editable '.[demo]'
	@touch $@

$(VENV)/.dev: $(VENV)/.setup
	@echo "Installing the development tools into $(VENV)"
	@$(PIP) --editable '.[demo,dev]'
	@touch $@
