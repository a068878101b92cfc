# Every target works alone on a fresh machine: it makes the environment it needs, and reuses it the next time.
#
#   make demo     set up, swap faces, write demo/index.html
#   make test     set up, run the test suite
#   make lint     ruff, mypy --strict, import layers
#   make fuzz     search for inputs that end in something other than a result or a readable error; 10 minutes at most
#   make bench    our ops beside plain PyTorch, on the CPU; writes docs/benchmarks/
#   make gpu      on a CUDA machine: build, test and measure there; writes docs/benchmarks/
#   make gpu-train on a CUDA machine: train a swapper at 128 px for 9 minutes, called again go on; writes gpu-train/
#   make clean    remove what the targets above made, but for trainings
#
# Variables:
#   PYTHON=python3.12                 the interpreter to start from (3.11 or later)
#   VENV=.venv                        where the environment lives
#   VENV_FLAGS=--system-site-packages use the PyTorch that PYTHON already has
#   TORCH="torch==2.13.0"             what to give to pip where the environment has no torch, --index-url included.
#       On Linux, torch from PyPI brings gigabytes of CUDA libraries that a machine without a GPU has no use for;
#       PyTorch's own index has builds for the CPU.
#   TRITON="triton==3.6.*"            what the tests interpret and compile the Triton kernels with, where there is none.
#       The interpreter of 3.9 refuses masks that the compilers and 3.6's take.
#   JOBS=2                            test processes
#   INSTALL=0                         ask no package registry: the requirements are there, in PYTHON's own packages
#       (VENV_FLAGS=--system-site-packages) or on PYTHONPATH
#   CASES=1000 SEED=0 MINUTES=10      fuzz: inputs of each part, which ones, and after how long it ends
#   PARTS=photographs,models          fuzz: only these parts; all where left out
#   CASE=0/3/17                       fuzz: repeat this case of the one part in PARTS, as a find names it
#   OUT=gpu-train                     gpu-train: what it leaves, at most eight files of at most 16 MiB
#   RUN_FOLDER=runs/gpu-train         gpu-train: the run with its checkpoints
#   FOR=9m CALLS=1                    gpu-train: time of a call, and how many calls the training is to take
#   PHOTOGRAPHS=photographs.tar       gpu-train: photographs and embedder, packed by tests/benchmarks/pack_photographs.py
#   TRAIN_FLAGS="--set batch_size=32" gpu-train: more options, as tests/benchmarks/gpu_train.py has them

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help install demo test fuzz lint bench gpu gpu-train clean

PYTHON ?= python3
VENV ?= .venv
VENV_FLAGS ?=
TORCH ?= torch==2.13.0
TRITON ?= triton==3.6.*
JOBS ?= 2
CASES ?= 1000
SEED ?= 0
MINUTES ?= 10
PARTS ?=
CASE ?=
INSTALL ?= 1
OUT ?= gpu-train
RUN_FOLDER ?= runs/gpu-train
FOR ?= 9m
CALLS ?= 1
TRAIN_FLAGS ?=
PHOTOGRAPHS ?=

RUN := $(VENV)/bin/python -m
PIP := $(RUN) pip --disable-pip-version-check install --quiet
INSTALLED := $(VENV)/.smoothswap-installed
help:
	@sed -n 's/^#   make /make /p' Makefile

install: $(INSTALLED)

$(INSTALLED): pyproject.toml $(wildcard setup.py CMakeLists.txt csrc/*/* csrc/*)
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV_FLAGS) $(VENV)
ifeq ($(INSTALL),0)
	$(VENV)/bin/python setup.py build_ext --inplace
else
	$(VENV)/bin/python -c 'import torch' 2>/dev/null || $(PIP) $(TORCH)
	$(PIP) 'setuptools>=77' wheel 'cmake>=3.24' ninja 'pybind11>=2.13'
	$(VENV)/bin/python -c 'import triton' 2>/dev/null || $(PIP) $(TRITON) || echo 'no $(TRITON) here: the tests of its kernels are skipped'
	$(PIP) --no-build-isolation --editable '.[all,test,lint,native]'
endif
	touch $@

demo: $(INSTALLED)
	$(RUN) smoothswap demo --out demo

# One thread a process: the processes already share the cores.
test: $(INSTALLED)
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(RUN) pytest -n $(JOBS)

fuzz: $(INSTALLED)
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(VENV)/bin/python tests/fuzz --jobs $(JOBS) --cases $(CASES) --seed $(SEED) \
		--minutes $(MINUTES) $(if $(PARTS),--parts $(PARTS)) $(if $(CASE),--case $(CASE))

lint: $(INSTALLED)
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(VENV)/bin/lint-imports

bench: $(INSTALLED)
	$(VENV)/bin/python tests/benchmarks/bench.py

# It builds by itself, so that a failed build is one line of the result; the environment is made without.
gpu: export SMOOTHSWAP_NATIVE := 0
gpu: $(INSTALLED)
	$(VENV)/bin/python tests/benchmarks/gpu.py

# Without a build of its own, which would take minutes of the GPU's time: the ops run in what is there, Triton or PyTorch.
gpu-train: export SMOOTHSWAP_NATIVE := 0
gpu-train: $(INSTALLED)
	PYTHONPATH="$(CURDIR)$${PYTHONPATH:+:$$PYTHONPATH}" $(VENV)/bin/python tests/benchmarks/gpu_train.py \
		--out $(OUT) --run $(RUN_FOLDER) --for $(FOR) --calls $(CALLS) $(if $(PHOTOGRAPHS),--photographs $(PHOTOGRAPHS)) $(TRAIN_FLAGS)

clean:
	rm -rf .venv build dist demo fuzz-finds fuzz-case .benchmarks .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
	find smoothswap tests examples -name '__pycache__' -prune -exec rm -rf {} + -o -name '*.so' -exec rm -f {} +
