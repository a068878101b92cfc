"""Optimisers, and the few operations on gradients that both trainings need."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from smoothswap.training.muon import Muon
from smoothswap.training.recipes import EmbedderRecipe


def embedder_optimizer(recipe: EmbedderRecipe, modules: Iterable[nn.Module], fabric: Fabric) -> Optimizer:
    """The optimiser of an embedder and of its loss, which may have weights of its own.

    Biases and norms are not decayed: they have one dimension, and there is nothing to be gained from making them small.
    """
    weights = [weight for module in modules for weight in module.parameters() if weight.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [weight for weight in weights if weight.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [weight for weight in weights if weight.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    fused = _fused(fabric.device)
    if recipe.optimizer == "muon":
        betas = recipe.momentum, 0.999
        return Muon(weights, recipe.learning_rate, betas, recipe.weight_decay, fused, _product_dtype(fabric))
    if recipe.optimizer == "sgd":
        nesterov = recipe.momentum > 0
        return SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=nesterov, fused=fused)
    adam = AdamW if recipe.optimizer == "adamw" else Adam
    return adam(groups, lr=recipe.learning_rate, betas=(recipe.momentum, 0.999), fused=fused)


def gan_optimizer(
    module: nn.Module, rate: float, betas: Sequence[float], fabric: Fabric, name: str = "adam"
) -> Optimizer:
    """The optimiser of a generator or a discriminator: `adam` or `muon`."""
    if name == "muon":
        return Muon(module.parameters(), rate, betas, fused=_fused(fabric.device), dtype=_product_dtype(fabric))
    return Adam(module.parameters(), lr=rate, betas=(betas[0], betas[1]), fused=_fused(fabric.device))


def _product_dtype(fabric: Fabric) -> torch.dtype:
    """What a run computes its matrix products in."""
    kind = fabric.device.type
    with fabric.autocast():
        return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float32


def _fused(device: torch.device) -> bool:
    # One pass over the weights instead of a dozen; elsewhere PyTorch picks its own default.
    return device.type in ("cpu", "cuda")


def set_learning_rate(optimizer: Optimizer, rate: float) -> None:
    """Use this learning rate from the next step on."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def average_gradients(fabric: Fabric, optimizer: Optimizer) -> None:
    """Replace every gradient by its mean over the processes.

    The models are not wrapped in DistributedDataParallel: its hooks expect one backward pass for each forward pass,
    which R1 and the shared discriminator pass do not have.
    """
    if fabric.world_size == 1:
        return
    gradients = [weight.grad for weight in parameters(optimizer) if weight.grad is not None]
    if not gradients:  # a discriminator that rests
        return
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    fabric.all_reduce(flat, reduce_op="mean")
    pieces = torch.split(flat, [gradient.numel() for gradient in gradients])
    torch._foreach_copy_(gradients, [piece.view_as(grad) for piece, grad in zip(pieces, gradients, strict=True)])


def average_buffers(fabric: Fabric, module: nn.Module) -> None:
    """Replace floating-point buffers (BatchNorm's running statistics) by their mean over the processes."""
    if fabric.world_size == 1:
        return
    for buffer in module.buffers():
        if buffer.is_floating_point():
            fabric.all_reduce(buffer, reduce_op="mean")


def step(optimizer: Optimizer, clip: float | None) -> None:
    """One step, with the norm of all gradients held to `clip`, and the gradients dropped after it."""
    if clip is not None:
        nn.utils.clip_grad_norm_(parameters(optimizer), clip, foreach=True)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def parameters(optimizer: Optimizer) -> list[Tensor]:
    """Every weight that the optimiser changes."""
    return [weight for group in optimizer.param_groups for weight in group["params"]]


def restore_optimizer(optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Load an optimiser's state; its tensors take the memory order of their weights, as they had it before.

    A file keeps no strides, and a state in another order than its weight would cost a copy in each step.
    """
    optimizer.load_state_dict(state)
    for weight, slots in optimizer.state.items():
        for key, value in slots.items():
            if isinstance(value, Tensor) and value.shape == weight.shape:
                slots[key] = torch.empty_like(weight).copy_(value)
