"""The ops on a CUDA device, on every backend there, against fp64: precisions, formats, sizes, streams, graphs.

`pytest -m sanitize` runs a small part, each kernel once, for compute-sanitizer.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from smoothswap.ops import bias_act, can_run, modulated_conv2d, setup_filter, supcon_loss, upfirdn2d, use

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

# One rounding of a result to nearest, relative to its size: half a unit in the last place.
ROUNDING = {torch.float64: 2**-53, torch.float32: 2**-24, torch.bfloat16: 2**-9, torch.float16: 2**-12}
LAYOUTS = {"nchw": torch.contiguous_format, "nhwc": torch.channels_last}
FIR = setup_filter([1, 3, 3, 1])


@pytest.fixture(autouse=True)
def _full_precision() -> Iterator[None]:
    """Convolutions and products in fp32, where PyTorch may else use TF32 with its ten bits."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


@pytest.fixture(params=["cuda", "triton", "reference"])
def gpu(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs the test on each backend that serves a GPU."""
    if reason := can_run("upfirdn2d", request.param, torch.zeros(1, 1, 1, 1, device="cuda")):
        pytest.skip(reason)
    with use(request.param):
        yield request.param


def _near(mine: Tensor, exact: Tensor, dtype: torch.dtype, roundings: float, scale: Tensor | float = 0.0) -> None:
    """Checks `mine` against fp64 arithmetic on the same numbers.

    Args:
        mine: the result on the GPU.
        exact: what it should be, fp64 on the CPU.
        dtype: of the op.
        roundings: roundings to `dtype` on the way.
        scale: size of the terms that were added up, in whose roundings to fp32 (fp64) a sum may be off.
    """
    assert mine.dtype == dtype
    assert mine.shape == exact.shape
    inside = ROUNDING[torch.float64 if dtype == torch.float64 else torch.float32]
    allowed = roundings * ROUNDING[dtype] * exact.abs() + 16 * inside * (scale + exact.abs()) + 2.0**-25
    error = (mine.double().cpu() - exact).abs()
    assert (error <= allowed).all(), f"off by up to {float((error - allowed).max())} beyond what is allowed"


def _image(dtype: torch.dtype, layout: torch.memory_format, *shape: int) -> tuple[Tensor, Tensor]:
    """[B, C, H, W] on the GPU, and the same numbers in fp64 on the CPU."""
    x = torch.randn(shape).to(dtype)
    return x.cuda().contiguous(memory_format=layout), x.double()


# name: options; paddings of the networks, of their gradients, and others
RESAMPLINGS = {
    "up2": {"up": 2, "padding": [2, 1, 2, 1], "gain": 4},
    "down2": {"down": 2, "padding": 1},
    "filter": {"padding": [2, 1, 2, 1]},
    "adjoint of filter": {"padding": [1, 2, 1, 2], "flip_filter": True},
    "behind a transposed convolution": {"padding": 1},
    "before a strided convolution": {"padding": 2},
    "odd up2": {"up": 2, "padding": [1, 2, 3, 0]},
    "cropping down2": {"down": 2, "padding": [-1, -3, 4, -2]},
    "three halves": {"up": 3, "down": 2, "padding": [4, 3, -1, 5]},
}
SIZES = [(16, 32), (17, 23), (1, 64), (33, 1), (65, 130)]


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("dtype", ROUNDING, ids=str)
class TestAgainstFp64:
    @pytest.mark.parametrize("name", RESAMPLINGS)
    @pytest.mark.parametrize("channels", [1, 3, 16])
    def test_upfirdn2d(self, gpu, dtype, layout, channels, name):
        for height, width in SIZES:
            x, exact = _image(dtype, layout, 2, channels, height, width)
            options = RESAMPLINGS[name]
            up, padding = options.get("up", 1), options["padding"]
            pads = padding if isinstance(padding, list) else [padding] * 4
            if min(height * up + sum(pads[2:]), width * up + sum(pads[:2])) < 4:
                continue  # smaller than the filter
            with use("reference"):
                expected = upfirdn2d(exact, FIR.double(), **options)
            _near(upfirdn2d(x, FIR.cuda(), **options), expected, dtype, 1, float(exact.abs().max()))

    @pytest.mark.parametrize("taps", [(12,), (32, 32), (3, 5), (1, 1), (4, 4)], ids=str)
    def test_other_filters(self, gpu, dtype, layout, taps):
        x, exact = _image(dtype, layout, 2, 3, 19, 27)
        f = torch.randn(taps)
        options = {"up": [2, 1], "down": [1, 2], "padding": 16}
        with use("reference"):
            expected = upfirdn2d(exact, f.double(), **options)
            terms = upfirdn2d(exact.abs(), f.double().abs(), **options)
        _near(upfirdn2d(x, f.cuda(), **options), expected, dtype, 1, terms)

    @pytest.mark.parametrize("act", ["linear", "relu", "lrelu", "tanh", "sigmoid", "elu", "selu", "softplus", "swish"])
    @pytest.mark.parametrize("size", [(64, 64), (17, 23), (8, 16)])
    def test_bias_act_and_its_gradient(self, gpu, dtype, layout, act, size):
        x, exact = _image(dtype, layout, 2, 16, *size)
        b = torch.randn(16).to(dtype)
        leaf, bias = x.requires_grad_(), b.cuda().requires_grad_()
        mine = bias_act(leaf, bias, act=act, clamp=1.5)
        with use("reference"):
            _near(mine, bias_act(exact, b.double(), act=act, clamp=1.5), dtype, 1, 4.0)
            g = torch.randn_like(mine)
            # The derivative of the stored result: what rounding did to y is not this test's matter.
            expected = torch.autograd.grad(bias_act(leaf, bias, act=act, clamp=1.5), (leaf, bias), g)
        dx, db = torch.autograd.grad(mine, (leaf, bias), g)
        unit = 4 * ROUNDING[dtype] + 2**-18
        torch.testing.assert_close(dx, expected[0], rtol=unit, atol=unit)
        torch.testing.assert_close(
            db, expected[1], rtol=unit, atol=unit * float(dx.abs().double().sum((0, 2, 3)).max())
        )

    @pytest.mark.parametrize("mode", ["same", "up", "down"])
    def test_modulated_conv2d(self, gpu, dtype, layout, mode):
        if reason := can_run("modulated_conv2d", gpu, torch.zeros(1, 1, 1, 1, device="cuda")):
            pytest.skip(reason)
        x, exact = _image(dtype, layout, 2, 16, 20, 24)
        w, s, b = (torch.randn(*shape).to(dtype) for shape in ((8, 16, 3, 3), (2, 16), (8,)))
        height, width = (20, 24) if mode == "same" else (40, 48) if mode == "up" else (10, 12)
        noise = torch.randn(2, 1, height, width).to(dtype)
        options = {"padding": 1, "act": "lrelu", "clamp": 2.0} | ({} if mode == "same" else {mode: 2})
        fir = None if mode == "same" else FIR
        with use("reference"):
            doubles = (t.double() for t in (w, s, noise))
            expected = modulated_conv2d(exact, *doubles, resample_filter=fir, bias=b.double(), **options)
        mine = modulated_conv2d(
            x,
            w.cuda(),
            s.cuda(),
            noise.cuda(),
            resample_filter=None if fir is None else fir.cuda(),
            bias=b.cuda(),
            **options,
        )
        # The styles' product, the convolution and the FIR are each rounded; demodulated results have size one, and the
        # errors of 144 terms add up as a random walk does.
        assert mine.dtype == dtype
        assert (mine.double().cpu() - expected).abs().max() <= 32 * ROUNDING[dtype] + 2.0**-16 * (
            dtype != torch.float64
        )


@pytest.mark.parametrize("dtype", ROUNDING, ids=str)
def test_supcon_loss(dtype):
    z = torch.nn.functional.normalize(torch.randn(48, 16, dtype=torch.float64), dim=1).to(dtype)
    labels = torch.arange(48) // 4
    mine, expected = supcon_loss(z.cuda(), labels.cuda()), supcon_loss(z.double(), labels)
    assert abs(float(mine) - float(expected)) <= 1e-5 * float(expected)


@pytest.fixture(params=["triton", "reference"])
def similar(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs the test on each backend that has supcon's ops on a GPU, in fp32 too, which triton leaves alone unasked."""
    with use(request.param):
        if reason := can_run("supcon_lse", request.param, torch.zeros(1, 1, device="cuda")):
            pytest.skip(reason)
        yield request.param


def _vectors(n: int, D: int, dtype: torch.dtype) -> Tensor:
    return torch.nn.functional.normalize(torch.randn(n, D, device="cuda"), dim=1).to(dtype)


# Of a gradient, relative to its largest entry: G is rounded to the dtype, similarities and sums are fp32.
GRADIENT = {torch.float32: 1e-5, torch.bfloat16: 2**-8, torch.float16: 2**-10}


@pytest.mark.parametrize("dtype", GRADIENT, ids=str)
@pytest.mark.parametrize(("n", "D"), [(2, 1), (129, 19), (1000, 65), (9000, 128), (4097, 512), (300, 2048)])
def test_lse_and_its_gradient(similar, dtype, n, D):
    """Several bands of rows and blocks of G, one tile and part of one; on the reference too: the tolerance is fair."""
    z, g = _vectors(n, D, dtype), torch.randn(n, device="cuda") / n
    ops = torch.ops.smoothswap
    lse = ops.supcon_lse(z, 0.07)
    dz = ops.supcon_lse_grad(g, z, lse, 0.07)
    with use("reference"):
        expected = ops.supcon_lse(z.double(), 0.07)
        of_exact = ops.supcon_lse_grad(g.double(), z.double(), expected, 0.07)
    torch.testing.assert_close(lse.double(), expected, rtol=0, atol=2e-5)
    assert (dz - of_exact).abs().max() <= GRADIENT[dtype] * of_exact.abs().max()
    first, few = n // 3, slice(n // 3, n // 3 + max(n // 2, 1))
    rows = ops.supcon_rows_lse(z[few], z, first, 0.07)
    torch.testing.assert_close(rows.double(), expected[few], rtol=0, atol=2e-5)
    of_rows = ops.supcon_rows_grad(g[few], lse[few], z[few], g, lse, z, first, 0.07)
    assert (of_rows - of_exact[few]).abs().max() <= GRADIENT[dtype] * of_exact.abs().max()


def test_supcon_in_tf32(similar):
    torch.backends.cuda.matmul.allow_tf32 = True
    z = _vectors(700, 96, torch.float32)
    lse, g = torch.ops.smoothswap.supcon_lse(z, 0.07), torch.randn(700, device="cuda")
    dz = torch.ops.smoothswap.supcon_lse_grad(g, z, lse, 0.07)
    torch.backends.cuda.matmul.allow_tf32 = False
    with use("reference"):
        expected = torch.ops.smoothswap.supcon_lse(z.double(), 0.07)
        of_exact = torch.ops.smoothswap.supcon_lse_grad(g.double(), z.double(), expected, 0.07)
    torch.testing.assert_close(lse.double(), expected, rtol=0, atol=2**-10 / 0.07)
    assert (dz - of_exact).abs().max() <= 2**-6 * of_exact.abs().max()


def test_supcon_of_vectors_that_lie_far_apart(similar):
    z = _vectors(1000, 16, torch.bfloat16) * (30 * torch.rand(1000, 1, device="cuda")).bfloat16()
    lse = torch.ops.smoothswap.supcon_lse(z, 0.07)
    with use("reference"):
        expected = torch.ops.smoothswap.supcon_lse(z.double(), 0.07)
    torch.testing.assert_close(lse.double(), expected, rtol=1e-6, atol=1e-4)
    assert torch.isfinite(torch.ops.smoothswap.supcon_lse_grad(torch.ones_like(lse), z, lse, 0.07)).all()


def test_supcon_gives_the_same_bits_each_time(similar):
    z, labels = _vectors(5000, 512, torch.bfloat16).requires_grad_(), torch.arange(5000, device="cuda") // 4
    losses = [supcon_loss(z, labels) for _ in range(4)]
    first, *others = (torch.autograd.grad(loss, z)[0] for loss in losses)
    assert all(torch.equal(losses[0], loss) for loss in losses)
    assert all(torch.equal(first, other) for other in others)


def test_supcon_of_131072_vectors_takes_less_than_2_gb():
    """The N × N matrix would be 32 GiB in bf16; z itself is 128 MiB, its gradient, while in fp32, 256 MiB."""
    N = 131072
    z, labels = _vectors(N, 512, torch.bfloat16).requires_grad_(), torch.arange(N, device="cuda") // 4
    if reason := can_run("supcon_lse", "triton", z):
        pytest.skip(reason)
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    with use("triton"):
        loss = supcon_loss(z, labels)
        (dz,) = torch.autograd.grad(loss, z)
    assert torch.cuda.max_memory_allocated() - before < 2e9
    # Some rows against all, as the rectangular op in fp32 has it.
    rows = slice(N - 64, N)
    wide = z.detach().float()
    with use("reference"):
        lse = torch.ops.smoothswap.supcon_rows_lse(wide[rows], wide, N - 64, 0.07)
    with use("triton"):
        torch.testing.assert_close(torch.ops.smoothswap.supcon_lse(z.detach(), 0.07)[rows], lse, rtol=0, atol=2e-5)
    assert torch.isfinite(dz).all()


def test_derivatives_in_fp64(gpu):
    f = FIR.double().cuda()
    x = torch.randn(1, 2, 6, 5, dtype=torch.float64, device="cuda", requires_grad=True)
    b = torch.randn(2, dtype=torch.float64, device="cuda", requires_grad=True)
    for options in ({"up": 2, "padding": [2, 1, 2, 1]}, {"down": 2, "padding": 1}):
        assert gradcheck(lambda x, o=options: upfirdn2d(x, f, **o), x)
    for act in ("lrelu", "swish"):
        assert gradcheck(lambda x, b, a=act: bias_act(x, b, act=a), (x, b))
        assert gradgradcheck(lambda x, b, a=act: bias_act(x, b, act=a), (x, b))


def test_second_derivative_is_that_of_the_cpu(gpu):
    weight = torch.randn(4, 3, 3, 3, dtype=torch.float64)
    images = torch.randn(2, 3, 16, 16, dtype=torch.float64)

    def penalty(device: str) -> Tensor:
        w = weight.to(device).requires_grad_()
        x = images.to(device).requires_grad_()
        h = bias_act(torch.nn.functional.conv2d(x, w, padding=1), torch.zeros_like(w[:, 0, 0, 0]), act="lrelu")
        logits = upfirdn2d(h, setup_filter([1, 3, 3, 1], device=device), down=2, padding=1).square().sum()
        (gradient,) = torch.autograd.grad(logits, x, create_graph=True)
        (second,) = torch.autograd.grad(gradient.square().sum(), w)
        return second.cpu()

    on_gpu = penalty("cuda")
    assert on_gpu.abs().max() > 0
    with use("reference"):
        torch.testing.assert_close(on_gpu, penalty("cpu"))


def test_the_bias_gradient_is_the_same_each_time(gpu):
    x = torch.randn(8, 32, 65, 65, device="cuda", requires_grad=True)
    b = torch.zeros(32, device="cuda", requires_grad=True)
    y = bias_act(x, b, act="lrelu")
    g = torch.randn_like(y)
    first, *others = (torch.autograd.grad(y, b, g, retain_graph=True)[0] for _ in range(5))
    assert all(torch.equal(first, other) for other in others)


def test_a_side_stream(gpu):
    x, f = torch.randn(8, 64, 256, 256, device="cuda"), FIR.cuda()
    expected = bias_act(upfirdn2d(x, f, padding=[2, 1, 2, 1]), act="lrelu")
    torch.cuda.synchronize()
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        late = torch.zeros_like(x)
        torch.cuda._sleep(50_000_000)  # what the kernel reads is not there before the stream has come so far
        late.copy_(x)
        mine = bias_act(upfirdn2d(late, f, padding=[2, 1, 2, 1]), act="lrelu")
    stream.synchronize()
    assert torch.equal(mine, expected)


def test_capture_into_a_graph(gpu):
    x, f, b = torch.randn(2, 8, 32, 32, device="cuda"), FIR.cuda(), torch.randn(8, device="cuda")

    def step() -> Tensor:
        return bias_act(upfirdn2d(x, f, down=2, padding=1), b, act="lrelu")

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = step()
    x.copy_(torch.randn_like(x))
    graph.replay()
    torch.testing.assert_close(y, step(), rtol=0, atol=0)


def test_capture_with_a_filter_that_was_never_used(gpu):
    """Its taps cannot be read on the host then: they come from the device's memory."""
    if gpu == "reference":
        pytest.skip("it is about the kernels")
    x, fresh = torch.randn(2, 8, 32, 32, device="cuda"), (FIR * 0.5).cuda()
    upfirdn2d(x, FIR.cuda(), padding=[2, 1, 2, 1])  # kernels are loaded or compiled
    upfirdn2d(x, torch.randn(3, 3, device="cuda"), padding=1)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = upfirdn2d(x, fresh, padding=[2, 1, 2, 1])
    graph.replay()
    torch.testing.assert_close(y, upfirdn2d(x, FIR.cuda(), padding=[2, 1, 2, 1], gain=0.5))


def test_a_filter_that_is_changed_counts(gpu):
    x, f = torch.randn(1, 2, 16, 16, device="cuda"), FIR.cuda()
    once = upfirdn2d(x, f, padding=1)
    f.mul_(2)
    torch.testing.assert_close(upfirdn2d(x, f, padding=1), 2 * once)
    with torch.inference_mode():
        constant = FIR.cuda()
        torch.testing.assert_close(upfirdn2d(x, constant, padding=1), once)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_the_second_device(gpu):
    x = torch.randn(2, 8, 32, 32)
    first, second = (
        bias_act(upfirdn2d(x.to(d), FIR.to(d), padding=[2, 1, 2, 1]), act="lrelu") for d in ("cuda:0", "cuda:1")
    )
    assert second.device.index == 1
    assert torch.cuda.current_device() == 0
    assert torch.equal(first.cpu(), second.cpu())


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
class TestMoreThan2To31Elements:
    """bf16 images of 4.3 GB; what lies beyond 2³¹ elements is compared with the same images alone."""

    def _room(self, gigabytes: int) -> None:
        if torch.cuda.mem_get_info()[0] < gigabytes << 30:
            pytest.skip(f"needs {gigabytes} GB of free memory on the device")

    def _images(self, layout: torch.memory_format) -> Tensor:
        x = torch.empty(33, 64, 1024, 1024, dtype=torch.bfloat16, device="cuda", memory_format=layout)
        assert x.numel() > 2**31
        x[:-1] = 0
        x[-1].normal_()
        return x

    @pytest.mark.parametrize("taps", [[1, 3, 3, 1], [1, 2, 1]], ids=["four taps", "three taps"])
    def test_upfirdn2d(self, gpu, layout, taps):
        if gpu == "reference":
            pytest.skip("it is about the kernels")
        self._room(14)
        x, f = self._images(layout), setup_filter(taps, device="cuda")
        y = upfirdn2d(x, f, padding=[len(taps) // 2, 1, len(taps) // 2, 1])
        assert torch.equal(y[-1:], upfirdn2d(x[-1:].clone(memory_format=layout), f, padding=[len(taps) // 2, 1] * 2))
        assert not y[:-1].any()

    def test_bias_act(self, gpu, layout):
        if gpu == "reference":
            pytest.skip("it is about the kernels")
        self._room(14)
        x, b = self._images(layout), torch.randn(64, device="cuda").bfloat16()
        y = bias_act(x, b, act="lrelu")
        assert torch.equal(y[-1:], bias_act(x[-1:].clone(memory_format=layout), b, act="lrelu"))
        assert torch.equal(y[0], bias_act(x[:1].clone(memory_format=layout), b, act="lrelu")[0])


@pytest.mark.sanitize
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_each_kernel_once(dtype, layout):
    """Small sizes with and without whole packs, for a checker of memory accesses and races."""
    f = FIR.cuda()
    with use("cuda"):
        for channels, size in ((8, 16), (3, 13)):
            x = torch.randn(2, channels, size, size).to("cuda", dtype).contiguous(memory_format=layout).requires_grad_()
            b = torch.randn(channels, device="cuda").to(dtype).requires_grad_()
            w = torch.randn(4, channels, 3, 3, device="cuda").to(dtype).requires_grad_()
            s = torch.randn(2, channels, device="cuda").to(dtype).requires_grad_()
            up = upfirdn2d(x, f, up=2, padding=[2, 1, 2, 1])
            same = upfirdn2d(up, f, padding=[1, 2, 1, 2])
            h = bias_act(upfirdn2d(same, f, down=2, padding=1), b, act="lrelu")
            h = bias_act(upfirdn2d(h, torch.ones(3, 5, device="cuda"), padding=2), b, act="swish")
            y = modulated_conv2d(h, w, s, padding=1, act="lrelu")
            assert all(torch.isfinite(t).all() for t in torch.autograd.grad(y.square().sum(), (x, b, w, s)))
