"""Views, lists of positives, and what is refused of them."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from smoothswap.core.errors import ArgumentError
from smoothswap.ops import supcon_loss, use

ops = torch.ops.smoothswap
# Vector 0 names 1 twice; 4 names nobody and is named by 2; 5 is neither.
OFFSETS = torch.tensor([0, 3, 4, 6, 7, 7, 7])
INDICES = torch.tensor([1, 1, 2, 0, 4, 0, 2])


@pytest.fixture(params=["reference", "cpu"], autouse=True)
def _kernel(request):
    from smoothswap.ops.native import missing

    if request.param == "cpu" and (reason := missing()):
        pytest.skip(reason)
    with use(request.param):
        yield


def unit(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return F.normalize(torch.randn(*shape, dtype=torch.float64), dim=-1).to(dtype)


def lists_of(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Offsets and indices of a mask [N, N]."""
    return F.pad(mask.sum(1).cumsum(0), (1, 0)), mask.nonzero()[:, 1]


def by_the_equation(z: Tensor, lists: list[list[int]], temperature: float) -> list[float]:
    losses = []
    for i, named in enumerate(lists):
        s = [float(z[i] @ z[a]) / temperature for a in range(len(z))]
        total = math.log(sum(math.exp(s[a]) for a in range(len(z)) if a != i))
        losses.append(sum(total - s[p] for p in named) / len(named) if named else 0.0)
    return losses


def test_lists_by_the_equation():
    z = unit(6, 4)
    expected = torch.tensor(by_the_equation(z, [[1, 1, 2], [0], [4, 0], [2], [], []], 0.3), dtype=torch.float64)
    loss = supcon_loss(z, temperature=0.3, reduction="none", positives=(OFFSETS, INDICES))
    torch.testing.assert_close(loss, expected)
    mean = supcon_loss(z, temperature=0.3, positives=(OFFSETS.int(), INDICES.int()))
    torch.testing.assert_close(mean, expected.sum() / 4)


def test_first_and_second_derivative_of_lists_that_are_not_mutual():
    z = unit(6, 3).requires_grad_()
    loss = lambda z: supcon_loss(z, temperature=0.5, positives=(OFFSETS, INDICES))  # noqa: E731
    assert gradcheck(loss, z)
    assert gradgradcheck(loss, z)
    v = torch.randn(6, 2, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda v: ops.listed_sum(v, OFFSETS, INDICES), v)
    a = torch.randn(6, dtype=torch.float64, requires_grad=True)
    for positives in ((None, OFFSETS, INDICES), (torch.tensor([0, 1, 1, 0, 1, 7]), None, None)):
        assert gradcheck(lambda a, z, p=positives: ops.positive_pull(a, z, *p), (a, z))
        assert gradgradcheck(lambda a, z, p=positives: ops.positive_pull(a, z, *p), (a, z))


def test_lists_of_the_labels_are_the_labels():
    z, labels = unit(40, 5).requires_grad_(), torch.arange(40) % 7
    lists = lists_of((labels[:, None] == labels) & ~torch.eye(40, dtype=torch.bool))
    losses = supcon_loss(z, labels), supcon_loss(z, positives=lists)
    torch.testing.assert_close(*losses)
    torch.testing.assert_close(*(torch.autograd.grad(loss, z)[0] for loss in losses))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("classes", [1, 4, 200])
def test_sums_over_positives_in_every_precision(classes, dtype):
    z, labels, a = unit(90, 37, dtype=dtype), torch.randint(classes, (90,)), torch.randn(90)
    a = a.to(torch.promote_types(dtype, torch.float32))
    mask = (labels[:, None] == labels) & ~torch.eye(90, dtype=torch.bool)
    if classes == 4:  # and lists of whatever
        mask = mask & (torch.rand(90, 90) < 0.5)
    positives = (None, *lists_of(mask)) if classes == 4 else (labels, None, None)
    exact, wide = mask.double(), z.double()
    expected = a.double()[:, None] * (exact @ wide) + exact.T @ (a.double()[:, None] * wide)
    pull = ops.positive_pull(a, z, *positives)
    assert pull.dtype == a.dtype
    tolerance = 1e-12 if dtype == torch.float64 else 3e-6
    torch.testing.assert_close(pull.double(), expected, rtol=tolerance, atol=tolerance * 10)
    alone = mask.sum(1) + mask.sum(0) == 0
    assert not pull[alone].any()


