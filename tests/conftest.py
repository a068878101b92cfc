"""For every test: one thread and the same random numbers, so that a test behaves alone as it does among others."""

from __future__ import annotations

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)
