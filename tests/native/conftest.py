"""`emulated`: the CUDA kernels run as C++ on CPU tensors while a test runs."""

from __future__ import annotations

from collections.abc import Iterator

import cuda_emulation
import pytest

from smoothswap.ops import native_cuda, use


@pytest.fixture
def emulated(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every op on the emulated CUDA kernels; within `use("reference")` on PyTorch as ever."""
    library = cuda_emulation.library()
    if library is None:
        pytest.skip("no C++ compiler")
    monkeypatch.setenv(native_cuda.EMULATION, str(library))
    assert native_cuda.missing() is None
    with use("cuda"):
        yield
