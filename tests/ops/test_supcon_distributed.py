"""distributed_supcon_loss: the joint batch's loss and gradient, however it is spread, and errors on all processes."""

from __future__ import annotations

import itertools
import os
import re
import signal
import time
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from processes import EndedError, in_processes
from torch import Tensor, nn
from torch.func import grad, jvp, vmap
from torch.nn.parallel import DistributedDataParallel

from smoothswap.core.errors import ArgumentError
from smoothswap.ops import distributed_supcon_loss, supcon_loss

# Labels of the joint batch, and how it is cut: people that meet on one process only, on several, alone, nobody twice.
LABELS = [3, 3, 0, 0, 0, -7, 3, 12, 12, 0, 5]
CUTS = {2: [[6, 5], [3, 8], [0, 11], [10, 1]], 4: [[3, 3, 3, 2], [2, 0, 8, 1], [0, 0, 0, 11], [1, 4, 4, 2]]}
TAU = 0.2


def joint(labels: list[int], dim: int = 5, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    z = torch.randn(len(labels), dim, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return F.normalize(z, dim=1).to(dtype), torch.tensor(labels)


def own(rows: Tensor, sizes: list[int]) -> Tensor:
    return rows.split(sizes)[dist.get_rank()].clone()


def loss_and_gradient(z: Tensor, labels: Tensor, **options: Any) -> tuple[Tensor, Tensor]:
    z = z.requires_grad_()
    loss = distributed_supcon_loss(z, labels, TAU, **options)
    upstream = torch.arange(1.0, 1 + loss.numel()).reshape(loss.shape).to(loss.dtype)
    (gradient,) = torch.autograd.grad(loss, z, upstream)
    return loss.detach(), gradient


def everything() -> dict[str, Any]:
    """All that two or four processes have to show, in one start of them."""
    count = dist.get_world_size()
    found: dict[str, Any] = {}
    for exchange, sizes, reduction in itertools.product(("gather", "ring"), CUTS[count], ("mean", "sum", "none")):
        z, labels = (own(rows, sizes) for rows in joint(LABELS))
        found[f"{exchange} {sizes} {reduction}"] = loss_and_gradient(z, labels, exchange=exchange, reduction=reduction)
    sizes = CUTS[count][1]
    for exchange in ("gather", "ring"):
        for dtype in (torch.float32, torch.bfloat16, torch.float16):
            z, labels = (own(rows, sizes) for rows in joint(LABELS, dtype=dtype))
            found[f"{exchange} {dtype}"] = loss_and_gradient(z, labels, exchange=exchange)
            found[f"{exchange} {dtype} again"] = loss_and_gradient(z.detach(), labels, exchange=exchange)
        for name, labels in (("alone", list(range(11))), ("one", [4] * 11)):
            z, labels = (own(rows, sizes) for rows in joint(labels))
            found[f"{exchange} {name}"] = loss_and_gradient(z, labels.int(), exchange=exchange)
    found["nobody"] = loss_and_gradient(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long))
    found.update(errors())
    group = dist.new_group([0, 1])
    if dist.get_rank() < 2:
        z, labels = (own(rows, [7, 4]) for rows in joint(LABELS))
        found["group"] = loss_and_gradient(z, labels, group=group, exchange="ring")
    found["ddp"] = stepped()
    return found


def errors() -> dict[str, str]:
    """What each process hears when one of them has something wrong."""
    rank, found = dist.get_rank(), {}
    z, labels = torch.randn(3, 4), torch.tensor([0, 0, 1])
    bad = z.clone()
    bad[1, 2] = torch.nan
    cases: dict[str, tuple[Any, Any, dict[str, Any]]] = {
        "nan": (bad, labels, {}),
        "length": (z, labels[:2], {}),
        "rank": (z[..., None], labels, {}),
        "no tensor": (None, labels, {}),
        "temperature": (z, labels, {"temperature": -1.0}),
        "other temperature": (z, labels, {"temperature": 0.5}),
        "other D": (z[:, :3], labels, {}),
        "other dtype": (z.double(), labels, {}),
        "other exchange": (z, labels, {"exchange": "ring"}),
        "unknown exchange": (z, labels, {"exchange": "post"}),
        "gradient": (z.clone().requires_grad_(), labels, {}),
    }
    for name, (z_bad, labels_bad, options) in cases.items():
        arguments = (z_bad, labels_bad) if rank == 1 else (z, labels)
        try:
            distributed_supcon_loss(*arguments, **(options if rank == 1 else {}))
        except ArgumentError as error:
            found[name] = str(error)
    z = z.requires_grad_()
    (first,) = torch.autograd.grad(distributed_supcon_loss(z, labels), z, create_graph=True)
    try:
        torch.autograd.grad(first.square().sum(), z)
    except NotImplementedError as error:
        found["second derivative"] = str(error)
    return found


def network() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 5)).double()


