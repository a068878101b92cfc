"""Runs a test once for each backend that this machine has or can emulate, under `smoothswap.ops.use`.

Triton's kernels are interpreted on CPU tensors where there is no GPU (see tests/conftest.py). Where there is one,
"triton" and "cuda" are marked gpu, and tensors that the test makes are on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import torch

from smoothswap.ops import can_run, use

GPU = [pytest.mark.gpu] if torch.cuda.is_available() else []
BACKENDS = ["reference", "cpu", pytest.param("triton", marks=GPU), pytest.param("cuda", marks=pytest.mark.gpu)]


@dataclass(frozen=True)
class On:
    """`with on("upfirdn2d"):` runs the block on this backend, or skips the test with the reason.

    Attributes:
        backend: its name.
        device: where its tensors are; the default device while the test runs.
        slow: interpreted or emulated, so that gradcheck's fast mode is right.
    """

    backend: str
    device: torch.device

    @property
    def slow(self) -> bool:
        return self.backend in ("triton", "cuda") and self.device.type == "cpu"

    @contextmanager
    def __call__(self, op: str, **options: object) -> Iterator[None]:
        if reason := can_run(op, self.backend, **options):
            pytest.skip(reason)
        with use(self.backend):
            yield


@pytest.fixture(params=BACKENDS)
def on(request: pytest.FixtureRequest) -> Iterator[On]:
    """A backend; a test that takes it runs once on each."""
    on_gpu = request.param in ("triton", "cuda") and torch.cuda.is_available()
    device = torch.device("cuda" if on_gpu else "cpu")
    before = torch.get_default_device()
    torch.set_default_device(device)
    try:
        yield On(request.param, device)
    finally:
        torch.set_default_device(before)
