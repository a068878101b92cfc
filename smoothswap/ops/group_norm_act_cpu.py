"""group_norm_act and its gradient in C++ on the CPU (csrc/cpu/group_norm_act_kernel.cpp)."""

from __future__ import annotations

import torch
from torch import Tensor

from smoothswap.ops import backend
from smoothswap.ops.layout import arithmetic, memory_format

_SLOPES = {"linear": 1.0, "relu": 0.0, "lrelu": None, "swish": 0.0}  # below zero; None: alpha


def _form(x: Tensor, layout: torch.memory_format, act: str, alpha: float) -> tuple[bool, bool, float]:
    """Whether x [B, C, …] lies as [B, S, C] in memory, whether the activation is swish, the slope below zero."""
    slope = _SLOPES[act]
    last = layout == torch.channels_last or x.numel() == x.shape[0] * x.shape[1]
    return last, act == "swish", alpha if slope is None else slope


def run(
    x: Tensor, groups: int, weight: Tensor | None, bias: Tensor | None, eps: float, act: str, alpha: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The op's arguments; x [B, C, …], weight and bias [C] in fp32 (fp64 for fp64)."""
    layout = memory_format(x)
    y = torch.empty(x.shape, dtype=x.dtype, memory_format=layout)
    mean = torch.empty((x.shape[0], groups), dtype=arithmetic(x.dtype))
    rstd = torch.empty_like(mean)
    if x.numel() > 0:
        last, swish, slope = _form(x, layout, act, alpha)
        torch.ops.smoothswap_native.group_norm_act(
            x.contiguous(memory_format=layout),
            y,
            mean,
            rstd,
            *_contiguous(weight, bias),
            x.shape[1],
            groups,
            last,
            eps,
            swish,
            slope,
        )
    return y, mean, rstd


def run_grad(
    g: Tensor,
    x: Tensor,
    mean: Tensor,
    rstd: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    groups: int,
    eps: float,
    act: str,
    alpha: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """The arguments of `group_norm_act_grad`; g and x [B, C, …], mean and rstd [B, groups]."""
    layout = memory_format(x)
    dx = torch.empty(x.shape, dtype=x.dtype, memory_format=layout)
    dweight = torch.zeros(x.shape[1], dtype=arithmetic(x.dtype))
    dbias = torch.zeros_like(dweight)
    if x.numel() > 0:
        torch.ops.smoothswap_native.group_norm_act_grad(
            g.contiguous(memory_format=layout),
            x.contiguous(memory_format=layout),
            mean.contiguous(),
            rstd.contiguous(),
            dx,
            dweight,
            dbias,
            *_contiguous(weight, bias),
            x.shape[1],
            groups,
            *_form(x, layout, act, alpha),
        )
    return dx, dweight, dbias


def _contiguous(*tensors: Tensor | None) -> list[Tensor | None]:
    return [None if t is None else t.contiguous() for t in tensors]


def _objection(*tensors: Tensor | None, act: str = "swish") -> str | None:
    return None if act in _SLOPES else f"the cpu kernel has {', '.join(_SLOPES)}, not {act}"


_LIMITS = f"{', '.join(_SLOPES)}; the reference serves the other activations"
backend.attach("group_norm_act", "cpu", run, _objection, _LIMITS)
backend.attach("group_norm_act_grad", "cpu", run_grad, _objection, _LIMITS)
