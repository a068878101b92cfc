"""Numbers of numpy, and symbolic ones of torch.compile, are taken wherever Python's are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import smoothswap
from smoothswap.core.errors import ArgumentError
from smoothswap.ops import (
    bias_act,
    distributed_supcon_loss,
    downsample2d,
    filter2d,
    group_norm_act,
    modulated_conv2d,
    setup_filter,
    supcon_loss,
    upfirdn2d,
    upsample2d,
)
from smoothswap.ops.classes_lse import classes_lse
from smoothswap.ops.stylegan import bias_act as stylegan_bias_act
from smoothswap.ops.stylegan import conv2d_resample

FIR = setup_filter([1, 3, 3, 1])
W, S = torch.sin(torch.arange(144.0)).view(4, 4, 3, 3), torch.cos(torch.arange(8.0)).view(2, 4)
LABELS = torch.tensor([0, 1, 0, 1])
LISTS = (torch.tensor([0, 1, 2, 3, 4]), torch.tensor([1, 2, 3, 0]))


def images() -> Tensor:
    return torch.sin(torch.arange(512.0)).view(2, 4, 8, 8)


def vectors() -> Tensor:
    return torch.sin(torch.arange(12.0)).view(4, 3)


Number = Any
# the call, and values that its number may have one after the other
REALS: dict[str, tuple[Callable[[Number], Tensor], tuple[float, ...]]] = {
    "bias_act, gain": (lambda n: bias_act(images(), gain=n), (0.5, 1.0, 2.0)),
    "bias_act, alpha": (lambda n: bias_act(images(), act="lrelu", alpha=n), (0.125, 0.25, 0.5)),
    "bias_act, clamp": (lambda n: bias_act(images(), act="tanh", clamp=n), (0.5, 0.25, 2.0)),
    "upfirdn2d, gain": (lambda n: upfirdn2d(images(), FIR, gain=n), (1.0, 1.5, 2.0)),
    "filter2d, gain": (lambda n: filter2d(images(), FIR, gain=n), (1.0, 1.5, 2.0)),
    "upsample2d, gain": (lambda n: upsample2d(images(), FIR, gain=n), (1.0, 1.5, 2.0)),
    "downsample2d, gain": (lambda n: downsample2d(images(), FIR, gain=n), (1.0, 1.5, 2.0)),
    "setup_filter, gain": (lambda n: setup_filter([1.0, 3.0, 3.0, 1.0], gain=n), (1.0, 1.5, 2.0)),
    "modulated_conv2d, gain": (lambda n: modulated_conv2d(images(), W, S, act="lrelu", gain=n), (0.5, 1.0, 2.0)),
    "modulated_conv2d, clamp": (lambda n: modulated_conv2d(images(), W, S, act="tanh", clamp=n), (0.5, 0.25, 0.75)),
    "group_norm_act, eps": (lambda n: group_norm_act(images(), 2, eps=n), (0.5, 0.25, 0.125)),
    "group_norm_act, alpha": (lambda n: group_norm_act(images(), 2, act="lrelu", alpha=n), (0.5, 0.25, 0.125)),
    "supcon_loss, temperature": (lambda n: supcon_loss(vectors(), LABELS, n), (0.5, 0.25, 0.125)),
    "supcon_loss of lists": (lambda n: supcon_loss(vectors(), temperature=n, positives=LISTS), (0.5, 0.25, 0.125)),
    "distributed_supcon_loss": (lambda n: distributed_supcon_loss(vectors(), LABELS, n), (0.5, 0.25, 0.125)),
    "classes_lse, scale": (lambda n: classes_lse(vectors(), vectors(), None, LABELS, n)[0], (0.5, 2.0, 4.0)),
    "StyleGAN's bias_act": (lambda n: stylegan_bias_act.bias_act(images(), act="lrelu", gain=n), (0.5, 1.0, 2.0)),
}
INTEGERS: dict[str, tuple[Callable[[Number], Tensor], tuple[int, ...]]] = {
    "bias_act, dim": (lambda n: bias_act(images()[:, :2, :2, :2], torch.ones(2), dim=n), (1, 0, 3)),
    "upfirdn2d, up": (lambda n: upfirdn2d(images(), FIR, up=n), (1, 2, 3)),
    "upfirdn2d, two downs": (lambda n: upfirdn2d(images(), FIR, down=[n, 1]), (1, 2, 3)),
    "upfirdn2d, padding": (lambda n: upfirdn2d(images(), FIR, padding=n), (1, 0, -1)),
    "upfirdn2d, four paddings": (lambda n: upfirdn2d(images(), FIR, padding=(n, n, 1, 2)), (1, 2, 3)),
    "upsample2d, up": (lambda n: upsample2d(images(), FIR, up=n), (1, 2, 3)),
    "downsample2d, down": (lambda n: downsample2d(images(), FIR, down=n), (1, 2, 3)),
    "modulated_conv2d, up": (lambda n: modulated_conv2d(images(), W, S, up=n, resample_filter=FIR), (1, 2, 3)),
    "modulated_conv2d, padding": (lambda n: modulated_conv2d(images(), W, S, padding=n), (1, 2, 0)),
    "conv2d_resample, down": (lambda n: conv2d_resample.conv2d_resample(images(), W, FIR, down=n), (1, 2, 3)),
    "conv2d_resample, groups": (lambda n: conv2d_resample.conv2d_resample(images(), W[:, : 4 // n], groups=n), (1, 2)),
    "group_norm_act, groups": (lambda n: group_norm_act(images(), n), (1, 2, 4)),
}
FLAGS: dict[str, Callable[[Any], Tensor]] = {
    "upfirdn2d": lambda flag: upfirdn2d(images(), FIR[:, :3], flip_filter=flag),
    "modulated_conv2d, demodulate": lambda flag: modulated_conv2d(images(), W, S, demodulate=flag),
    "modulated_conv2d, flip_weight": lambda flag: modulated_conv2d(images(), W, S, flip_weight=flag),
    "setup_filter, normalize": lambda flag: setup_filter([1, 3], normalize=flag),
    "setup_filter, separable": lambda flag: setup_filter([1, 3], separable=flag),
    "classes_lse": lambda flag: classes_lse(vectors(), 2 * vectors(), None, LABELS, 1.0, flag)[0],
}


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.float16, np.array])
@pytest.mark.parametrize("call", REALS)
def test_numpys_reals(call: str, kind: Callable[[float], Any]) -> None:
    run, numbers = REALS[call]
    for number in numbers:
        assert torch.equal(run(kind(number)), run(number))


@pytest.mark.parametrize("kind", [np.int64, np.int8, np.array])
@pytest.mark.parametrize("call", INTEGERS)
def test_numpys_integers(call: str, kind: Callable[[int], Any]) -> None:
    run, numbers = INTEGERS[call]
    for number in numbers:
        assert torch.equal(run(kind(number)), run(number))


def test_an_integer_of_numpys_is_a_real_number() -> None:
    assert torch.equal(bias_act(images(), gain=np.int64(2)), bias_act(images(), gain=2))


@pytest.mark.parametrize("call", FLAGS)
def test_numpys_flags(call: str) -> None:
    for flag in (True, False):
        assert torch.equal(FLAGS[call](np.bool_(flag)), FLAGS[call](flag))


WRONG = {
    "gain=np.nan": (lambda: bias_act(images(), gain=np.float32("nan")), "gain is nan"),
    "gain=np.bool_": (lambda: bias_act(images(), gain=np.bool_(True)), "gain is True, expected a number"),
    "gain of two": (lambda: upfirdn2d(images(), FIR, gain=np.ones(2)), "expected a number"),
    "temperature=np.float32(0)": (lambda: supcon_loss(vectors(), LABELS, np.float32(0)), "more than 0"),
    "padding=np.float32": (lambda: upfirdn2d(images(), FIR, padding=np.float32(1)), "padding is"),
    "padding=None": (lambda: upfirdn2d(images(), FIR, padding=None), "padding is None"),
    "up=np.int64(0)": (lambda: upfirdn2d(images(), FIR, up=np.int64(0)), "up is"),
    "up=[2, 2]": (lambda: modulated_conv2d(images(), W, S, up=[2, 2]), r"up is \[2, 2\], expected an integer ≥ 1"),
    "dim=1.5": (lambda: bias_act(images(), torch.ones(4), dim=1.5), "dim is 1.5, expected an integer"),
    "groups=np.float64": (lambda: group_norm_act(images(), np.float64(2)), "groups is"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_ones_are_refused_by_name(case: str) -> None:
    call, text = WRONG[case]
    with pytest.raises(ArgumentError, match=text):
        call()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("call", [*REALS, *INTEGERS])
def test_numbers_that_change_are_symbolic(call: str) -> None:
    run, numbers = {**REALS, **INTEGERS}[call]
    torch._dynamo.reset()
    compiled = torch.compile(run, fullgraph=True, backend="aot_eager")
    for number in numbers:
        torch.testing.assert_close(compiled(number), run(number))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_model_of_changing_sizes() -> None:
    model = smoothswap.build("stylegan2_64").eval()
    torch._dynamo.reset()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager", dynamic=True)
    for batch in (2, 4):
        images = torch.rand(batch, 3, 64, 64)
        torch.testing.assert_close(compiled(images), model(images))


def test_numbers_of_a_graph_without_dynamo() -> None:
    from torch.fx.experimental.proxy_tensor import make_fx

    graph = make_fx(lambda x, n: bias_act(x, act="lrelu", gain=n), tracing_mode="symbolic")(images(), 1.5)
    torch.testing.assert_close(graph(images(), 1.5), bias_act(images(), act="lrelu", gain=1.5))
