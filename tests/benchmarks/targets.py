"""What each row of the benchmarks is to reach, and why that much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Target:
    """One demand on rows of an op.

    Attributes:
        device: "cpu" (two cores) or "cuda".
        op: the op.
        against: the contestants to be quicker than, the best of them counting; "floor": share of the floor's speed.
        least: the ratio to reach: time of `against` over ours.
        passes: the passes it holds for.
        case: beginnings of the case's name; "" for all.
        dtypes: dtypes it holds for.
        allocators: on a CPU, those it holds for.
    """

    device: str
    op: str
    against: tuple[str, ...]
    least: float
    passes: tuple[str, ...] = ("forward",)
    case: str | tuple[str, ...] = ""
    dtypes: tuple[str, ...] = ("fp32", "bf16", "fp16")
    allocators: tuple[str, ...] = ("warm", "device")

    def holds_for(self, facts: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
        """Whether the row, as `record` wrote it, is to reach this."""
        return (
            (self.device, self.op) == (facts["device"], row["op"])
            and facts["allocator"] in self.allocators
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

    def says(self, row: Mapping[str, Any]) -> str:
        """The demand in words."""
        if self.against == ("floor",):
            return f"≥ {self.least:.0%} of {row.get('floor_is', 'copy')}"
        return f"≥ {self.least:g}× {' or '.join(self.against)}"

    def verdict(self, row: Mapping[str, Any]) -> Verdict:
        """What the row reaches."""
        value = self.reached(row)
        shown = f"{value:.0%}" if self.against == ("floor",) else f"{value:.2f}×"
        return Verdict(self.says(row), shown, value >= self.least)


@dataclass(frozen=True)
class MemoryTarget:
    """One demand on the peak memory of rows.

    Attributes:
        device: as in `Target`.
        op: the op.
        case: beginning of the case's name.
        most: what ours may take: a share of what `of` takes, or bytes where `of` is "".
        of: a contestant.
        allocators: a CPU's warm one keeps what was freed, so that a peak is not to be told there.
    """

    device: str
    op: str
    case: str
    most: float
    of: str = ""
    passes: tuple[str, ...] = ("forward+backward",)
    allocators: tuple[str, ...] = ("default", "device")

    def holds_for(self, facts: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
        """Whether the row is to reach this."""
        return (
            (self.device, self.op) == (facts["device"], row["op"])
            and facts["allocator"] in self.allocators
            and row["passes"] in self.passes
            and row["case"].startswith(self.case)
            and {"ours", self.of or "ours"} <= row["peak_bytes"].keys()
        )

    def verdict(self, row: Mapping[str, Any]) -> Verdict:
        """What the row takes."""
        ours = row["peak_bytes"]["ours"]
        if not self.of:
            return Verdict(f"< {self.most / 1e9:g} GB", f"{ours / 1e9:.2f} GB", ours < self.most)
        share = ours / row["peak_bytes"][self.of]
        return Verdict(f"≤ {self.most:.0%} of {self.of}'s memory", f"{share:.1%}", share <= self.most)


@dataclass(frozen=True)
class Verdict:
    """A target and what a row reaches of it, in words, and whether that is enough."""

    says: str
    shown: str
    met: bool


BOTH = ("forward", "forward+backward")
MODES = ("stylegan fused", "stylegan scaled")
STOCK = ("stock", "stock padded")
LARGE = ("4096 × 512", "8192 × 512")
TARGETS: Sequence[Target | MemoryTarget] = (
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
    # The products of symmetric tiles are the floor, at the speed of the matrix product beside them; exponentials and
    # labels are what is left. A dense contestant's time is products and, with the default allocator, as much again for
    # fresh memory; with the warm one its products alone are 1.5 times the floor, so that twice as quick is the most.
    Target("cpu", "supcon_loss", ("floor",), 0.70, BOTH, LARGE, ("fp32",), ("default", "warm")),
    Target("cpu", "supcon_loss", ("dense",), 3.5, BOTH, LARGE[1:], ("fp32",), ("default",)),
    MemoryTarget("cpu", "supcon_loss", LARGE[1], 0.08, "dense"),
    MemoryTarget("cpu", "supcon_loss", "65536 ×", 1e9),
    Target("cuda", "supcon_loss", ("floor",), 0.50, BOTH, ("32768 × 512", "131072 × 512"), ("bf16",)),
    Target("cuda", "supcon_loss", ("dense",), 2.0, BOTH, ("8192 × 512", "32768 × 512")),
    MemoryTarget("cuda", "supcon_loss", "131072 ×", 2e9),
)


def verdicts(facts: Mapping[str, Any], row: Mapping[str, Any]) -> list[Verdict]:
    """The targets of a row with what it reaches; facts: the result's, with device and allocator."""
    return [target.verdict(row) for target in TARGETS if target.holds_for(facts, row)]
