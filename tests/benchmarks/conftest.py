"""The device under measurement, and what the JSON says about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor

Measure = Callable[..., Tensor]


@pytest.fixture
def device() -> torch.device:
    """The GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture
def measure(benchmark: BenchmarkFixture, device: torch.device) -> Measure:
    """Times a call to the end of its work on the device, with its allocations; gives the call's result."""

    def run(call: Callable[..., Tensor], *arguments: Any, group: str, moved_bytes: int | None = None) -> Tensor:
        benchmark.group = f"{group} on {device.type}"
        if moved_bytes is not None:
            benchmark.extra_info["moved_bytes"] = moved_bytes

        def to_the_end() -> Tensor:
            result = call(*arguments)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            return result

        to_the_end()  # a first call may compile or choose a kernel
        with torch.no_grad():
            return benchmark(to_the_end)

    return run


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """Adds what decides the numbers: PyTorch, its threads, the GPU; leaves the host's name out."""
    machine_info.pop("node", None)
    machine_info["torch"] = torch.__version__
    machine_info["threads"] = torch.get_num_threads()
    if torch.cuda.is_available():
        machine_info["gpu"] = torch.cuda.get_device_name()
        machine_info["cuda"] = torch.version.cuda
