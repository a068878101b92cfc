"""Which files of a folder are pictures: one table for everything that reads a folder or tar shards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from smoothswap.core.files import from_json

FORMATS: Mapping[str, tuple[str, ...]] = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),  # MPO: several JPEGs, as phones write them
    "PNG": (".png", ".apng"),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "BMP": (".bmp", ".dib"),
    "GIF": (".gif",),
    "AVIF": (".avif", ".avifs"),
    "JPEG2000": (".jp2", ".j2k", ".jpc", ".jpf", ".jpx", ".j2c"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
    "TGA": (".tga", ".icb", ".vda", ".vst"),
}
"""Raster formats that Pillow decodes by itself, by its names, with their suffixes. EPS is left out on purpose: Pillow
hands it to Ghostscript, which runs programs."""

SUFFIXES = tuple(suffix for suffixes in FORMATS.values() for suffix in suffixes)
"""In small letters; the case of a file's own does not matter."""


def added_up(counts: Iterable[bytes]) -> Counter[str]:
    """The sum of counts by kind, each as JSON; empty ones count nothing.

    Raises:
        ValueError: a text that is something else.
    """
    total: Counter[str] = Counter()
    for text in filter(None, counts):
        values = from_json(text)
        if not isinstance(values, dict) or not all(isinstance(count, int) for count in values.values()):
            raise ValueError("the counts are no numbers by kind")
        total.update(values)
    return total


def counted(left_out: Mapping[str, int], *, most: int = 8) -> str:
    """How many files were left out, and of which kinds: `5 files that are no pictures: 4 × .heic, 1 × .txt`.

    Args:
        left_out: number of files by what tells their kind, such as the suffix; empty where they have none.
        most: kinds that are named; the rest is counted together.
    """
    kinds = sorted(left_out.items(), key=lambda kind: (-kind[1], kind[0]))
    named = [f"{count} × {kind or 'without a suffix'}" for kind, count in kinds[:most]]
    named += [f"{sum(count for _, count in kinds[most:])} of {len(kinds) - most} other kinds"] * (len(kinds) > most)
    total = sum(left_out.values())
    return f"{total} file{'s that are no pictures' if total != 1 else ' that is no picture'}: {', '.join(named)}"


def said_left_out(unread: Mapping[str, str], left_out: Mapping[str, int]) -> list[str]:
    """The lines of a report about what was not looked at; none where that is nothing.

    Args:
        unread: sub-folders that could not be read, and why.
        left_out: as for `counted`.
    """
    lines = [f"the folder {folder!r} could not be read: {why}" for folder, why in unread.items()]
    return [*lines, *([f"left out {counted(left_out)}"] if left_out else [])]
