"""A discriminator written against StyleGAN's op modules runs on this package's ops: one import line changes.

Run: python examples/06_stylegan2_discriminator_on_our_ops.py
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

# from torch_utils.ops import bias_act, conv2d_resample, upfirdn2d
from smoothswap.ops.stylegan import bias_act, conv2d_resample, upfirdn2d


class Discriminator(nn.Module):
    """Images [B, 3, S, S] → logits [B]; each level convolves, then halves the side and doubles the channels."""

    def __init__(self, side: int = 32, channels: int = 8) -> None:
        super().__init__()
        self.register_buffer("fir", upfirdn2d.setup_filter([1, 3, 3, 1]))
        sizes = [3, *(channels * 2**i for i in range(side.bit_length() - 3))]
        pairs = list(pairwise(sizes))
        self.weights = nn.ParameterList(torch.randn(o, i, 3, 3) / (9 * i) ** 0.5 for i, o in pairs)
        self.biases = nn.ParameterList(torch.zeros(o) for _, o in pairs)
        self.head = nn.Linear(sizes[-1], 1)

    def forward(self, h: Tensor) -> Tensor:
        """Judges the images h [B, 3, S, S]."""
        gain = bias_act.activation_funcs["lrelu"].def_gain
        for weight, bias in zip(self.weights, self.biases, strict=True):
            h = conv2d_resample.conv2d_resample(h, weight, f=self.fir, down=2, padding=1)
            h = bias_act.bias_act(h, bias, act="lrelu", gain=gain, clamp=256)
        h = upfirdn2d.downsample2d(h, self.fir)
        return self.head(h.mean((2, 3)))[:, 0]


torch.manual_seed(0)
net = Discriminator()
real = (torch.rand(4, 3, 32, 32) * 2 - 1).requires_grad_()
logits = net(real)
(gradient,) = torch.autograd.grad(logits.sum(), real, create_graph=True)
penalty = gradient.square().sum((1, 2, 3)).mean()
(nn.functional.softplus(-logits).mean() + 5 * penalty).backward()
print(f"logits {[round(x, 3) for x in logits.tolist()]}, R1 penalty {penalty.item():.4f}")
print(f"gradient of the first weight: {net.weights[0].grad.norm().item():.4f}")
