"""Runs a test once for each backend that this machine has, under `smoothswap.ops.use`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from smoothswap.ops import can_run, use


@pytest.fixture(params=["reference", "cpu", "triton"])
def on(request: pytest.FixtureRequest) -> Callable[..., AbstractContextManager[None]]:
    """`with on("upfirdn2d"):` runs the block on this backend, or skips the test with the reason."""

    @contextmanager
    def block(op: str, **options: object) -> Iterator[None]:
        if reason := can_run(op, request.param, **options):
            pytest.skip(reason)
        with use(request.param):
            yield

    return block
