"""Checks of arguments that the ops share; each error names the argument, its shape and what is expected."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from smoothswap.core.errors import ArgumentError

FLOATS = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def about(tensor: Tensor) -> str:
    """One line on a tensor for an error's facts: shape, dtype and device."""
    return f"shape {list(tensor.shape)}, {str(tensor.dtype).removeprefix('torch.')}, on {tensor.device}"


def floating(op: str, name: str, tensor: Tensor) -> None:
    """Refuses whatever is not a tensor of fp64, fp32, bf16 or fp16."""
    if not isinstance(tensor, Tensor):
        raise ArgumentError(f"{op}: {name} is a {type(tensor).__name__}, expected a tensor")
    if tensor.dtype not in FLOATS:
        raise ArgumentError(
            f"{op}: {name} has dtype {tensor.dtype}, expected float32, float64, bfloat16 or float16",
            f"{name}: {about(tensor)}",
            hint=f"Convert it first, for instance {name}.float().",
        )


def rank(op: str, name: str, tensor: Tensor, ranks: Sequence[int], layout: str) -> None:
    """Refuses a tensor whose number of dimensions is not among `ranks`; `layout` is shown, like "[B, C, H, W]"."""
    if tensor.ndim not in ranks:
        raise ArgumentError(f"{op}: {name} has {tensor.ndim} dimensions, expected {layout}", f"{name}: {about(tensor)}")


def shape(op: str, name: str, tensor: Tensor, expected: Sequence[int], why: str) -> None:
    """Refuses a tensor whose shape is not `expected`; `why` says where the expectation comes from."""
    if list(tensor.shape) != list(expected):
        raise ArgumentError(
            f"{op}: {name} has shape {list(tensor.shape)}, expected {list(expected)}",
            f"{name}: {about(tensor)}",
            why,
        )


def same_device(op: str, first_name: str, first: Tensor, name: str, tensor: Tensor) -> None:
    """Refuses two tensors on different devices."""
    if tensor.device != first.device:
        raise ArgumentError(
            f"{op}: {name} is on {tensor.device}, expected {first.device} as {first_name}",
            f"{first_name}: {about(first)}",
            f"{name}: {about(tensor)}",
            hint=f"Move it: {name}.to({first_name}.device).",
        )


def same_dtype(op: str, first_name: str, first: Tensor, name: str, tensor: Tensor) -> None:
    """Refuses two tensors of different dtypes."""
    if tensor.dtype != first.dtype:
        raise ArgumentError(
            f"{op}: {name} has dtype {tensor.dtype}, expected {first.dtype} as {first_name}",
            f"{first_name}: {about(first)}",
            f"{name}: {about(tensor)}",
            hint=f"Convert it: {name}.to({first_name}.dtype).",
        )


def finite(op: str, name: str, value: float) -> None:
    """Refuses a number that is infinite or not a number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ArgumentError(f"{op}: {name} is {value!r}, expected a number")
    if not math.isfinite(value):
        raise ArgumentError(f"{op}: {name} is {value}, expected a finite number")


def pair(op: str, name: str, value: int | Sequence[int]) -> tuple[int, int]:
    """Reads an up or down factor: one number, or [x, y]; each at least 1."""
    values = (value, value) if isinstance(value, int) else tuple(value)
    if len(values) != 2 or not all(isinstance(v, int) and v >= 1 for v in values):
        raise ArgumentError(f"{op}: {name} is {value!r}, expected an integer ≥ 1 or two of them, [x, y]")
    return values[0], values[1]


def padding4(op: str, value: int | Sequence[int]) -> tuple[int, int, int, int]:
    """Reads padding in pixels: one number, [x, y], or [left, right, top, bottom]; negative crops."""
    values = (value,) if isinstance(value, int) else tuple(value)
    if len(values) not in (1, 2, 4) or not all(isinstance(v, int) for v in values):
        raise ArgumentError(f"{op}: padding is {value!r}, expected an integer, [x, y] or [left, right, top, bottom]")
    if len(values) == 1:
        return values[0], values[0], values[0], values[0]
    if len(values) == 2:
        return values[0], values[0], values[1], values[1]
    return values[0], values[1], values[2], values[3]


def integers(op: str, name: str, tensor: object) -> None:
    """Refuses what is no tensor of integers."""
    if not isinstance(tensor, Tensor):
        raise ArgumentError(f"{op}: {name} is a {type(tensor).__name__}, expected a tensor")
    if tensor.dtype.is_floating_point or tensor.dtype.is_complex or tensor.dtype == torch.bool:
        raise ArgumentError(f"{op}: {name} has dtype {tensor.dtype}, expected integers such as int64")


def positive(op: str, name: str, value: float) -> None:
    """Refuses numbers that are not above 0, and infinite ones."""
    finite(op, name, value)
    if value <= 0:
        raise ArgumentError(f"{op}: {name} is {value}, expected more than 0")
