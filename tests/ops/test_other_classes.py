"""other_classes_lse: against cross-entropy over whole logits, over several blocks, and where no other class is."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from smoothswap.ops import other_classes
from smoothswap.ops.other_classes import other_classes_lse


def arguments(n: int = 5, people: int = 7, d: int = 3, dtype: torch.dtype = torch.float64) -> tuple[Tensor, ...]:
    made = [torch.randn(*shape, dtype=dtype) for shape in ((n, d), (people, d), (people,), (people,))]
    return *(t.requires_grad_() for t in made), torch.arange(n) * 3 % people


@pytest.fixture(params=[1, 8, 1 << 22], ids=["a class a block", "blocks that do not divide", "one block"])
def blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(other_classes, "_BLOCK", request.param)


@pytest.mark.usefixtures("blocks")
def test_it_gives_cross_entropy() -> None:
    x, weight, factor, bias, labels = arguments()
    logits = factor * (x @ weight.T) + bias
    true = logits.gather(1, labels[:, None])[:, 0]
    whole = F.cross_entropy(logits, labels, reduction="none")
    parts = F.softplus(other_classes_lse(x, weight, factor, bias, labels) - true)
    torch.testing.assert_close(parts, whole)
    weights, wanted = torch.randn(5, dtype=torch.float64), (x, weight, factor, bias)
    expected = torch.autograd.grad(whole @ weights, wanted, retain_graph=True)
    torch.testing.assert_close(torch.autograd.grad(parts @ weights, wanted), expected)


@pytest.mark.usefixtures("blocks")
def test_gradients() -> None:
    assert torch.autograd.gradcheck(other_classes_lse, arguments())


def test_by_hand() -> None:
    x, weight = torch.tensor([[1.0], [2.0]]), torch.tensor([[1.0], [2.0], [3.0]])
    lse = other_classes_lse(x, weight, torch.ones(3), torch.zeros(3), torch.tensor([2, 0]))
    torch.testing.assert_close(lse, torch.tensor([math.log(math.e + math.e**2), math.log(math.e**4 + math.e**6)]))


def test_huge_logits_stay_finite() -> None:
    x, weight, factor, bias, labels = arguments(dtype=torch.float32)
    lse = other_classes_lse(x, weight, factor * 1e4, bias, labels)
    assert lse.isfinite().all()
    assert all(g.isfinite().all() for g in torch.autograd.grad(lse.sum(), (x, weight, factor, bias)))


def test_no_other_class_and_no_vector() -> None:
    x, weight, factor, bias, labels = arguments(n=3, people=1)
    lse = other_classes_lse(x, weight, factor, bias, labels)
    assert lse.isneginf().all()
    assert all((g == 0).all() for g in torch.autograd.grad(lse.sum(), (x, weight, factor, bias)))
    x, weight, factor, bias, labels = arguments(n=0)
    lse = other_classes_lse(x, weight, factor, bias, labels)
    assert lse.shape == (0,)
    assert all((g == 0).all() for g in torch.autograd.grad(lse.sum(), (x, weight, factor, bias)))


def test_op_is_as_pytorch_wants_it() -> None:
    torch.library.opcheck(torch.ops.smoothswap.other_classes_lse.default, arguments())
    inner = [t.detach() for t in arguments()]
    torch.library.opcheck(
        torch.ops.smoothswap.other_classes_lse_grad.default, (torch.randn(5).double(), *inner, torch.randn(5).double())
    )


def test_second_derivative_is_refused() -> None:
    x, *others = arguments()
    (g,) = torch.autograd.grad(other_classes_lse(x, *others).sum(), x, create_graph=True)
    with pytest.raises(NotImplementedError, match="no second"):
        g.sum().backward()
