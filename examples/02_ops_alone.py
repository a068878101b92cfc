"""StyleGAN2's ops without anything else: one R1 step of a small discriminator.

R1 penalises the gradient of the discriminator's logits at real pictures, so its own gradient is a second derivative,
through every op on the way. Run: python examples/02_ops_alone.py
"""

import torch
from torch import Tensor

from smoothswap.ops import bias_act, report, setup_filter, upfirdn2d

torch.manual_seed(0)
B, C, S = 4, 16, 32  # pictures, channels, side in pixels
GAMMA = 1.0  # weight of the penalty

blur = setup_filter([1, 3, 3, 1])
first = torch.randn(C, 3, 1, 1).div_(3**0.5).requires_grad_()  # 1x1 convolution from RGB
second = torch.randn(C, C, 3, 3).div_((9 * C) ** 0.5).requires_grad_()
bias = torch.zeros(C, requires_grad=True)
last = torch.randn(C).div_(C**0.5).requires_grad_()
weights = [first, second, bias, last]


def logits(images: Tensor) -> Tensor:
    """Images [B, 3, S, S] → [B]: convolve, blur and halve, add the bias, activate, average."""
    h = torch.nn.functional.conv2d(images, first)
    h = bias_act(torch.nn.functional.conv2d(h, second, padding=1), bias, act="lrelu")
    h = upfirdn2d(h, blur, down=2, padding=1)
    return h.mean((2, 3)) @ last


def penalty(images: Tensor) -> Tensor:
    """R1: gamma / 2 · mean over pictures of |gradient of the logit at the picture|²."""
    images = images.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(logits(images).sum(), images, create_graph=True)
    return GAMMA / 2 * gradient.square().sum((1, 2, 3)).mean()


real = torch.rand(B, 3, S, S) * 2 - 1
optimizer = torch.optim.SGD(weights, lr=0.5)
for step in range(5):
    optimizer.zero_grad()
    loss = penalty(real)
    loss.backward()
    print(f"step {step}: penalty {loss.item():.6f}, gradient of the 3x3 weights {second.grad.norm().item():.6f}")
    optimizer.step()

print("\nwhich kernel served each op:")
for row in report():
    print(f"  {row.op:24} on {row.device}: {row.backend}")
