"""From the library's face crops to what an embedder expects: window, size, range of values, order of colours."""

from __future__ import annotations

import math
from functools import lru_cache

import torch

from smoothswap.core.errors import ArgumentError
from smoothswap.core.face_crop import FFHQ, FaceCrop
from smoothswap.core.interfaces import FaceInput
from smoothswap.modules.shapes import check_features

WHOLE = (0.0, 0.0, 1.0, 1.0)
MARGIN = 0.02
"""Share of a crop's side by which a template may reach over its edge, whose pixels are then repeated."""

# Left, top, right, bottom edge of the template's crop within an FFHQ crop, as shares of its side.
#
# arcface112 follows from where the five points lie in an FFHQ crop of 256 px.
#
# dlib150 follows from arcface112, by the similarity that brings the five points of the two templates together.
#
# mtcnn_box is approximate, since a detector's box follows no landmarks: the medians of the boxes that facenet-pytorch's
# MTCNN drew on 7 photographs of upright faces (left 60, top 51, right 194, bottom 237 px of 256) and on 12 heads of
# FaceWorld (57, 46, 199, 236), taken together and made symmetric. Single boxes lie about 17 px beside it sideways, as
# the head turns, and 8 px in height.
WINDOWS = {
    "ffhq": WHOLE,
    "arcface112": (33.0 / 256, 31.4 / 256, 223.5 / 256, 221.9 / 256),
    "dlib150": (43.8 / 256, 68.4 / 256, 214.5 / 256, 239.1 / 256),
    "mtcnn_box": (57.0 / 256, 50.0 / 256, 199.0 / 256, 237.0 / 256),
}


def to_face_input(images: torch.Tensor, expects: FaceInput, crop: FaceCrop = FFHQ) -> torch.Tensor:
    """Turn face crops into the input of an embedder; gradients pass.

    Args:
        images: [B, 3, H, W], RGB in [-1, 1].
        expects: what the embedder declares.
        crop: what the images show.

    Returns:
        [B, 3, S, S] with S = expects.size, single precision or better.

    Raises:
        ArgumentError: `images` is of another shape, or the crop does not hold the expected template.
    """
    return face_values(to_template(images, expects, crop), expects)


def to_template(images: torch.Tensor, expects: FaceInput, crop: FaceCrop = FFHQ) -> torch.Tensor:
    """Cut the fixed window of an embedder's template out of face crops; gradients pass.

    Args:
        images: [B, 3, H, W].
        expects: what the embedder declares; its template and size count.
        crop: what the images show.

    Returns:
        [B, 3, S, S] with S = expects.size and the values of `images`, single precision or better.

    Raises:
        ArgumentError: as `to_face_input`.
    """
    check_features(images, 3, "images")
    left, top, right, bottom = window_within(crop, expects)
    H, W = images.shape[2:]
    with torch.autocast(images.device.type, enabled=False):  # half precision would lose grey levels
        faces = images.to(torch.promote_types(images.dtype, torch.float32))
        rows = resampling_matrix(H, expects.size, top * H, bottom * H).to(faces)
        columns = resampling_matrix(W, expects.size, left * W, right * W).to(faces)
        if (left, top, right, bottom) != WHOLE or (expects.size, expects.size) != (H, W):
            faces = rows @ faces @ columns.T
    return faces


def face_values(faces: torch.Tensor, expects: FaceInput) -> torch.Tensor:
    """Give crops that have an embedder's template and size its range of values and order of colours; gradients pass.

    Args:
        faces: [B, 3, S, S], RGB in [-1, 1], cropped as `expects` says.
        expects: what the embedder declares.
    """
    low, high = expects.value_range
    if (low, high) != (-1.0, 1.0):
        faces = (faces + 1) * ((high - low) / 2) + low
    return faces.flip(1) if expects.channel_order == "bgr" else faces


def ffhq_side(expects: FaceInput) -> int:
    """Side in pixels of the smallest FFHQ crop that `to_face_input` need not enlarge.

    Raises:
        ArgumentError: an FFHQ crop does not hold the expected template.
    """
    left, top, right, bottom = _window(expects)
    return math.ceil(expects.size / min(right - left, bottom - top) - 1e-9)


def crop_window(crop: FaceCrop) -> tuple[float, float, float, float]:
    """Left, top, right, bottom edge of a crop within the FFHQ crop, as shares of its side.

    Of an `arcface112` crop that is where it lies on average.
    """
    left, top, right, bottom = WINDOWS[crop.template]
    x, y = (left + right) / 2, (top + bottom) / 2
    across, down = crop.scale * (right - left) / 2, crop.scale * (bottom - top) / 2
    return x - across, y - down, x + across, y + down


def window_within(crop: FaceCrop, expects: FaceInput) -> tuple[float, float, float, float]:
    """Left, top, right, bottom edge of the expected template within a crop, as shares of the crop's side.

    Raises:
        ArgumentError: the crop does not hold the template.
    """
    window = _window(expects)
    if crop == FFHQ:
        return window
    if (crop.template, crop.scale) == (expects.template, 1.0):
        return WHOLE
    left, top, right, bottom = crop_window(crop)
    x0, y0, x1, y1 = (
        (edge - start) / length
        for edge, start, length in zip(window, (left, top) * 2, (right - left, bottom - top) * 2, strict=True)
    )
    if min(x0, y0) < -MARGIN or max(x1, y1) > 1 + MARGIN:
        raise ArgumentError(
            f"a crop {crop} does not hold the template {expects.template!r}",
            f"left, top, right, bottom of the template in the crop: {x0:.2f}, {y0:.2f}, {x1:.2f}, {y1:.2f}",
            hint="choose a larger crop_scale, or an embedder of a tighter template, such as sface",
        )
    return x0, y0, x1, y1


def _window(expects: FaceInput) -> tuple[float, float, float, float]:
    if expects.template not in WINDOWS:
        raise ArgumentError(
            f"an FFHQ crop cannot be turned into the template {expects.template!r}",
            f"templates: {', '.join(WINDOWS)}",
            hint="Declare one of these in the embedder's `expects`.",
        )
    return WINDOWS[expects.template]


@lru_cache(maxsize=64)
def resampling_matrix(size: int, out_size: int, start: float, end: float) -> torch.Tensor:
    """Weights [out_size, size] that resample the stretch [start, end] of a line of pixels, antialiased.

    Pixel i covers [i, i + 1], its centre is i + 0.5. The filter is a triangle as wide as an output pixel, and never
    narrower than an input pixel: bilinear interpolation where the image grows, as
    `torch.nn.functional.interpolate(antialias=True)`.

    Args:
        size: pixels of the line.
        out_size: pixels that the stretch becomes.
        start: first edge of the stretch, in input pixels.
        end: last edge of the stretch.
    """
    step = (end - start) / out_size
    support = max(step, 1.0)
    with torch.inference_mode(False):  # a cached inference tensor would break a later backward pass
        centres = start + (torch.arange(out_size, dtype=torch.float64) + 0.5) * step
        pixels = torch.arange(size, dtype=torch.float64) + 0.5
        weights = (1 - (centres[:, None] - pixels[None, :]).abs() / support).clamp(min=0)
        return (weights / weights.sum(dim=1, keepdim=True)).float()
