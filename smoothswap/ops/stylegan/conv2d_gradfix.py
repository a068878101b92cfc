"""StyleGAN's module `conv2d_gradfix`: PyTorch's own convolutions are twice differentiable, so they serve as they are.

`no_weight_gradients` spares weight gradients in backward passes of this package's ops; those of PyTorch's convolutions
are spared by PyTorch itself where `torch.autograd.grad` is asked for the inputs alone.
"""

from torch.nn.functional import conv2d, conv_transpose2d

from smoothswap.ops.gradients import no_weight_gradients

__all__ = ["conv2d", "conv_transpose2d", "enabled", "no_weight_gradients"]

enabled = False  # training loops set it; there is nothing to switch
