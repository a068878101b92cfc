import math

import pytest
import torch
import torch.nn.functional as F

from smoothswap.core.errors import ArgumentError
from smoothswap.modules.attention import AttentionBlock
from smoothswap.modules.equal_lr import EqualConv2d, EqualLinear
from smoothswap.modules.group_norm import group_norm
from smoothswap.modules.identity_head import IdentityHead
from smoothswap.modules.initialisation import conv3x3, linear, variance_scaling_
from smoothswap.modules.minibatch_stddev import MinibatchStddev
from smoothswap.modules.resample import Downsample, DownsampleConvolution, Upsample, UpsampleConvolution
from smoothswap.modules.residual import ResidualBlock

FIR = (1.0, 3.0, 3.0, 1.0)


@pytest.mark.parametrize(("channels", "groups"), [(3, 1), (8, 2), (128, 32), (256, 32), (144, 24), (6, 1)])
def test_group_norm_takes_ncsnpps_groups_where_they_divide(channels, groups):
    norm = group_norm(channels)
    assert norm.num_groups == groups
    assert norm.eps == 1e-6


def test_variance_scaling_is_fan_avg_uniform():
    torch.manual_seed(0)
    weight = torch.empty(64, 32, 3, 3)
    variance_scaling_(weight, 0.5)
    variance = 0.5 / ((32 * 9 + 64 * 9) / 2)
    assert weight.var().item() == pytest.approx(variance, rel=0.05)
    assert weight.abs().max().item() <= math.sqrt(3 * variance) + 1e-7


def test_a_scale_of_zero_is_near_zero_but_not_zero():
    weight = conv3x3(8, 8, scale=0.0).weight
    assert 0 < weight.abs().max().item() < 1e-5
    assert linear(4, 5, bias=1.0).bias.tolist() == [1.0] * 5


@pytest.mark.parametrize("kernel", [(), FIR])
def test_resampling_keeps_a_constant_image(kernel):
    x = torch.full((1, 2, 8, 8), 3.0)
    up, down = Upsample(kernel)(x), Downsample(kernel)(x)
    assert up.shape == (1, 2, 16, 16)
    assert down.shape == (1, 2, 4, 4)
    torch.testing.assert_close(up[:, :, 2:-2, 2:-2], torch.full((1, 2, 12, 12), 3.0))
    torch.testing.assert_close(down[:, :, 1:-1, 1:-1], torch.full((1, 2, 2, 2), 3.0))


@pytest.mark.parametrize("kernel", [(), FIR])
def test_resampling_keeps_a_ramp_in_place(kernel):
    # A linear ramp stays the same ramp on pixel centres: no half-pixel shift.
    x = torch.arange(16.0).expand(1, 1, 16, 16)
    down = Downsample(kernel)(x)
    torch.testing.assert_close(down[0, 0, 4, 1:-1], 2 * torch.arange(1.0, 7.0) + 0.5)
    if kernel:
        up = Upsample(kernel)(x)
        torch.testing.assert_close(up[0, 0, 16, 4:-4], torch.arange(4.0, 28.0) / 2 - 0.25)


def test_downsample_convolution_is_filter_then_stride_two():
    torch.manual_seed(0)
    layer, x = DownsampleConvolution(3, 5, FIR).double(), torch.randn(2, 3, 8, 8, dtype=torch.float64)
    taps = torch.tensor(FIR, dtype=torch.float64)
    kernel = torch.outer(taps, taps) / taps.sum() ** 2
    blurred = F.conv2d(F.pad(x, (2, 2, 2, 2)), kernel.expand(3, 1, 4, 4), groups=3)
    torch.testing.assert_close(layer(x), F.conv2d(blurred, layer.weight, layer.bias, stride=2))


def test_upsample_convolution_is_zeros_then_convolution_then_filter():
    torch.manual_seed(0)
    layer, x = UpsampleConvolution(3, 5, FIR).double(), torch.randn(2, 3, 4, 4, dtype=torch.float64)
    zeros = torch.zeros(2, 3, 7, 7, dtype=torch.float64)
    zeros[:, :, ::2, ::2] = x
    h = F.conv2d(F.pad(zeros, (2, 2, 2, 2)), layer.weight)
    taps = torch.tensor(FIR, dtype=torch.float64)
    kernel = 4 * torch.outer(taps, taps) / taps.sum() ** 2
    expected = F.conv2d(F.pad(h, (1, 1, 1, 1)), kernel.expand(5, 1, 4, 4), groups=5) + layer.bias[:, None, None]
    assert expected.shape == (2, 5, 8, 8)
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("layer", [UpsampleConvolution(2, 3), DownsampleConvolution(2, 3)])
def test_plain_resample_convolutions_have_the_right_size(layer):
    side = 16 if isinstance(layer, UpsampleConvolution) else 4
    assert layer(torch.randn(1, 2, 8, 8)).shape == (1, 3, side, side)


