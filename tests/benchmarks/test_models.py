"""Generator and discriminator of the 64 px recipe as the library runs them, beside themselves in stock PyTorch.

"ours" chooses its kernels itself; "reference" is the same model on the ops' PyTorch implementations. Both in the layout
that the recipe trains in.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from benchmarks import facts
from benchmarks.conftest import PASSES, TINY, Row
from torch import Tensor, nn

from smoothswap import build

BATCH = 1 if TINY else 4
SIZE = 16 if TINY else 64
ASKED = {"reference": "reference"}  # the way that shall run on a backend: that backend


@pytest.fixture(autouse=True)
def _here(device: torch.device) -> None:
    if device.type == "cuda":
        pytest.skip("on a GPU the rows are of single ops")
    if not TINY and facts.allocator(os.environ) == "default":
        pytest.skip("models are measured with the warm allocator")


def _images() -> Tensor:
    return torch.rand(BATCH, 3, SIZE, SIZE).mul(2).sub(1).contiguous(memory_format=torch.channels_last)


def _bytes(*tensors: Tensor) -> int:
    return sum(t.numel() * t.element_size() for t in tensors)


def _generator() -> nn.Module:
    """smooth_unet_64 in training mode, every parameter away from the zeros that some start with."""
    torch.manual_seed(0)
    small = {"image_size": SIZE, "base_channels": 8} if TINY else {}
    generator = build("smooth_unet_64", **small).to(memory_format=torch.channels_last)
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter += 0.02 * torch.randn_like(parameter)
    return generator


@pytest.mark.parametrize("passes", PASSES)
def test_generator(passes: str, contest: Callable[..., None]) -> None:
    generator = _generator()
    target, parameters = _images(), list(generator.parameters())
    identity = F.normalize(torch.randn(BATCH, generator.identity_dim), dim=1)

    def run(target: Tensor, identity: Tensor, *_: Tensor) -> Tensor:
        return generator(target, identity)

    row = Row("models", f"smooth_unet_64 batch {BATCH}", "fp32", "nhwc", passes)
    moved = _bytes(*parameters) * (1 if passes == "forward" else 3) + 2 * _bytes(target)
    ways = {"ours": run, "reference": run}
    contest(row, [target, identity, *parameters], ways, moved, asked=ASKED, together=True)


def test_discriminator_with_r1(contest: Callable[..., None]) -> None:
    """The loss on real pictures with the gradient penalty, and its gradients: a second derivative of every op."""
    torch.manual_seed(0)
    discriminator = build("stylegan2_64", **({"image_size": SIZE, "channel_max": 16} if TINY else {}))
    discriminator.to(memory_format=torch.channels_last)
    r1 = build("r1", "loss")
    real, parameters = _images().requires_grad_(), list(discriminator.parameters())

    def loss(real: Tensor, *_: Tensor) -> Tensor:
        with torch.enable_grad():
            logits = discriminator(real)
            return F.softplus(-logits).mean() + r1(logits, real)

    row = Row("models", f"stylegan2_64 with R1 batch {BATCH}", "fp32", "nhwc", "forward+backward")
    moved = 3 * _bytes(*parameters) + 2 * _bytes(real)
    contest(row, [real, *parameters], {"ours": loss, "reference": loss}, moved, asked=ASKED, together=True)
