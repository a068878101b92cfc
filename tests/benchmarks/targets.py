"""What each row of the benchmarks is to reach, and why that much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Target:
    """One demand on rows of an op.

    Attributes:
        device: "cpu" (two cores, warm allocator) or "cuda".
        op: the op.
        against: the contestants to be quicker than, the best of them counting; "floor": share of the copy's speed.
        least: the ratio to reach: time of `against` over ours.
        passes: the passes it holds for.
        case: beginning of the case's name; "" for all.
        dtypes: dtypes it holds for.
    """

    device: str
    op: str
    against: tuple[str, ...]
    least: float
    passes: tuple[str, ...] = ("forward",)
    case: str = ""
    dtypes: tuple[str, ...] = ("fp32", "bf16", "fp16")

    def holds_for(self, device: str, row: Mapping[str, Any]) -> bool:
        """Whether the row, as `record` wrote it, is to reach this."""
        return (
            (self.device, self.op) == (device, row["op"])
            and row["passes"] in self.passes
            and row["dtype"] in self.dtypes
            and row["case"].startswith(self.case)
            and row["case"] != "small call"
            and any(name in row["median_ms"] for name in self.against)
        )

    def reached(self, row: Mapping[str, Any]) -> float:
        """The ratio that the row has."""
        times = row["median_ms"]
        return float(min(times[name] for name in self.against if name in times) / times["ours"])

    def says(self) -> str:
        """The demand in words."""
        if self.against == ("floor",):
            return f"≥ {self.least:.0%} of copy"
        return f"≥ {self.least:g}× {' or '.join(self.against)}"


BOTH = ("forward", "forward+backward")
MODES = ("stylegan fused", "stylegan scaled")
STOCK = ("stock", "stock padded")
TARGETS: Sequence[Target] = (
    # A filter moves each pixel once in and once out: a copy of as many bytes is the floor. The row ring in cache costs
    # arithmetic beside the traffic, hence not all of it. Stock operations do the same work depthwise, without blocking.
    Target("cpu", "upfirdn2d", ("floor",), 0.60, dtypes=("fp32",)),
    Target("cpu", "upfirdn2d", STOCK, 2.2, BOTH, dtypes=("fp32",)),
    Target("cuda", "upfirdn2d", ("floor",), 0.80),
    Target("cuda", "upfirdn2d", STOCK, 2.0),
    # One pass instead of three to four.
    Target("cpu", "bias_act", ("floor",), 0.70, dtypes=("fp32",)),
    Target("cpu", "bias_act", ("stylegan",), 5.0, dtypes=("fp32",)),
    Target("cuda", "bias_act", ("floor",), 0.90),
    # One op instead of two, and x alone kept between the passes.
    Target("cpu", "group_norm_act", ("stock",), 1.2, ("forward+backward",), dtypes=("fp32",)),
    # Fewer multiplications (Winograd) or none of the passes around the convolution, against the better of both modes.
    Target("cpu", "modulated_conv2d", MODES, 1.6, case="A"),
    Target("cpu", "modulated_conv2d", MODES, 1.2, case="B"),
    Target("cpu", "modulated_conv2d", MODES, 1.2, ("forward+backward",)),
    Target("cuda", "modulated_conv2d", MODES, 1.5, dtypes=("bf16",)),
)


def verdicts(device: str, row: Mapping[str, Any]) -> list[tuple[Target, float]]:
    """The targets of a row with what it reaches."""
    return [(target, target.reached(row)) for target in TARGETS if target.holds_for(device, row)]