def test_filters_are_no_part_of_the_state():
    assert list(Upsample(FIR).state_dict()) == []


def test_attention_against_the_formula():
    torch.manual_seed(0)
    block = AttentionBlock(8, init_scale=1.0).double()
    x = torch.randn(2, 8, 4, 4, dtype=torch.float64)
    q, k, v = block.qkv(block.norm(x)).flatten(2).chunk(3, dim=1)  # [2, 8, 16]
    weights = torch.softmax(q.transpose(1, 2) @ k / math.sqrt(8), dim=-1)  # [2, 16, 16]
    h = block.project((v @ weights.transpose(1, 2)).reshape(2, 8, 4, 4))
    torch.testing.assert_close(block(x), (x + h) / math.sqrt(2))


class _Half(torch.nn.Module):
    def forward(self, h, e):
        return h * e[:, :1, None, None]


def test_residual_block_resamples_both_paths():
    block = ResidualBlock(4, 6, _Half(), resample=Downsample(FIR), skip_rescale=False)
    x, e = torch.randn(2, 4, 8, 8), torch.zeros(2, 3)
    torch.testing.assert_close(block(x, e), block.shortcut(Downsample(FIR)(x)))
    assert ResidualBlock(4, 4, _Half()).shortcut is None


def test_recompute_gives_the_same_gradients():
    torch.manual_seed(0)
    block = ResidualBlock(4, 6, _Half())
    x, e = torch.randn(2, 4, 8, 8, requires_grad=True), torch.rand(2, 3)
    (first,) = torch.autograd.grad(block(x, e).square().sum(), x)
    block.recompute = True
    (second,) = torch.autograd.grad(block(x, e).square().sum(), x)
    torch.testing.assert_close(first, second)


def test_equal_layers_scale_weights_by_fan_in():
    torch.manual_seed(0)
    fc = EqualLinear(16, 4)
    x = torch.randn(3, 16)
    torch.testing.assert_close(fc(x), x @ fc.weight.T / 4)
    conv = EqualConv2d(4, 8, 3, activation="lrelu", clamp=0.1)
    h = F.conv2d(torch.ones(1, 4, 5, 5), conv.weight / 6, padding=1)
    expected = (F.leaky_relu(h, 0.2) * math.sqrt(2) * 0.5).clamp(-0.05, 0.05)
    torch.testing.assert_close(conv(torch.ones(1, 4, 5, 5), gain=0.5), expected)


def test_minibatch_stddev_by_hand():
    # Groups are image i with image i + B/G: (0, 2) and (1, 3).
    x = torch.tensor([0.0, 1.0, 4.0, 1.0]).reshape(4, 1, 1, 1).expand(4, 2, 3, 3)
    y = MinibatchStddev(group_size=2)(x)
    assert y.shape == (4, 3, 3, 3)
    torch.testing.assert_close(y[:, 2, 0, 0], torch.tensor([2.0, 1e-4, 2.0, 1e-4]))


@pytest.mark.parametrize("batch", [0, 1, 3, 6])
def test_minibatch_stddev_takes_any_batch(batch):
    assert MinibatchStddev(4, 2)(torch.randn(batch, 4, 2, 2)).shape == (batch, 6, 2, 2)
    assert MinibatchStddev(4, 0)(torch.randn(batch, 4, 2, 2)).shape == (batch, 4, 2, 2)


@pytest.mark.parametrize("kind", ["mlp", "linear", "plain"])
def test_identity_head_gives_unit_vectors(kind):
    head = IdentityHead(6, 5, kind, hidden=7)
    torch.testing.assert_close(head(torch.randn(4, 6)).norm(dim=1), torch.ones(4))
    torch.testing.assert_close(head.eval()(torch.randn(1, 6)).norm(dim=1), torch.ones(1))


def test_identity_head_says_that_batch_norm_needs_a_batch():
    with pytest.raises(ArgumentError, match=r"batch of one image[\s\S]*\.eval\(\)"):
        IdentityHead(6, 5)(torch.randn(1, 6))
    assert IdentityHead(6, 5, "plain")(torch.randn(1, 6)).shape == (1, 5)
