"""Which part of a photograph the images of a generator and its data sets show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from smoothswap.core.config import Options, option


@dataclass(frozen=True)
class FaceCrop:
    """A face crop: a template, and how much of it.

    Args:
        template: `ffhq` (the quad of FFHQ) or `arcface112` (five points to fixed places).
        scale: share of the template's side that is shown, around its centre. A tighter crop puts more of the pixels on
            the face: 0.75 of the FFHQ crop 1.8 times as many.
    """

    template: Literal["ffhq", "arcface112"] = "ffhq"
    scale: float = 1.0

    def __str__(self) -> str:
        return self.template if self.scale == 1 else f"{self.template} × {self.scale:g}"


FFHQ = FaceCrop()
"""The paper's crop, and that of every component that declares none."""


@dataclass(frozen=True, kw_only=True)
class CropOptions(Options):
    """Options of a component that declares its crop."""

    crop_template: Literal["ffhq", "arcface112"] = option("ffhq", "template of the face crop that images show")
    crop_scale: float = option(
        1.0, "share of the template's side that images show, around its centre", at_least=0.4, at_most=1
    )

    @property
    def face_crop(self) -> FaceCrop:
        """The crop that these options declare."""
        return FaceCrop(self.crop_template, self.crop_scale)


def declared_face_crop(component: object) -> FaceCrop:
    """The crop that a generator or a data set declares as `face_crop`, in itself or in its `config`; else FFHQ's."""
    own = getattr(component, "face_crop", None)
    if own is None:
        own = getattr(getattr(component, "config", None), "face_crop", None)
    return own if isinstance(own, FaceCrop) else FFHQ
