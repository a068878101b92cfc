"""For every test: one thread and the same random numbers, so that a test behaves alone as it does among others.

Without a CUDA device Triton's kernels are interpreted, so that they are tested at all.
"""

from __future__ import annotations

import os

import pytest
import torch

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # Triton reads it as it decorates a kernel
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)
