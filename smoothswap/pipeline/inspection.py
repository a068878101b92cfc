"""Telling what a picture file is and what it says about its making."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from smoothswap.core.scalars import takes_numpy_scalars
from smoothswap.pipeline.mark import SOURCE_TYPE, Mark, Marker, build_marker
from smoothswap.pipeline.picture import MAX_MEGAPIXELS, Picture


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What `inspect_file` found.

    Args:
        path: the file.
        width: pixels, upright.
        height: pixels, upright.
        bits: bits of a channel.
        grey: whether it has no colour.
        alpha: whether it has transparency.
        profile: whether it carries a colour profile.
        mark: what its metadata says about its making, None where it says nothing.
    """

    path: Path
    width: int
    height: int
    bits: int
    grey: bool
    alpha: bool
    profile: bool
    mark: Mark | None

    @property
    def swapped(self) -> bool:
        """Whether the picture says that a model changed part of it."""
        return self.mark is not None and self.mark.source_type == SOURCE_TYPE

    def __str__(self) -> str:
        traits = ["grey" if self.grey else "RGB", f"{self.bits} bits"]
        traits += ["with transparency"] * self.alpha + ["with a colour profile"] * self.profile
        lines = [f"{self.path}: {self.width} × {self.height} pixels, {', '.join(traits)}"]
        if self.mark is None:
            return "\n".join([*lines, "no mark: the metadata does not say how the picture was made"])
        lines.append(f"digital source type: {self.mark.source_type}")
        if self.swapped:
            lines.append("  parts of the picture were made by a trained model")
        digest = self.mark.generator_file_sha256
        named = {"tool": self.mark.tool, "version": self.mark.version, "file_sha256 of the generator": digest}
        return "\n".join([*lines, *(f"{name}: {value}" for name, value in named.items() if value)])


@takes_numpy_scalars
def inspect_file(
    path: Path | str, *, marker: str | Marker = "iptc", max_megapixels: float = MAX_MEGAPIXELS
) -> Inspection:
    """Read a picture and what its XMP metadata says about its making.

    Args:
        path: the file.
        marker: component that reads the mark, or its name; the one that wrote it.
        max_megapixels: larger pictures are refused before they are decoded.

    Raises:
        InputError: the file is no picture, or damaged.
        UnknownNameError: no such marker.
        PluginError: a marker of a plugin that cannot be imported.
    """
    reader = build_marker(marker)
    picture = Picture.read(path, max_megapixels=max_megapixels)
    return Inspection(
        path=Path(path),
        width=picture.width,
        height=picture.height,
        bits=picture.bits,
        grey=picture.grey,
        alpha=picture.alpha is not None,
        profile=picture.icc is not None,
        mark=reader.read(picture.xmp),
    )
