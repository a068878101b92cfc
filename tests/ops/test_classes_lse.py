"""classes_lse: against cross-entropy over whole logits, over several blocks, and where no other class is."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from smoothswap.core.errors import ArgumentError
from smoothswap.ops import classes_lse as module
from smoothswap.ops.classes_lse import classes_lse


def arguments(n: int = 5, people: int = 7, d: int = 3, dtype: torch.dtype = torch.float64) -> tuple[Tensor, ...]:
    x, weight, bias = (
        torch.randn(*shape, dtype=dtype, requires_grad=True) for shape in ((n, d), (people, d), (people,))
    )
    return x, weight, bias, torch.arange(n) * 3 % people


@pytest.fixture(params=[1, 10, 1 << 22], ids=["a class a block", "blocks that do not divide", "one block"])
def blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK", request.param)


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("unit", [False, True], ids=["products", "cosines"])
def test_it_gives_cross_entropy(unit: bool) -> None:
    x, weight, bias, labels = arguments()
    logits = 2.5 * x @ (F.normalize(weight, dim=1) if unit else weight).T + bias
    whole = F.cross_entropy(logits, labels, reduction="none")
    lse, own = classes_lse(x, weight, bias, labels, 2.5, unit)
    parts = F.softplus(lse - 2.5 * own - bias[labels])
    torch.testing.assert_close(parts, whole)
    weights, wanted = torch.randn(5, dtype=torch.float64), (x, weight, bias)
    expected = torch.autograd.grad(whole @ weights, wanted, retain_graph=True)
    torch.testing.assert_close(torch.autograd.grad(parts @ weights, wanted), expected)


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("unit", [False, True], ids=["products", "cosines"])
def test_gradients(unit: bool) -> None:
    x, weight, bias, labels = arguments()
    assert torch.autograd.gradcheck(lambda *t: classes_lse(*t, labels, 2.5, unit), (x, weight, bias))
    assert torch.autograd.gradcheck(lambda *t: classes_lse(*t, None, labels, 2.5, unit), (x, weight))


def test_by_hand() -> None:
    x, weight = torch.tensor([[1.0], [2.0]]), torch.tensor([[1.0], [2.0], [3.0]])
    lse, own = classes_lse(x, weight, None, torch.tensor([2, 0]))
    torch.testing.assert_close(lse, torch.tensor([math.log(math.e + math.e**2), math.log(math.e**4 + math.e**6)]))
    torch.testing.assert_close(own, torch.tensor([3.0, 2.0]))
    lse, own = classes_lse(x, weight, torch.tensor([1.0, 0.0, 0.0]), torch.tensor([2, 0]), scale=3.0, unit=True)
    torch.testing.assert_close(lse, torch.tensor([math.log(math.e**4 + math.e**3), math.log(2 * math.e**6)]))
    torch.testing.assert_close(own, torch.tensor([1.0, 2.0]))


def test_huge_logits_and_a_centre_of_no_length_stay_finite() -> None:
    x, weight, bias, labels = arguments(dtype=torch.float32)
    with torch.no_grad():
        weight[2] = 0
    for unit in (False, True):
        lse, own = classes_lse(x, weight, bias, labels, 1e5, unit)
        assert lse.isfinite().all()
        assert own.isfinite().all()
        assert all(g.isfinite().all() for g in torch.autograd.grad(lse.sum() + own.sum(), (x, weight, bias)))


def test_no_other_class_and_no_vector() -> None:
    x, weight, bias, labels = arguments(n=3, people=1)
    lse, _ = classes_lse(x, weight, bias, labels)
    assert lse.isneginf().all()
    assert all((g == 0).all() for g in torch.autograd.grad(lse.sum(), (x, weight, bias)))
    x, weight, bias, labels = arguments(n=0)
    lse, own = classes_lse(x, weight, bias, labels)
    assert lse.shape == own.shape == (0,)
    assert all((g == 0).all() for g in torch.autograd.grad(lse.sum() + own.sum(), (x, weight, bias)))


def test_op_is_as_pytorch_wants_it() -> None:
    x, weight, bias, labels = arguments()
    torch.library.opcheck(torch.ops.smoothswap.classes_lse.default, (x, weight, bias, labels, 2.0, True))
    plain = [t.detach() for t in (x, weight)]
    g = [torch.randn(5, dtype=torch.float64) for _ in range(3)]
    inner = (g[0], g[1], *plain, None, labels, g[2], 2.0, False)
    torch.library.opcheck(torch.ops.smoothswap.classes_lse_grad.default, inner)


def test_second_derivative_is_refused() -> None:
    x, weight, bias, labels = arguments()
    (g,) = torch.autograd.grad(classes_lse(x, weight, bias, labels)[0].sum(), x, create_graph=True)
    with pytest.raises(NotImplementedError, match="no second"):
        g.sum().backward()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"labels": torch.zeros(4, dtype=torch.int64)}, "labels"),
        ({"labels": torch.zeros(5)}, "int64"),
        ({"weight": torch.randn(7, 2, dtype=torch.float64)}, "weight"),
        ({"weight": torch.randn(0, 3, dtype=torch.float64)}, "weight"),
        ({"weight": torch.randn(7, 3)}, "float32"),
        ({"bias": torch.randn(3, dtype=torch.float64)}, "bias"),
    ],
)
def test_wrong_arguments_are_named(wrong: dict[str, Any], message: str) -> None:
    named = dict(zip(("x", "weight", "bias", "labels"), arguments(), strict=True)) | wrong
    with pytest.raises(ArgumentError, match=message):
        classes_lse(**named)
