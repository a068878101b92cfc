"""The options of the generator `smooth_unet`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from smoothswap.core.config import option
from smoothswap.core.errors import ConfigError
from smoothswap.core.face_crop import CropOptions

SMALLEST_LEVEL = 2


@dataclass(frozen=True, kw_only=True)
class UnetOptions(CropOptions):
    """Options of `smooth_unet`; the defaults are NCSN++ at 256 px (65.7 M parameters)."""

    image_size: int = option(256, "side S of the images, pixels", at_least=SMALLEST_LEVEL)
    identity_dim: int = option(512, "length D of the identity vectors", at_least=1)
    identity_scale: Literal["unit_variance", "unit_length"] = option(
        "unit_variance",
        "what unit vectors are scaled to first: entries of variance one (times √D), or left as they are",
    )
    identity_mlp_layers: int = option(
        2,
        "linear layers from the identity to the embedding of 4 × base_channels; 0 takes the identity itself",
        at_least=0,
    )
    base_channels: int = option(128, "channels of the first level", at_least=4)
    channel_multipliers: tuple[int, ...] = option(
        (1, 1, 2, 2, 2, 2, 2), "channels of each level in base_channels; every level halves the size", at_least=1
    )
    patch: int = option(
        1,
        "side in pixels of the patches that are folded into channels: the first level has image_size / patch",
        at_least=1,
    )
    output: Literal["residual", "blend"] = option(
        "residual", "add to the target, or draw a face and blend it in by a mask that the network draws as well"
    )
    chroma_patch: int = option(
        1,
        "side in pixels of the squares over which a change of colour is averaged; brightness changes by the pixel."
        " 1: colours too",
        at_least=1,
    )
    blocks_per_level: int = option(2, "residual blocks of a level on the way down; one more on the way up", at_least=1)
    attention_resolutions: tuple[int, ...] = option(
        (16,), "sizes in pixels of the levels with self-attention; the middle always has it", at_least=1
    )
    scene_dim: int = option(
        0,
        "length of a code of the target's pose, expression and light that joins the identity from the middle on;"
        " 0: none, as in the paper",
        at_least=0,
    )
    block: Literal["biggan", "ddpm"] = option(
        "biggan", "residual blocks that resample inside (biggan), or resampling layers between them (ddpm)"
    )
    injection: str = option("add", "how the identity enters a block: the name of a component of kind `injection`")
    injection_options: Mapping[str, Any] = option(
        {}, "further options of the injection, by name", options_of=("injection", "injection")
    )
    resampling: Literal["fir", "nearest"] = option(
        "fir", "filtered resampling with fir_kernel, or nearest neighbours up and box averages down"
    )
    fir_kernel: tuple[float, ...] = option((1.0, 3.0, 3.0, 1.0), "taps of the resampling filter, normalised here")
    resample_with_convolution: bool = option(
        True, "with block=ddpm: the layers between the levels have a 3x3 convolution"
    )
    skip_rescale: bool = option(True, "divide the sum of a residual path and its input by √2")
    progressive: Literal["output_skip", "residual", "none"] = option(
        "output_skip", "output pyramid: images summed, features summed, or the last level alone"
    )
    progressive_input: Literal["input_skip", "residual", "none"] = option(
        "input_skip", "input pyramid: shrunken images enter every level, shrunken features do, or nothing does"
    )
    progressive_combine: Literal["sum", "cat"] = option("sum", "how input_skip joins the features")
    dropout: float = option(0.0, "share of the features that a block drops in training", at_least=0.0, below=1.0)
    init_scale: float = option(
        0.0, "variance scale of the last convolutions; 0 is near zero and starts as the identity map", at_least=0.0
    )
    recompute: bool = option(False, "compute activations again in the backward pass: less memory, a third more time")

    def __post_init__(self) -> None:
        super().__post_init__()
        levels = len(self.channel_multipliers)
        if not levels:
            raise ConfigError("channel_multipliers is empty", hint="Give one number a level, such as (1, 2, 2).")
        step = self.patch * 2 ** (levels - 1)
        if self.image_size % step or self.image_size // step < SMALLEST_LEVEL:
            folded = f"folded into patches of {self.patch} and " if self.patch > 1 else ""
            raise ConfigError(
                f"image_size={self.image_size} cannot be {folded}halved {levels - 1} times",
                f"channel_multipliers has {levels} levels: the size must be a multiple of {step},"
                f" and at least {SMALLEST_LEVEL * step}",
                hint="Choose another image_size, or fewer channel_multipliers.",
            )
        if self.image_size % self.chroma_patch:
            raise ConfigError(
                f"image_size={self.image_size} cannot be divided into squares of chroma_patch={self.chroma_patch}",
                hint="Choose a divisor of image_size.",
            )
        strangers = sorted(set(self.attention_resolutions) - set(self.sizes))
        if strangers:
            raise ConfigError(
                f"attention_resolutions={self.attention_resolutions} names {strangers[0]}, which no level has",
                f"sizes of the levels: {', '.join(map(str, self.sizes))}",
            )
        if self.resampling == "fir" and (len(self.fir_kernel) < 2 or sum(self.fir_kernel) <= 0):
            raise ConfigError(
                f"fir_kernel={self.fir_kernel} is no resampling filter",
                "it needs two taps or more, whose sum is positive",
            )

    @property
    def sizes(self) -> tuple[int, ...]:
        """Side of each level in pixels, the largest first."""
        return tuple(self.image_size // self.patch >> level for level in range(len(self.channel_multipliers)))

    @property
    def image_channels(self) -> int:
        """Channels of an image whose patches are folded: 3 · patch²."""
        return 3 * self.patch**2

    @property
    def output_channels(self) -> int:
        """Channels of the network's output: the image and, to blend, the mask."""
        return (4 if self.output == "blend" else 3) * self.patch**2

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each level, the largest size first."""
        return tuple(self.base_channels * multiplier for multiplier in self.channel_multipliers)

    @property
    def embedding_dim(self) -> int:
        """Length of the embedding that the injections get."""
        return 4 * self.base_channels if self.identity_mlp_layers else self.identity_dim

    @property
    def kernel(self) -> tuple[float, ...]:
        """Taps of the resampling filter; none for nearest neighbours."""
        return self.fir_kernel if self.resampling == "fir" else ()