def images() -> Tensor:
    return torch.randn(11, 6, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


def stepped() -> dict[str, Tensor]:
    """Weights after two steps under DistributedDataParallel."""
    model = DistributedDataParallel(network())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    sizes = CUTS[dist.get_world_size()][1]
    for exchange in ("gather", "ring"):
        optimizer.zero_grad()
        z = F.normalize(model(own(images(), sizes)), dim=1)
        distributed_supcon_loss(z, own(torch.tensor(LABELS), sizes), TAU, exchange=exchange).backward()
        optimizer.step()
    return model.module.state_dict()


@pytest.fixture(scope="module", params=[2, 4])
def found(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    return in_processes(request.param, everything)


def expected(z: Tensor, labels: Tensor, reduction: str, sizes: list[int]) -> tuple[Tensor, Tensor]:
    """Loss and gradient of the joint batch; the upstream gradients of "none" are counted anew on each process."""
    z = z.clone().requires_grad_()
    loss = supcon_loss(z, labels, TAU, reduction)
    upstream = torch.cat([torch.arange(1.0, 1 + n) for n in sizes]) if reduction == "none" else torch.tensor(1.0)
    (gradient,) = torch.autograd.grad(loss, z, upstream.to(loss.dtype))
    return loss.detach(), gradient


def test_loss_and_gradient_are_those_of_the_joint_batch(found: list[dict[str, Any]]) -> None:
    count = len(found)
    for exchange, sizes, reduction in itertools.product(("gather", "ring"), CUTS[count], ("mean", "sum", "none")):
        loss, gradient = expected(*joint(LABELS), reduction, sizes)
        results = [each[f"{exchange} {sizes} {reduction}"] for each in found]
        torch.testing.assert_close(torch.cat([g for _, g in results]), count * gradient)
        if reduction == "none":
            torch.testing.assert_close(torch.cat([part for part, _ in results]), loss)
        else:
            assert len({float(part) for part, _ in results}) == 1  # the same bits
            torch.testing.assert_close(results[0][0], loss)


@pytest.mark.parametrize("exchange", ["gather", "ring"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_precisions(found: list[dict[str, Any]], exchange: str, dtype: torch.dtype) -> None:
    sizes = CUTS[len(found)][1]
    z, labels = joint(LABELS, dtype=dtype)
    loss, gradient = expected(z.double(), labels, "mean", sizes)  # of the rounded vectors, in fp64
    results = [each[f"{exchange} {dtype}"] for each in found]
    assert results[0][0].dtype == torch.float32
    torch.testing.assert_close(results[0][0].double(), loss, rtol=1e-5, atol=1e-5)
    tolerance = 4 * torch.finfo(dtype).eps  # of the rounding of the result alone
    for (_, part), right in zip(results, (len(found) * gradient).split(sizes), strict=True):
        assert part.dtype == dtype
        torch.testing.assert_close(part.double(), right, rtol=tolerance, atol=1e-6)


@pytest.mark.parametrize("exchange", ["gather", "ring"])
def test_the_same_numbers_every_time(found: list[dict[str, Any]], exchange: str) -> None:
    for each, dtype in itertools.product(found, (torch.float32, torch.bfloat16, torch.float16)):
        for first, second in zip(each[f"{exchange} {dtype}"], each[f"{exchange} {dtype} again"], strict=True):
            assert torch.equal(first, second)


@pytest.mark.parametrize("exchange", ["gather", "ring"])
def test_no_positive_anywhere_is_zero_and_one_class_is_not(found: list[dict[str, Any]], exchange: str) -> None:
    for loss, gradient in (each[f"{exchange} alone"] for each in found):
        assert loss == 0
        assert torch.equal(gradient, torch.zeros_like(gradient))
    loss, gradient = expected(*joint([4] * 11), "mean", [])
    results = [each[f"{exchange} one"] for each in found]
    torch.testing.assert_close(results[0][0], loss)
    torch.testing.assert_close(torch.cat([part for _, part in results]), len(found) * gradient)


def test_nobody_has_anything(found: list[dict[str, Any]]) -> None:
    for loss, gradient in (each["nobody"] for each in found):
        assert loss == 0
        assert gradient.shape == (0, 3)


def test_two_of_the_processes_are_a_group(found: list[dict[str, Any]]) -> None:
    loss, gradient = expected(*joint(LABELS), "mean", [])
    torch.testing.assert_close(found[0]["group"][0], loss)
    torch.testing.assert_close(torch.cat([each["group"][1] for each in found[:2]]), 2 * gradient)
    assert all("group" not in each for each in found[2:])


@pytest.mark.parametrize(
    ("case", "text"),
    [
        ("nan", "z holds 1 values of 12 that are NaN or infinite"),
        ("length", r"labels has shape \[2\], expected \[3\]"),
        ("rank", "z has 3 dimensions"),
        ("no tensor", "z is a NoneType"),
        ("temperature", "temperature is -1.0"),
        ("unknown exchange", "unknown exchange 'post', expected gather, ring"),
        ("other temperature", "the processes differ in the temperature: 0.07 on process 0, 0.5 on process 1"),
        ("other D", "differ in the length D of z: 4 on process 0, 3 on process 1"),
        ("other dtype", "differ in the dtype of z: float32 on process 0, float64 on process 1"),
        ("other exchange", "differ in the exchange: gather on process 0, ring on process 1"),
        ("gradient", "differ in whether z requires a gradient: no on process 0, yes on process 1"),
        ("second derivative", "has a first derivative, no second"),
    ],
)
def test_what_is_wrong_on_one_process_is_raised_on_all(found: list[dict[str, Any]], case: str, text: str) -> None:
    for each in found:
        assert re.search(text, each[case]), each[case]
    if case in ("nan", "length", "rank", "no tensor", "temperature", "unknown exchange"):
        assert all("seen on process 1" in each[case] for each in found)


def test_steps_under_data_parallel_are_those_of_the_joint_batch(found: list[dict[str, Any]]) -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    for _ in range(2):
        optimizer.zero_grad()
        supcon_loss(F.normalize(model(images()), dim=1), torch.tensor(LABELS), TAU).backward()
        optimizer.step()
    for each, (name, weight) in itertools.product(found, model.state_dict().items()):
        torch.testing.assert_close(each["ddp"][name], weight)


def test_without_other_processes_it_is_supcon_loss() -> None:
    z, labels = joint(LABELS)
    z.requires_grad_()
    for reduction in ("mean", "sum", "none"):
        assert torch.equal(distributed_supcon_loss(z, labels, TAU, reduction), supcon_loss(z, labels, TAU, reduction))
    assert torch.autograd.gradgradcheck(lambda v: distributed_supcon_loss(v, labels, TAU), z)
    with pytest.raises(ArgumentError, match="unknown exchange 'post'"):
        distributed_supcon_loss(z, labels, exchange="post")
    with pytest.raises(ArgumentError, match="NaN or infinite"):
        distributed_supcon_loss(z * torch.inf, labels)


def test_without_other_processes_it_goes_through_transforms_as_supcon_loss_does() -> None:
    z, labels = joint(LABELS)
    of = {
        loss: jvp(lambda v, f=loss: f(v, labels, TAU), (z,), (z.cos(),))
        for loss in (distributed_supcon_loss, supcon_loss)
    }
    torch.testing.assert_close(of[distributed_supcon_loss], of[supcon_loss])
    assert of[supcon_loss][1] != 0


def transformed() -> list[str]:
    """What each process hears of a transform that one alone is inside of, and of one that both are."""
    z, labels = joint(LABELS)
    heard = []
    for apply in (lambda f: jvp(f, (z,), (z,)), lambda f: vmap(grad(f))(z[None]), lambda f: f(z)):
        if dist.get_rank() and not heard:
            apply = lambda f: f(z)  # noqa: E731
        try:
            apply(lambda v: distributed_supcon_loss(v, labels))
            heard.append("fine")
        except ArgumentError as error:
            heard.append(str(error))
    return heard


def test_a_transform_on_one_process_is_refused_on_all() -> None:
    for one, both, plain in in_processes(2, transformed):
        assert "supcon_loss, on one process" in one
        assert "supcon_loss, on one process" in both
        assert plain == "fine"


def die_in_the_middle() -> str:
    """The last process ends without a word; what the others hear."""
    z = torch.randn(3, 4, requires_grad=True)
    loss = distributed_supcon_loss(z, torch.tensor([0, 0, 1]))
    if dist.get_rank() == dist.get_world_size() - 1:
        os.kill(os.getpid(), signal.SIGKILL)
    with pytest.raises(RuntimeError) as error:
        loss.backward()
    return str(error.value)


def test_a_dead_process_leaves_nobody_waiting() -> None:
    began = time.monotonic()
    with pytest.raises(EndedError, match="process 2: it died") as error:
        in_processes(3, die_in_the_middle)
    assert "process 0" not in str(error.value)
    assert "process 1" not in str(error.value)
    assert time.monotonic() - began < 20  # the group's timeout is 30 s
