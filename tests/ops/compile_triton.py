"""Compiles the Triton kernels for GPUs that are not there, in a process of its own; prints one JSON line for each.

The tests' own process interprets kernels, and Triton decides between the two as it decorates them.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from smoothswap.ops import (
    bias_act_triton_kernels,
    conv2d_triton_kernels,
    supcon_triton_kernels,
    upfirdn2d_triton_kernels,
)

TOOL = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"

STRIPS = {"SEPARABLE": False, "MIRROR": True, "WIDE": False, "ROWS": 8}
PAIRS = {"ODD_X": 0, "ODD_Y": 0, "EVEN_ROWS": True}
NCHW, NHWC = ["xs_x", "ys_x", "fs_x"], ["xs_c", "ys_c", "fs_x"]
CONV = {"STRIDE": 1, "BEFORE": True, "AFTER": True, "NOISE": "pixel", "BIAS": True, "ACT": "lrelu", "GAIN": True}
CONV |= {"CLAMP": True, "COUNTED": 0, "WHOLE": True, "WIDE": False}
SUM = {"BEFORE": True, "AFTER": True, "COUNTED_UNITS": 0, "COUNTED_BLOCKS": 0, "PRECISION": "ieee", "WIDE": False}
# D = 512, and the tiles that supcon_triton takes on either device
PAIRS_OF = {"CHUNKS": 8, "PRECISION": "ieee", "BM": 128, "BK": 64}
LSE = {**PAIRS_OF, "SPAN": 16, "INTERPRETED": False, "WIDE": False}
PRODUCT = {"SIDE": 8192, "COUNTED": 0, "PRECISION": "ieee", "BM": 128, "BK": 64}

bias_act, upfirdn2d, conv2d = bias_act_triton_kernels, upfirdn2d_triton_kernels, conv2d_triton_kernels
supcon = supcon_triton_kernels
# name: kernel, dtype of the tensors, compute capability, warps, constants, arguments that are 1
CASES = {
    "bias_act": (
        *(bias_act.bias_act_kernel, "bf16", 90, 4),
        {"ACT": "lrelu", "BIAS": "row", "CLAMP": True, "WIDE": False, "ROWS": 1, "COLS": 4096},
        [],
    ),
    "bias_act nhwc": (
        *(bias_act.bias_act_kernel, "fp32", 80, 4),
        {"ACT": "softplus", "BIAS": "col", "CLAMP": False, "WIDE": True, "ROWS": 4, "COLS": 512},
        [],
    ),
    "bias_act_grad": (
        *(bias_act.bias_act_grad_kernel, "bf16", 90, 4),
        {"ACT": "lrelu", "FROM_OUTPUT": True, "CLAMP": True, "WIDE": False, "ROWS": 1, "COLS": 4096},
        ["rows"],
    ),
    "filter4": (upfirdn2d.filter4_kernel, "fp32", 90, 4, {**STRIPS, "NHWC": False, "BX": 128, "BC": 4}, NCHW),
    "down4 nhwc": (upfirdn2d.down4_kernel, "bf16", 90, 4, {**STRIPS, "NHWC": True, "BX": 16, "BC": 64}, NHWC),
    "up4": (upfirdn2d.up4_kernel, "bf16", 80, 4, {**STRIPS, **PAIRS, "NHWC": False, "BX": 128, "BC": 2}, NCHW),
    "conv2d": (
        *(conv2d.conv2d_kernel, "bf16", 90, 8),
        {**CONV, "PRECISION": "ieee", "BP": 128, "BO": 128, "BK": 64},
        ["xs_c", "ys_c", "ns_x"],
    ),
    "conv2d sm_80": (
        *(conv2d.conv2d_kernel, "fp16", 80, 8),
        {**CONV, "PRECISION": "ieee", "BP": 128, "BO": 128, "BK": 64},
        ["xs_c", "ys_c", "ns_x"],
    ),
    "conv2d tf32": (
        *(conv2d.conv2d_kernel, "fp32", 90, 8),
        {**CONV, "PRECISION": "tf32", "BP": 128, "BO": 128, "BK": 32},
        ["xs_c", "ys_c", "ns_x"],
    ),
    "conv2d weight": (
        *(conv2d.conv2d_weight_kernel, "bf16", 90, 8),
        {**SUM, "BO": 128, "BI": 128, "BP": 64},
        ["xs_c", "gs_c"],
    ),
    "supcon lse": (supcon.similarity_kernel, "bf16", 90, 8, {**LSE, "TRIANGLE": True, "BN": 128}, []),
    "supcon lse sm_80": (supcon.similarity_kernel, "bf16", 80, 8, {**LSE, "TRIANGLE": True, "BN": 64}, []),
    "supcon rows lse": (supcon.similarity_kernel, "bf16", 90, 8, {**LSE, "TRIANGLE": False, "BN": 128}, []),
    "supcon weights": (supcon.weights_kernel, "fp16", 90, 8, {**PAIRS_OF, "SIDE": 8192, "BN": 128}, []),
    "supcon weights sm_80": (supcon.weights_kernel, "bf16", 80, 8, {**PAIRS_OF, "SIDE": 8192, "BN": 64}, []),
    "supcon product of the transposed": (
        *(supcon.product_kernel, "bf16", 90, 8),
        {**PRODUCT, "TRANSPOSED": True, "BD": 128},
        [],
    ),
    "supcon product sm_80": (supcon.product_kernel, "fp16", 80, 8, {**PRODUCT, "TRANSPOSED": True, "BD": 64}, []),
    "supcon product tf32": (
        *(supcon.product_kernel, "fp32", 90, 8),
        {**PRODUCT, "SIDE": 4096, "PRECISION": "tf32", "TRANSPOSED": False, "BD": 64, "BK": 32},
        [],
    ),
    "supcon merge": (supcon.merge_kernel, "fp32", 90, 4, {"COUNTED": 0, "B": 128}, []),
}
FP32 = {"f_ptr", "after_ptr", "part_ptr", "row_max_ptr", "row_sum_ptr", "column_max_ptr", "column_sum_ptr", "unit_ptr"}
FP32 |= {"g_rows_ptr", "g_columns_ptr", "lse_rows_ptr", "lse_columns_ptr"}
ODD = {"left", "top", "zero", "KW", "taps", "steps", "strips", "tiles", "tiles_x", "tiles_c", "tiles_p", "tiles_o"}


def compiled(case: str) -> dict[str, object]:
    """Facts about one compiled kernel: what cuobjdump says of its resources, and its global loads and dots."""
    kernel, dtype, capability, warps, constants, ones = CASES[case]
    signature, constexprs, attributes = {}, {}, {}
    for i, (name, parameter) in enumerate(zip(kernel.arg_names, kernel.params, strict=True)):
        if parameter.is_constexpr or name in ones:
            signature[name], constexprs[i,] = "constexpr", constants.get(name, 1)
            continue
        wide = name in FP32 or (name == "out_ptr" and kernel is supcon.product_kernel)
        pointer = f"*{'fp32' if wide else dtype}"
        signature[name] = pointer if name.endswith("_ptr") else parameter.annotation_type or "i32"
        if name not in ODD and not parameter.do_not_specialize and signature[name] != "fp64":
            attributes[i,] = [["tt.divisibility", 16]]
    source = ASTSource(kernel, signature, constexprs, attributes)
    options = {"num_warps": warps, "num_stages": 3}
    binary = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(binary.asm["cubin"])
        file.flush()
        usage = subprocess.run([TOOL, "-res-usage", file.name], capture_output=True, text=True, check=True).stdout
    registers, stack = re.search(r"REG:(\d+) STACK:(\d+)", usage).groups()
    ptx = binary.asm["ptx"]
    return {
        "case": case,
        "capability": capability,
        "registers": int(registers),
        "stack": int(stack),
        "shared": binary.metadata.shared,
        "wide_loads": len(re.findall(r"ld\.global\S*\.v4\.b32|ld\.global\S*\.v2\.b64", ptx)),
        "copies": len(re.findall(r"cp\.async\.cg\.shared\.global [^;]*0x10", ptx)),
        "wgmma": len(re.findall(r"wgmma\.mma_async", ptx)),
        "mma": len(re.findall(r"mma\.sync", ptx)),
        "double": len(re.findall(r"(?:fma|mul|add)\S*\.f64", ptx)),
    }


for case in sys.argv[1:] or CASES:
    print(json.dumps(compiled(case)), flush=True)
