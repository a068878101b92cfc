"""supcon_attributes: the readout's error by hand, its gradient, its share among processes, and what it refuses."""

from __future__ import annotations

import math

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from processes import in_processes
from torch import Tensor

import smoothswap
from smoothswap.core.errors import ArgumentError, ConfigError
from smoothswap.losses.supcon import SupConLoss
from smoothswap.losses.supcon_attributes import SupConAttributesLoss

LABELS = torch.tensor([0, 0, 1, 1, 1, 2, 3, 3])


def made(dim: int, attributes: int, **options: object) -> SupConAttributesLoss:
    loss: SupConAttributesLoss = smoothswap.build("supcon_attributes", dim=dim, attributes=attributes, **options)
    return loss


def test_hand_computed() -> None:
    z = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    loss = made(2, 2, temperature=1.0, weight=3.0)
    with torch.no_grad():  # W z √2 + b reads (2, 0) of the first person and (0.5, 1) of the second
        loss.readout.weight.copy_(torch.tensor([[1.5, 0.0], [0.0, 1.0]]) / 2**0.5)
        loss.readout.bias.copy_(torch.tensor([0.5, 0.0]))
    attributes = torch.tensor([[2.0, 0.0], [2.0, 1.0], [0.5, 1.0], [2.5, 1.0]])  # errors 0, 0, 0, 1, 0, 0, 4, 0
    contrast = math.log(math.e + 2) - 1
    labels = torch.tensor([0, 0, 1, 1])
    assert loss(z, labels, attributes).item() == pytest.approx(contrast + 3 * 5 / 8, rel=1e-6)
    # The length of the vectors does not count.
    assert loss(z * torch.tensor([[2.0], [0.5], [7.0], [1.0]]), labels, attributes).item() == pytest.approx(
        contrast + 3 * 5 / 8, rel=1e-5
    )


def test_without_weight_it_is_supcon() -> None:
    z, attributes = torch.randn(8, 5), torch.randn(8, 3)
    torch.testing.assert_close(
        made(5, 3, weight=0.0)(z, LABELS, attributes), SupConLoss(SupConLoss.Config())(z, LABELS)
    )
    assert made(5, 3).config.weight == 3.0
    assert made(5, 3).config.temperature == SupConLoss.Config().temperature


def test_gradient() -> None:
    loss = made(3, 2, temperature=0.3)
    z = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    labels, attributes = torch.tensor([0, 0, 1, 1, 1, 2]), torch.randn(6, 2, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda v: loss(v, labels, attributes), (z,))
    z = z.detach().float()
    loss(z, labels, attributes.float()).backward()
    read = 3**0.5 * F.normalize(z, dim=1) @ loss.readout.weight.T + loss.readout.bias
    slope = 3.0 * 2 * (read - attributes.float()) / 12  # of the mean over 6 × 2 numbers, times the weight
    torch.testing.assert_close(loss.readout.bias.grad, slope.sum(0))
    torch.testing.assert_close(loss.readout.weight.grad, slope.T @ (3**0.5 * F.normalize(z, dim=1)))


def test_half_precision_is_computed_in_float32() -> None:
    loss, z, attributes = made(16, 3), torch.randn(8, 16).bfloat16(), torch.randn(8, 3)
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(z, LABELS, attributes)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(z.float(), LABELS, attributes))


def test_errors() -> None:
    loss, z, labels = made(3, 2), torch.randn(4, 3), torch.tensor([0, 0, 1, 1])
    for wrong in (torch.zeros(4, 3), torch.zeros(3, 2), torch.zeros(4)):
        with pytest.raises(ArgumentError, match=r"attributes have shape \[.*\], but \[4, 2\] is needed"):
            loss(z, labels, wrong)
    with pytest.raises(ArgumentError, match=r"z has shape \[4, 5\], but \[N, 3\] is needed"):
        loss(torch.randn(4, 5), labels, torch.zeros(4, 2))
    with pytest.raises(ArgumentError, match=r"attributes has dtype torch.int64"):
        loss(z, labels, torch.zeros(4, 2, dtype=torch.long))
    with pytest.raises(ArgumentError, match="attributes holds 1 values of 8 that are NaN or infinite"):
        loss(z, labels, torch.tensor([0, 0, 0, 0, 0, 0, 0, math.nan]).view(4, 2))
    with pytest.raises(ArgumentError, match="z holds"):
        loss(z / 0, labels, torch.zeros(4, 2))
    for options in ({"weight": -1.0}, {"attributes": 0}, {"temperature": 0.0}):
        with pytest.raises(ConfigError, match=next(iter(options))):
            made(**{"dim": 3, "attributes": 2} | options)  # type: ignore[arg-type]


def in_one_of_two() -> dict[str, object]:
    z, attributes, rank = torch.randn(8, 5), torch.randn(8, 3), dist.get_rank()
    loss, alone = made(5, 3), made(5, 3, exchange="none")
    alone.load_state_dict(loss.state_dict())
    found: dict[str, object] = {}
    for name, own in {"uneven": [slice(0, 5), slice(5, 8)][rank], "one has none": slice(8 * rank, 8)}.items():
        part = z[own].clone().requires_grad_()
        value = loss(part, LABELS[own], attributes[own])
        (gradient,) = torch.autograd.grad(value, part)
        found[name] = (value.detach(), gradient)
    found["whole"] = (z, attributes, loss.state_dict())
    try:
        loss(z, LABELS, attributes[:, : 3 - rank])
    except ArgumentError as error:
        found["wrong"] = str(error)
    found["across"] = (loss.across, alone.across)
    return found


def test_several_processes_count_their_own_images_in_proportion() -> None:
    first, second = in_processes(2, in_one_of_two)
    z, attributes, state = first["whole"]
    loss = made(5, 3)
    loss.load_state_dict(state)
    z = z.clone().requires_grad_()
    expected = loss(z, LABELS, attributes)
    gradient: Tensor
    (gradient,) = torch.autograd.grad(expected, z)
    for name in ("uneven", "one has none"):
        values, gradients = zip(first[name], second[name], strict=True)
        torch.testing.assert_close(torch.stack(values).mean(), expected.detach(), rtol=1e-5, atol=1e-5)
        # Averaging the weights' gradients divides by the number of processes.
        torch.testing.assert_close(torch.cat(gradients) / 2, gradient, rtol=1e-4, atol=1e-5)
    for each in (first, second):
        assert "attributes have shape [8, 2], but [8, 3] is needed\n  seen on process 1 of 2" in each["wrong"]
        assert each["across"] == ("inside", "separate")
