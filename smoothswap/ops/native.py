"""The compiled kernels: one shared library beside this file, loaded the first time an op is used.

The library is built by `pip install .` where a C++ compiler and PyTorch are found; it
registers its kernels in `torch.ops.smoothswap_native`. Nothing is compiled or loaded at import. SMOOTHSWAP_ISA in the
environment (baseline, avx2 or avx512), read once, keeps it from using all that the processor has.
"""

from __future__ import annotations

import functools
import shutil
from pathlib import Path
from typing import Any

import torch

from smoothswap.core.errors import BackendError

LIBRARY = Path(__file__).with_name("_native.so")
# What this version calls in the library, and with how many arguments: a library left from another build may differ.
_ARGUMENTS = {
    "bias_act": 9,
    "bias_act_grad": 14,
    "epilogue": 9,
    "group_norm_act": 12,
    "group_norm_act_grad": 14,
    "isa": 0,
    "listed_dots": 4,
    "listed_pull": 7,
    "modulated_conv2d_head": 12,
    "same_label_dots": 4,
    "same_label_pull": 5,
    "scale_channels": 4,
    "supcon_lse": 3,
    "supcon_lse_grad": 5,
    "supcon_rows_grad": 9,
    "supcon_rows_lse": 5,
    "upfirdn2d": 9,
    "winograd": 16,
    "winograd_space": 2,
}


@functools.cache
def missing() -> str | None:
    """Loads the library once; says why it is not there, or None where it is.

    Raises:
        BackendError: SMOOTHSWAP_ISA names an instruction set that is unknown or that the processor lacks.
    """
    if not LIBRARY.exists():
        needs = "" if any(map(shutil.which, ("c++", "g++", "clang++"))) else "; missing here: a C++ compiler"
        return f"the compiled kernels are not built (`pip install .` of the source builds them{needs})"
    try:
        torch.ops.load_library(LIBRARY)  # type: ignore[no-untyped-call]
    except (OSError, RuntimeError) as error:
        return f"the compiled kernels do not load: {error}"
    if other := _of_another_version(torch.ops.smoothswap_native):
        return (
            f"the compiled kernels are of another version ({', '.join(other)}); build them again with "
            "`pip install .` of the source"
        )
    try:
        torch.ops.smoothswap_native.isa()
    except RuntimeError as error:
        said = str(error).splitlines()[0]
        said = said[max(said.find("SMOOTHSWAP_ISA"), 0) :]  # after the place in the source
        raise BackendError(said, hint="Leave SMOOTHSWAP_ISA unset to use the best.") from error
    return None


def _of_another_version(library: Any) -> list[str]:
    """Names of the ops that the library's namespace lacks or has with other arguments."""
    found = {name: getattr(library, name, None) for name in _ARGUMENTS}
    return [
        name
        for name, packet in found.items()
        if packet is None or len(packet.default._schema.arguments) != _ARGUMENTS[name]
    ]
