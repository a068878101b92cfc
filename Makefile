# Every target works alone on a fresh machine: it makes the environment it needs, and reuses it the next time.
#
#   make demo     set up, swap faces, write demo/index.html
#   make test     set up, run the test suite
#   make lint     ruff, mypy --strict, import layers
#   make bench    our ops beside plain PyTorch, on the CPU
#   make gpu      on a CUDA machine: build, test and measure there; writes docs/benchmarks/
#   make clean    remove what the targets above made
#
# Variables:
#   PYTHON=python3.12                 the interpreter to start from (3.11 or later)
#   VENV=.venv                        where the environment lives
#   VENV_FLAGS=--system-site-packages use the PyTorch that PYTHON already has
#   TORCH="torch==2.13.0"             what to give to pip where the environment has no torch, --index-url included.
#       On Linux, torch from PyPI brings gigabytes of CUDA libraries that a machine without a GPU has no use for;
#       PyTorch's own index has builds for the CPU.
#   JOBS=2                            test processes

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help install demo test lint bench gpu clean

PYTHON ?= python3
VENV ?= .venv
VENV_FLAGS ?=
TORCH ?= torch==2.13.0
JOBS ?= 2

RUN := $(VENV)/bin/python -m
PIP := $(RUN) pip --disable-pip-version-check install --quiet
INSTALLED := $(VENV)/.smoothswap-installed
# Benchmarks are skipped in the suite, so its options do not fit here.
BENCHMARKS := $(RUN) pytest -o addopts= -p no:cacheprovider tests/benchmarks --benchmark-only --benchmark-group-by=group \
	--benchmark-columns=min,median,iqr,rounds --benchmark-sort=name

help:
	@sed -n 's/^#   make /make /p' Makefile

install: $(INSTALLED)

$(INSTALLED): pyproject.toml $(wildcard setup.py CMakeLists.txt csrc/*/* csrc/*)
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV_FLAGS) $(VENV)
	$(VENV)/bin/python -c 'import torch' 2>/dev/null || $(PIP) $(TORCH)
	$(PIP) 'setuptools>=77' wheel 'cmake>=3.24' ninja 'pybind11>=2.13'
	$(PIP) --no-build-isolation --editable '.[test,lint,native]'
	touch $@

demo: $(INSTALLED)
	$(RUN) smoothswap demo --out demo

# One thread a process: the processes already share the cores.
test: $(INSTALLED)
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(RUN) pytest -n $(JOBS)

lint: $(INSTALLED)
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(VENV)/bin/lint-imports

bench: $(INSTALLED)
	$(BENCHMARKS)

gpu: $(INSTALLED)
	@$(VENV)/bin/python -c 'import sys, torch; torch.cuda.is_available() or sys.exit("make gpu needs a CUDA device, and PyTorch " + torch.__version__ + " sees none here")'
	$(RUN) pytest -m gpu
	mkdir -p docs/benchmarks
	$(BENCHMARKS) --benchmark-json=docs/benchmarks/$$(date -u +%Y-%m-%d)-$$($(VENV)/bin/python -c \
		'import re, torch; print(re.sub("[^a-z0-9]+", "-", torch.cuda.get_device_name().lower()))').json

clean:
	rm -rf .venv build dist demo .benchmarks .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
	find smoothswap tests examples -name '__pycache__' -prune -exec rm -rf {} + -o -name '*.so' -exec rm -f {} +
