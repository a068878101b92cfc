"""What compute-sanitizer watches: every op once, forward and backward, at odd sizes; python sanitized.py cuda."""

from __future__ import annotations

import sys

import torch

from smoothswap import ops


def main(device: str) -> None:
    f = ops.setup_filter([1, 3, 3, 1], device=device)
    lopsided = torch.randn(3, 2, device=device)
    for dtype in (torch.float32, torch.bfloat16):
        for layout in (torch.contiguous_format, torch.channels_last):
            x = torch.randn(2, 5, 13, 19, device=device, dtype=dtype).contiguous(memory_format=layout).requires_grad_()
            for y in (
                ops.upfirdn2d(x, f, down=2, padding=1),
                ops.upfirdn2d(x, f, up=2, padding=(2, 1)),
                ops.upfirdn2d(x, f, padding=(2, 1)),
                ops.upfirdn2d(x, lopsided, up=(3, 2), down=(1, 2), padding=(4, -1, 0, 3)),
                ops.bias_act(x, torch.randn(5, device=device, dtype=dtype, requires_grad=True), act="lrelu", clamp=1.0),
                ops.modulated_conv2d(
                    x,
                    torch.randn(6, 5, 3, 3, device=device, dtype=dtype, requires_grad=True),
                    torch.randn(2, 5, device=device, dtype=dtype, requires_grad=True),
                    padding=1,
                    bias=torch.randn(6, device=device, dtype=dtype, requires_grad=True),
                    act="lrelu",
                ),
            ):
                y.float().square().sum().backward()
    z = torch.nn.functional.normalize(torch.randn(37, 24, device=device), dim=1).requires_grad_()
    ops.supcon_loss(z, torch.arange(37, device=device) // 3).backward()
    if device == "cuda":
        torch.cuda.synchronize()
    print("every op ran:", ", ".join(f"{row.op}: {row.backend}" for row in ops.report() if row.device == device))


if __name__ == "__main__":
    main(sys.argv[1])
