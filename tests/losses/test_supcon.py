"""supcon: the formula, what it ignores, and its gradient."""

from __future__ import annotations

import math

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from processes import in_processes
from torch import Tensor

from smoothswap.core.errors import ArgumentError, ConfigError
from smoothswap.losses.supcon import SupConLoss

LABELS = torch.tensor([0, 0, 1, 1, 1, 2, 3, 3])


def supcon(temperature: float = 0.07) -> SupConLoss:
    return SupConLoss(SupConLoss.Config(temperature=temperature))


def by_the_formula(z: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Σ over i with positives of −1/|P(i)| Σ_p log(exp(z_i·z_p/τ) / Σ_{a≠i} exp(z_i·z_a/τ)), by loops."""
    terms = []
    for i in range(len(z)):
        others = [a for a in range(len(z)) if a != i]
        positives = [p for p in others if labels[p] == labels[i]]
        if positives:
            below = torch.stack([torch.exp(z[i] @ z[a] / temperature) for a in others]).sum()
            logs = [torch.log(torch.exp(z[i] @ z[p] / temperature) / below) for p in positives]
            terms.append(-torch.stack(logs).sum() / len(positives))
    return torch.stack(terms).mean()


@pytest.mark.parametrize("temperature", [0.07, 0.5])
def test_equals_the_formula(temperature: float) -> None:
    z = F.normalize(torch.randn(8, 5, dtype=torch.float64), dim=1)
    expected = by_the_formula(z, LABELS, temperature)
    torch.testing.assert_close(supcon(temperature)(z, LABELS), expected)


def test_hand_computed() -> None:
    # Two people at a right angle: each anchor has its positive at cosine 1 and two others at cosine 0.
    z = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    loss = supcon(1.0)(z, torch.tensor([0, 0, 1, 1]))
    assert loss.item() == pytest.approx(math.log(math.e + 2) - 1, rel=1e-6)


def test_length_of_the_vectors_does_not_count() -> None:
    z = torch.randn(8, 5)
    lengths = torch.rand(8, 1) * 9 + 1
    torch.testing.assert_close(supcon()(z, LABELS), supcon()(z * lengths, LABELS), rtol=1e-5, atol=1e-5)


def test_gathering_a_person_lowers_the_loss() -> None:
    z = F.normalize(torch.randn(8, 5), dim=1)
    centres = F.normalize(torch.eye(5)[LABELS], dim=1)
    assert supcon()(F.normalize(z + 3 * centres, dim=1), LABELS) < supcon()(z, LABELS)


def test_no_positives_is_zero_with_zero_gradient() -> None:
    z = torch.randn(4, 3, requires_grad=True)
    loss = supcon()(z, torch.arange(4))
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(z.grad, torch.zeros(4, 3))


def test_gradient() -> None:
    z = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 0, 1, 1, 1, 2])
    assert torch.autograd.gradcheck(lambda v: supcon(0.3)(v, labels), (z,))


def test_half_precision_is_computed_in_float32() -> None:
    z = torch.randn(8, 16).bfloat16()
    loss = supcon()(z, LABELS)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, supcon()(z.float(), LABELS))


def test_errors() -> None:
    z = torch.randn(4, 3)
    with pytest.raises(ArgumentError, match=r"labels have shape \[3\], but \[4\] is needed"):
        supcon()(z, torch.zeros(3, dtype=torch.long))
    with pytest.raises(ArgumentError, match=r"z has shape \[4, 3, 1\], but \[N, D\] is needed"):
        supcon()(z[..., None], torch.zeros(4, dtype=torch.long))
    with pytest.raises(ArgumentError, match=r"labels have dtype torch.float32"):
        supcon()(z, torch.zeros(4))
    with pytest.raises(ArgumentError, match="at least 2 images"):
        supcon()(z[:1], torch.zeros(1, dtype=torch.long))
    with pytest.raises(ArgumentError, match="z has dtype torch.int64"):
        supcon()(z.long(), torch.zeros(4, dtype=torch.long))
    z[1, 2] = torch.nan
    with pytest.raises(ArgumentError, match="z holds 1 values of 12 that are NaN or infinite"):
        supcon()(z, torch.zeros(4, dtype=torch.long))
    with pytest.raises(ConfigError, match="temperature"):
        supcon(0.0)


def in_one_of_two() -> dict[str, object]:
    z, rank = torch.randn(8, 5), dist.get_rank()
    own = slice(0, 5) if rank == 0 else slice(5, 8)
    losses = {name: SupConLoss(SupConLoss.Config(exchange=name)) for name in ("gather", "ring", "none")}  # type: ignore[arg-type]
    found: dict[str, object] = {name: loss(z[own], LABELS[own]) for name, loss in losses.items()}
    found["own"] = by_the_formula(F.normalize(z[own], dim=1), LABELS[own], 0.07)
    found["joint"] = by_the_formula(F.normalize(z, dim=1), LABELS, 0.07)
    found["nobody here"] = losses["gather"](z[8 * rank :], LABELS[8 * rank :])
    z[0, 0] = torch.inf
    for name, wrong in (("infinite", z[own]), ("integers", z[own].long() if rank else z[own])):
        try:
            losses["gather"](wrong, LABELS[own])
        except ArgumentError as error:
            found[name] = str(error)
    return found


def test_several_processes_compare_their_images() -> None:
    first, second = in_processes(2, in_one_of_two)
    for each in (first, second):
        for name in ("gather", "ring", "nobody here"):
            torch.testing.assert_close(each[name], first["joint"], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(each["none"], each["own"], rtol=1e-5, atol=1e-5)
        assert "z holds 1 values of 25 that are NaN or infinite" in each["infinite"]
        assert "seen on process 0 of 2" in each["infinite"]
        assert "NaN or infinite" in each["integers"]  # the fault of the first process that has one
    assert first["own"] != second["own"]
    assert (SupConLoss(SupConLoss.Config()).across, SupConLoss(SupConLoss.Config(exchange="none")).across) == (
        "inside",
        "separate",
    )
