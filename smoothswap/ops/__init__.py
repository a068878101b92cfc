"""StyleGAN2's resampling, activation and modulated convolution, and a supervised contrastive loss, as PyTorch ops.

Signatures follow StyleGAN's, so that code which used those ops switches by changing an import. Every op works on fp64,
fp32, bf16 and fp16, on contiguous, channels_last and strided tensors, under autocast and torch.compile, and is twice
differentiable. `backend` says which kernel serves a call; `use` and the environment variable SMOOTHSWAP_OPS choose one.
"""

from smoothswap.ops import (  # noqa: F401  they attach their kernels to the ops
    bias_act_cpu,
    bias_act_cuda,
    bias_act_triton,
    conv2d_weight_gradient_triton,
    group_norm_act_cpu,
    modulated_conv2d_cpu,
    modulated_conv2d_cuda,
    modulated_conv2d_triton,
    positives_cpu,
    scaled_conv2d_triton,
    supcon_cpu,
    supcon_rows,
    supcon_triton,
    upfirdn2d_cpu,
    upfirdn2d_cuda,
    upfirdn2d_triton,
)
from smoothswap.ops.backend import can_run, report, use
from smoothswap.ops.bias_act import bias_act
from smoothswap.ops.filters import downsample2d, filter2d, setup_filter, upsample2d
from smoothswap.ops.gradients import no_weight_gradients
from smoothswap.ops.group_norm_act import group_norm_act
from smoothswap.ops.modulated_conv2d import modulated_conv2d
from smoothswap.ops.supcon_distributed import distributed_supcon_loss
from smoothswap.ops.supcon_loss import supcon_loss
from smoothswap.ops.upfirdn2d import upfirdn2d

__all__ = [
    "upfirdn2d",
    "bias_act",
    "modulated_conv2d",
    "group_norm_act",
    "supcon_loss",
    "distributed_supcon_loss",
    "setup_filter",
    "filter2d",
    "upsample2d",
    "downsample2d",
    "no_weight_gradients",
    "use",
    "can_run",
    "report",
]