def test_views():
    z, labels = unit(5, 3, 4).requires_grad_(), torch.tensor([0, 1, 1, 2, 0])
    flat = z.detach().reshape(15, 4)
    torch.testing.assert_close(supcon_loss(z, labels), supcon_loss(flat, labels.repeat_interleave(3)))
    alone = supcon_loss(z, reduction="none")
    assert alone.shape == (5, 3)
    torch.testing.assert_close(alone.flatten(), supcon_loss(flat, torch.arange(15) // 3, reduction="none"))
    assert torch.autograd.grad(supcon_loss(z), z)[0].shape == z.shape
    lists = lists_of(torch.arange(15)[:, None] == torch.arange(15).roll(1))
    torch.testing.assert_close(supcon_loss(z, positives=lists), supcon_loss(flat, positives=lists))


@settings(max_examples=20, deadline=None, derandomize=True)
@given(lists=st.lists(st.lists(st.integers(0, 8), max_size=4), min_size=1, max_size=9))
def test_any_lists(lists):
    n = len(lists)
    lists = [[p for p in named if p < n and p != i] for i, named in enumerate(lists)]
    offsets = F.pad(torch.tensor([len(named) for named in lists]).cumsum(0), (1, 0))
    indices = torch.tensor([p for named in lists for p in named], dtype=torch.long)
    z = unit(n, 3)
    loss = supcon_loss(z, temperature=0.4, reduction="none", positives=(offsets, indices))
    expected = [0.0] if n == 1 else by_the_equation(z, lists, 0.4)
    torch.testing.assert_close(loss, torch.tensor(expected, dtype=torch.float64))


def test_no_list_at_all_is_zero():
    z = unit(4, 3).requires_grad_()
    loss = supcon_loss(z, positives=(torch.zeros(5, dtype=torch.long), torch.zeros(0, dtype=torch.long)))
    assert loss == 0
    assert not torch.autograd.grad(loss, z)[0].any()


def lists(offsets: list[int], indices: list[int]) -> tuple[Tensor, Tensor]:
    return torch.tensor(offsets), torch.tensor(indices)


WRONG = {
    "both": ({"labels": torch.zeros(3, dtype=torch.long), "positives": lists([0] * 4, [])}, ["labels and positives"]),
    "neither": ({}, ["neither labels nor positives", "positives=(offsets, indices)"]),
    "no pair": ({"positives": torch.zeros(4)}, ["positives is a Tensor", "(offsets [N + 1], indices [nnz])"]),
    "offsets fall": ({"positives": lists([0, 2, 1, 2], [1, 2])}, ["fall from 2 to 1 at 1"]),
    "offsets end early": ({"positives": lists([0, 1, 1, 1], [1, 2])}, ["run from 0 to 1, expected 0 to 2"]),
    "number of offsets": ({"positives": lists([0, 1, 1], [1])}, ["offsets has shape [3], expected [4]"]),
    "index too large": ({"positives": lists([0, 1, 1, 2], [1, 3])}, ["indices[1] is 3, expected 0 to 2"]),
    "index below 0": ({"positives": lists([0, 1, 1, 2], [-1, 1])}, ["indices[0] is -1"]),
    "oneself": ({"positives": lists([0, 1, 2, 2], [1, 1])}, ["vector 1 is listed as a positive of itself"]),
    "no integers": ({"positives": (torch.zeros(4), torch.zeros(0).long())}, ["offsets has dtype torch.float32"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_refused(case):
    options, words = WRONG[case]
    with pytest.raises(ArgumentError) as caught:
        supcon_loss(unit(3, 2), **options)
    for word in words:
        assert word in str(caught.value)


def test_the_kernel_does_not_read_beyond_its_vectors():
    """Lists that reach the op unchecked, as from a compiled graph, are an error, never a read elsewhere."""
    for offsets, indices in (lists([0, 1, 1, 2], [1, 3]), lists([0, 9, 1, 2], [1, 1])):
        with pytest.raises((RuntimeError, ArgumentError), match="positives"):
            ops.supcon_loss(unit(3, 2), None, offsets, indices, 0.1)


def test_compiled_and_under_autocast():
    z, labels = unit(12, 6, dtype=torch.float32).requires_grad_(), torch.arange(12) // 3
    named = lists_of((labels[:, None] == labels) & ~torch.eye(12, dtype=torch.bool))

    def both(z: Tensor, labels: Tensor, offsets: Tensor, indices: Tensor) -> Tensor:
        return supcon_loss(z, labels) + supcon_loss(z.reshape(4, 3, 6), positives=(offsets, indices), reduction="sum")

    compiled = torch.compile(both, fullgraph=True, backend="aot_eager")
    losses = both(z, labels, *named), compiled(z, labels, *named)
    torch.testing.assert_close(*losses)
    torch.testing.assert_close(*(torch.autograd.grad(loss, z)[0] for loss in losses))
    with torch.autocast("cpu", torch.bfloat16):
        under = both(z, labels, *named)
        (dz,) = torch.autograd.grad(under, z)
    torch.testing.assert_close(under, losses[0])
    torch.testing.assert_close(dz, torch.autograd.grad(both(z, labels, *named), z)[0])
