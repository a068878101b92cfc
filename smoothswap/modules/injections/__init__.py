"""How the identity enters a residual block: one module a file, built by name (kind `injection`).

An injection is the inner half of a block. It takes the features [B, C, H, W] behind the block's first convolution and
the embedding [B, E], and does normalisation, identity, SiLU, dropout and the second 3x3 convolution, which starts
near zero. Its Config has the required options `channels` and `embedding_dim`; a generator also hands on `dropout` and
`init_scale` where they differ from 0.
"""

from smoothswap.modules.injections.adagn import AdaGNInjection
from smoothswap.modules.injections.adain import AdaINInjection
from smoothswap.modules.injections.add import AddInjection
from smoothswap.modules.injections.modulated import ModulatedInjection

__all__ = ["AdaGNInjection", "AdaINInjection", "AddInjection", "ModulatedInjection"]
