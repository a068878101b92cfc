"""The ops under the module names of StyleGAN's code, so that code written against it changes its import lines alone.

    from torch_utils.ops import bias_act, conv2d_gradfix, conv2d_resample, fma, upfirdn2d     # before
    from smoothswap.ops.stylegan import bias_act, conv2d_gradfix, conv2d_resample, fma, upfirdn2d

Each name is a module that holds functions of the same signatures: `upfirdn2d.upfirdn2d`, `upfirdn2d.setup_filter`,
`bias_act.bias_act`, … Code of one's own takes them from `smoothswap.ops`.
"""

from smoothswap.ops.stylegan import bias_act, conv2d_gradfix, conv2d_resample, fma, upfirdn2d

__all__ = ["bias_act", "conv2d_gradfix", "conv2d_resample", "fma", "upfirdn2d"]
