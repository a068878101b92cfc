"""Every Python block of docs/ops.md runs, in order."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

PAGE = Path(__file__).parents[2] / "docs" / "ops.md"


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.skipif(not hasattr(torch._dynamo.config, "trace_autograd_ops"), reason="this PyTorch cannot compile R1")
def test_blocks() -> None:
    names: dict[str, object] = {}
    for number, block in enumerate(re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S), 1):
        exec(compile(block, f"docs/ops.md, block {number}", "exec"), names)
    assert names["y"].shape == (2, 8, 4, 4)
    assert names["h"].shape == (2, 4, 8, 8)
    assert names["loss"].requires_grad
