"""arcface and softmax with people in blocks: the same loss and gradients as with all logits, and chosen by size."""

from __future__ import annotations

import pytest
import torch

import smoothswap
from smoothswap.losses import class_blocks
from smoothswap.ops import classes_lse


@pytest.mark.parametrize("name", ["arcface", "softmax"])
def test_blocks_give_what_whole_logits_give(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classes_lse, "_BLOCK", 40)
    loss = smoothswap.build(name, "loss", people=23, dim=6).double()
    z, labels = torch.randn(9, 6, dtype=torch.float64, requires_grad=True), torch.randint(23, (9,))
    with torch.no_grad():
        z[0] = -loss.weight[labels[0]]  # θ = π, where the margin's continuation holds
    wanted = [z, *loss.parameters()]
    whole, blocks = loss.whole(z, labels), loss.in_blocks(z, labels)
    torch.testing.assert_close(blocks, whole)
    torch.testing.assert_close(torch.autograd.grad(blocks, wanted), torch.autograd.grad(whole, wanted))


@pytest.mark.parametrize("name", ["arcface", "softmax"])
def test_large_heads_go_in_blocks(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(class_blocks, "_MOST", 4 * 10 - 1)
    loss, gone = smoothswap.build(name, "loss", people=10, dim=6), []
    monkeypatch.setattr(loss, "in_blocks", lambda z, labels: gone.append(len(z)) or z.sum())
    for n in (3, 4):
        loss(torch.randn(n, 6), torch.zeros(n, dtype=torch.int64))
    assert gone == [4]


@pytest.mark.parametrize("name", ["arcface", "softmax"])
def test_logits_are_never_whole(name: str) -> None:
    """The largest tensor of a step is a gradient of the centres, or a block: not the logits."""
    loss = smoothswap.build(name, "loss", people=40_000, dim=4)
    z, labels = torch.randn(512, 4, requires_grad=True), torch.randint(40_000, (512,))
    largest = 0

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            nonlocal largest
            result = func(*args, **(kwargs or {}))
            for t in result if isinstance(result, (tuple, list)) else [result]:
                largest = max(largest, t.numel() if isinstance(t, torch.Tensor) else 0)
            return result

    with Watch():
        loss(z, labels).backward()
    assert 0 < largest <= classes_lse._BLOCK < 512 * 40_000
