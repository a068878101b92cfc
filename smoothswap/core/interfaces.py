"""What each kind of component promises to the others. Shapes: B batch, D identity, S side in pixels, N images.

Images inside the library are float [B, 3, S, S], RGB, in [-1, 1], cropped by the FFHQ template where
nothing else is declared. Data sets hand out uint8 [3, S, S] RGB. Identity vectors are [B, D] of unit length.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor

Template = Literal["ffhq", "arcface112", "dlib150", "mtcnn_box"]


@dataclass(frozen=True)
class FaceInput:
    """The face crop that an embedder wants.

    Args:
        template: alignment: `ffhq` (the quad of FFHQ), `arcface112` (five points to 112 px), `dlib150` (five points to
            dlib's face chip of 150 px) or `mtcnn_box` (the upright box that the detector MTCNN draws, squeezed to a
            square).
        size: side in pixels.
        value_range: values of black and white.
        channel_order: `rgb` or `bgr`.
    """

    template: Template
    size: int
    value_range: tuple[float, float] = (-1.0, 1.0)
    channel_order: Literal["rgb", "bgr"] = "rgb"


@runtime_checkable
class Embedder(Protocol):
    """Turns faces into identity vectors.

    One that comes with weights says so by `has_weights = True`; commands then take it by its name.
    """

    expects: FaceInput
    dim: int

    def __call__(self, images: Tensor) -> Tensor:
        """Images [B, 3, S, S] as `expects` says → unit vectors [B, D]."""


@runtime_checkable
class Generator(Protocol):
    """Puts an identity onto a target face.

    One that works on another crop than FFHQ's declares it as `face_crop` (see `smoothswap.core.face_crop`), in itself
    or in its `config`; then the pipeline cuts out that crop, and trainings have it from their data sets.
    """

    image_size: int
    identity_dim: int

    def __call__(self, target: Tensor, identity: Tensor) -> Tensor:
        """Target [B, 3, S, S] in [-1, 1] and identity [B, D] → swapped face [B, 3, S, S]."""


@runtime_checkable
class Discriminator(Protocol):
    """Tells generated pictures from real ones."""

    image_size: int

    def __call__(self, images: Tensor) -> Tensor:
        """Images [B, 3, S, S] in [-1, 1] → logits [B, 1], positive for real."""


@runtime_checkable
class Injection(Protocol):
    """The inner half of a residual block, where the identity enters; the block adds the result to its input.

    Before it the block does normalisation, SiLU, resampling and its first 3x3 convolution. The injection does the rest,
    in this order: normalisation and identity, SiLU, dropout, and the second 3x3 convolution (C to C channels), whose
    output starts near zero. Its Config has `channels` (C) and `embedding_dim` (E), which the generator gives, `dropout`
    and `init_scale` (variance scale of the convolution; 0 is near zero), which it gives where they are not 0, and any
    options of its own. docs/models.md has a whole one.
    """

    def __call__(self, h: Tensor, e: Tensor) -> Tensor:
        """Features [B, C, H, W] after the block's first convolution, embedding [B, E] → features [B, C, H, W]."""


@runtime_checkable
class FaceDataset(Protocol):
    """Pictures of people, by index."""

    labels: Tensor
    people: int

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> dict[str, Any]:
        """`{"image": uint8 [3, S, S], "person": int}`.

        A data set of true swaps gives `source` and `truth` beside them, uint8 [3, S, S], for the target `image`; and
        perhaps `face` and `head`, uint8 [2, S, S], shares of the pixels (255: all) in target and truth. One that knows
        numbers of each person has them as `attributes`, [people, A].

        A data set that is slow to build says with a class method `knows(config)`, before it is built, which of "truth",
        "masks" and "attributes" it will have, so that a training that needs more is refused at once.
        """
