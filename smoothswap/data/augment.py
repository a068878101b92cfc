"""Random changes of pictures that an identity embedder should not mind. Shapes: B pictures, S their side in pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from smoothswap.core.config import Options, option
from smoothswap.core.errors import ArgumentError
from smoothswap.modules.affine import resample_affine
from smoothswap.modules.luma import luma

_TAPS = 9  # width of the blur filter, enough for 2σ on either side at the largest σ


class Augment:
    """Random geometry, colour, sharpness and holes, drawn for each picture on its own.

    All random numbers come from one generator on the CPU, in a fixed number, so that the same generator state gives
    the same changes on every device. The changes are made on whole batches and without gradients.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(Options):
        """Options of the augmentation; every amount 0 switches its change off."""

        flip: float = option(0.5, "probability of a left-right mirrored picture", at_least=0, at_most=1)
        shift: float = option(0.04, "largest shift each way, part of the side", at_least=0, at_most=0.5)
        zoom: float = option(0.06, "largest enlargement or reduction, ±, part of the size", at_least=0, at_most=0.5)
        turn: float = option(6.0, "largest rotation each way, degrees", at_least=0, at_most=180)
        brightness: float = option(0.2, "largest change of brightness, ±, in units of [-1, 1]", at_least=0, at_most=1)
        contrast: float = option(0.2, "largest change of contrast, ±, part", at_least=0, below=1)
        saturation: float = option(0.2, "largest change of saturation, ±, part", at_least=0, at_most=1)
        tint: float = option(0.05, "largest change of one colour channel's gain, ±, part", at_least=0, below=1)
        blur: float = option(0.1, "probability of a Gaussian blur", at_least=0, at_most=1)
        blur_sigma: float = option(0.02, "largest σ of the blur, part of the side, 2 pixels at most", above=0)
        shrink: float = option(0.1, "probability of shrinking and enlarging again", at_least=0, at_most=1)
        shrink_most: float = option(3.0, "largest factor of that shrinking", at_least=1)
        erase: float = option(0.1, "probability of a grey rectangle", at_least=0, at_most=1)
        erase_side: float = option(0.3, "largest side of the rectangle, part of the side", above=0, at_most=1)

    def __init__(self, config: Config) -> None:
        self.config = config

    @torch.no_grad()
    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Changed copies of a batch.

        Args:
            images: [B, 3, S, S] floating point in [-1, 1] (see `smoothswap.data.range.to_float`).
            generator: on the CPU; moved on by the same amount for the same B.

        Returns:
            [B, 3, S, S] in [-1, 1], same dtype and device.

        Raises:
            ArgumentError: another shape, integers, or a generator of another device.
        """
        if images.dim() != 4 or images.shape[1] != 3 or images.shape[2] != images.shape[3]:
            raise ArgumentError(f"images have shape {list(images.shape)}, but [B, 3, S, S] is needed")
        if not images.is_floating_point():
            raise ArgumentError(f"images have dtype {images.dtype}, but floating point in [-1, 1] is needed")
        if generator.device.type != "cpu":
            raise ArgumentError(f"the generator is on {generator.device}, but one on the CPU is needed")
        config = self.config
        draws = torch.rand(20, len(images), generator=generator, dtype=torch.float32).to(images.device)
        x = _move(images.float(), draws[:5], config)
        x = _colour(x, draws[5:11], config)
        x = _blur(x, draws[11:13], config)
        x = _shrink(x, draws[13:15], config)
        x = _erase(x, draws[15:20], config)
        return x.clamp(-1.0, 1.0).to(images.dtype)


def _move(x: Tensor, draws: Tensor, config: Augment.Config) -> Tensor:
    """Mirror, shift, zoom and turn in one resampling, the border reflected; draws [5, B] in [0, 1)."""
    if not (config.flip or config.shift or config.zoom or config.turn):
        return x
    return resample_affine(
        x,
        mirror=1.0 - 2.0 * (draws[0] < config.flip).to(draws.dtype),
        shift=config.shift * _signed(draws[1:3]),
        size=1.0 / (1.0 + config.zoom * _signed(draws[3])),
        angle=math.radians(config.turn) * _signed(draws[4]),
    )


def _colour(x: Tensor, draws: Tensor, config: Augment.Config) -> Tensor:
    """Tint, saturation, contrast about the picture's mean, brightness; draws [6, B]."""
    if not (config.tint or config.saturation or config.contrast or config.brightness):
        return x
    brightness, contrast, saturation = _signed(draws[:3])[:, :, None, None, None].unbind()
    gains = 1.0 + config.tint * _signed(draws[3:6]).t()[:, :, None, None]
    # Gains belong to light, which is 0 at black, so they act on x + 1.
    x = (x + 1.0) * gains - 1.0
    grey = luma(x)
    x = grey + (1.0 + config.saturation * saturation) * (x - grey)
    mean = x.mean((1, 2, 3), keepdim=True)
    return mean + (1.0 + config.contrast * contrast) * (x - mean) + config.brightness * brightness


def _blur(x: Tensor, draws: Tensor, config: Augment.Config) -> Tensor:
    """Gaussian blur of some pictures, each with its own σ; draws [2, B]."""
    chosen = draws[0] < config.blur
    if not chosen.any():
        return x
    some = x[chosen]
    largest = min(config.blur_sigma * x.shape[3], (_TAPS - 1) / 4)
    sigma = (largest * draws[1][chosen]).clamp_min(1e-3)
    steps = torch.arange(_TAPS, device=x.device) - _TAPS // 2
    taps = torch.exp(-0.5 * (steps / sigma[:, None]).square())
    taps = (taps / taps.sum(1, keepdim=True)).repeat_interleave(3, dim=0)  # one filter for each channel of each picture
    flat = F.pad(some, [_TAPS // 2] * 4, mode="replicate").flatten(0, 1)[None]
    flat = F.conv2d(flat, taps[:, None, :, None], groups=len(taps))
    flat = F.conv2d(flat, taps[:, None, None, :], groups=len(taps))
    return x.index_put((chosen,), flat.view_as(some))


def _shrink(x: Tensor, draws: Tensor, config: Augment.Config) -> Tensor:
    """Shrink some pictures and enlarge them again, as small faces in photographs are; draws [2, B]."""
    side = x.shape[3]
    x = x.clone()
    for i in (draws[0] < config.shrink).nonzero().flatten().tolist():
        factor = 1.0 + (config.shrink_most - 1.0) * float(draws[1, i])
        small = F.interpolate(x[i : i + 1], size=max(1, round(side / factor)), mode="bilinear", antialias=True)
        x[i : i + 1] = F.interpolate(small, size=side, mode="bilinear", antialias=True)
    return x


def _erase(x: Tensor, draws: Tensor, config: Augment.Config) -> Tensor:
    """Cover a rectangle of some pictures with mid-grey, 0; draws [5, B]."""
    chosen = (draws[0] < config.erase)[:, None]
    places = (torch.arange(x.shape[3], device=x.device, dtype=x.dtype) + 0.5) / x.shape[3]
    half = 0.5 * config.erase_side * draws[3:5]
    rows = (places - draws[1][:, None]).abs() < half[0][:, None]
    columns = (places - draws[2][:, None]).abs() < half[1][:, None]
    hole = (rows & chosen)[:, :, None] & columns[:, None, :]
    return x.masked_fill(hole[:, None], 0.0)


def _signed(draws: Tensor) -> Tensor:
    """[0, 1) to [-1, 1)."""
    return 2.0 * draws - 1.0
