"""Checks of arguments that the ops share; each error names the argument, its shape and what is expected."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.jit._trace import TracerWarning

from smoothswap.core.errors import ArgumentError
from smoothswap.core.scalars import plain

_SYMBOLIC = (torch.SymFloat, torch.SymInt)
_NUMBERS = (int, float, *_SYMBOLIC)
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


def number(op: str, name: str, value: float) -> float:
    """Reads a finite number: Python's, numpy's, or a symbolic one of a graph that is being made."""
    if not isinstance(value, (int, float)):
        value = _plain(value)
    if isinstance(value, bool) or not isinstance(value, _NUMBERS):
        raise ArgumentError(f"{op}: {name} is {value!r}, expected a number")
    # Whether a symbolic number is finite would have to be guessed from one that was seen.
    if torch.compiler.is_compiling() or isinstance(value, _SYMBOLIC):
        return value
    if not math.isfinite(value):
        raise ArgumentError(f"{op}: {name} is {value}, expected a finite number")
    return float(value)


def positive(op: str, name: str, value: float) -> float:
    """Reads a finite number above 0."""
    value = number(op, name, value)
    if value <= 0:
        raise ArgumentError(f"{op}: {name} is {value}, expected more than 0")
    return value


def _plain(value: Any) -> Any:
    """Python's number for numpy's, and for a size that torch.jit.trace hands out as a tensor; else the value itself."""
    if isinstance(value, Tensor) and value.ndim == 0 and not value.is_floating_point() and torch._C._is_tracing():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TracerWarning)  # it is meant to be a constant of the trace
            return int(value)
    return plain(value)


def integer(op: str, name: str, value: int) -> int:
    """Reads an integer."""
    found = _integer(value)
    if found is None:
        raise ArgumentError(f"{op}: {name} is {value!r}, expected an integer")
    return found  # type: ignore[no-any-return]


def _integer(value: Any) -> Any:
    """An integer, of whatever make, as Python's or as a symbolic one; None for anything else."""
    if not isinstance(value, int):
        value = _plain(value)
    return value if isinstance(value, (int, torch.SymInt)) and not isinstance(value, bool) else None


def count(op: str, name: str, value: int) -> int:
    """Reads an integer of at least 1."""
    found = _integer(value)
    if found is None or found < 1:
        raise ArgumentError(f"{op}: {name} is {value!r}, expected an integer ≥ 1")
    return found  # type: ignore[no-any-return]


def pair(op: str, name: str, value: int | Sequence[int]) -> tuple[int, int]:
    """Reads an up or down factor: one number, or [x, y]; each at least 1."""
    values = _integers(value)
    if values is None or len(values) not in (1, 2) or values[0] < 1 or values[-1] < 1:
        raise ArgumentError(f"{op}: {name} is {value!r}, expected an integer ≥ 1 or two of them, [x, y]")
    return values[0], values[-1]


def padding4(op: str, value: int | Sequence[int]) -> tuple[int, int, int, int]:
    """Reads padding in pixels: one number, [x, y], or [left, right, top, bottom]; negative crops."""
    values = _integers(value)
    if values is None or len(values) not in (1, 2, 4):
        raise ArgumentError(f"{op}: padding is {value!r}, expected an integer, [x, y] or [left, right, top, bottom]")
    if len(values) == 1:
        return values[0], values[0], values[0], values[0]
    if len(values) == 2:
        return values[0], values[0], values[1], values[1]
    return values[0], values[1], values[2], values[3]


def _integers(value: int | Sequence[int]) -> list[int] | None:
    """One integer or several as a list; None where any is none."""
    if type(value) is int:  # the usual case, in every call of an op
        return [value]
    try:
        given = value if isinstance(value, (list, tuple)) or _integer(value) is None else [value]
        values = [_integer(each) for each in given]  # type: ignore[union-attr]
    except TypeError:  # neither an integer nor something to walk through
        return None
    return None if any(each is None for each in values) else values


def values_readable() -> bool:
    """Whether a check may look at a tensor's values: not in a graph that is being made, nor inside of a transform."""
    traced = torch.compiler.is_compiling() or torch._C._len_torch_dispatch_stack() > 0
    return not traced and not torch._C._are_functorch_transforms_active()


def integers(op: str, name: str, tensor: object) -> None:
    """Refuses what is no tensor of integers."""
    if not isinstance(tensor, Tensor):
        raise ArgumentError(f"{op}: {name} is a {type(tensor).__name__}, expected a tensor")
    if tensor.dtype.is_floating_point or tensor.dtype.is_complex or tensor.dtype == torch.bool:
        raise ArgumentError(f"{op}: {name} has dtype {tensor.dtype}, expected integers such as int64")
