"""Photographs: drawn here, written in every format, then damaged. Read, inspected, read for training, written again."""

from __future__ import annotations

import functools
import io
import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import tifffile
from fuzz.case import Case, Part
from fuzz.mutation import mutated
from hypothesis import strategies as st
from PIL import Image, ImageCms, features

from smoothswap.data.decode import read_rgb
from smoothswap.pipeline.inspection import inspect_file
from smoothswap.pipeline.picture import Picture

_SMALL = 1 << 20  # pixels of a picture that is also written
_XMP = b"""<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""
 xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"
 tiff:Orientation="6"><Iptc4xmpExt:DigitalSourceType>http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrained\
AlgorithmicMedia</Iptc4xmpExt:DigitalSourceType></rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>"""


def _pixels(channels: int, dtype: type = np.uint8, height: int = 24, width: int = 33) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    planes = [(7 * x + 5 * y + 40 * c) % 251 for c in range(channels)]
    return np.squeeze(np.stack(planes, -1)).astype(dtype) * (257 if dtype is np.uint16 else 1)


def _exif() -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112], tags[0x010F], tags[0x0131] = 6, "maker", "software"
    tags[0x011A], tags[0x011B], tags[0x0128] = 72.0, 300.0, 2
    tags.get_ifd(0x8769).update(
        {0x9003: "2020:01:01 00:00:00", 0x829A: 0.01, 0x9286: b"ASCII\0\0\0a comment", 0xA002: 33}
    )
    tags.get_ifd(0x8825).update({0: b"\2\3\0\0", 1: "N", 2: (1.0, 2.0, 3.0)})
    return tags


def _saved(mode: str, form: str, **options: object) -> bytes:
    channels = {"1": 1, "L": 1, "P": 1, "I;16": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4, "YCbCr": 3, "F": 1, "I": 1}[
        mode
    ]
    plain = {"1": "L", "P": "L", "I;16": "I;16", "LA": "LA", "RGB": "RGB"}.get(mode, mode)
    array = _pixels(channels)
    if mode in ("I;16", "F", "I"):
        array = array.astype({"I;16": np.uint16, "F": np.float32, "I": np.int32}[mode]) * 200
    image = Image.fromarray(array) if mode in ("I;16", "F", "I") else Image.frombytes(plain, (33, 24), array.tobytes())
    file = io.BytesIO()
    (image.convert(mode) if mode in ("1", "P") else image).save(file, form, **options)
    return file.getvalue()


def _tiff(array: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, array, **options)
    return file.getvalue()


def _depth_16_png(colour: int, channels: int) -> bytes:
    rows = _pixels(channels, np.uint16).reshape(24, -1).astype(">u2")
    body = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    header = struct.pack(">IIBBBBB", 33, 24, 16, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        png_chunk(*pair) for pair in ((b"IHDR", header), (b"IDAT", body), (b"IEND", b""))
    )


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk of a PNG file, with a check sum that fits."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


@functools.cache
def seeds() -> Mapping[str, bytes]:
    """Small pictures of all kinds that are read, by name."""
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    known = {"exif": _exif(), "icc_profile": icc}
    frames = [Image.fromarray(_pixels(3)), Image.fromarray(_pixels(3)[::-1])]
    found = {
        "grey.png": _saved("L", "PNG"),
        "bits.png": _saved("1", "PNG"),
        "palette.png": _saved("P", "PNG", transparency=3),
        "alpha.png": _saved("LA", "PNG"),
        "colour.png": _saved("RGB", "PNG", dpi=(72, 72), **known),
        "deep.png": _saved("I;16", "PNG"),
        "deep_alpha.png": _depth_16_png(4, 2),
        "deep_colour.png": _depth_16_png(2, 3),
        "deep_rgba.png": _depth_16_png(6, 4),
        "animated.png": _frames(frames, "PNG"),
        "colour.jpg": _saved("RGB", "JPEG", xmp=_XMP, dpi=(300, 72), **known),
        "grey.jpg": _saved("L", "JPEG"),
        "progressive.jpg": _saved("YCbCr", "JPEG", progressive=True, restart_marker_blocks=1),
        "cmyk.jpg": _saved("CMYK", "JPEG", icc_profile=icc),
        "two.mpo": _frames(frames, "MPO"),
        "colour.webp": _saved("RGB", "WEBP", xmp=_XMP, **known),
        "alpha.webp": _saved("RGBA", "WEBP", lossless=True),
        "animated.webp": _frames(frames, "WEBP"),
        "palette.gif": _saved("P", "GIF", transparency=3),
        "animated.gif": _frames(frames, "GIF"),
        "colour.bmp": _saved("RGB", "BMP"),
        "palette.bmp": _saved("P", "BMP"),
        "colour.ppm": _saved("RGB", "PPM"),
        "deep.pgm": _saved("I;16", "PPM"),
        "plain.pbm": b"P1\n# comment\n4 2\n1 0 1 0\n0 1 0 1\n",
        "float.pfm": _saved("F", "PPM"),
        "colour.tga": _saved("RGB", "TGA"),
        "packed.tga": _saved("RGBA", "TGA", compression="tga_rle"),
        "colour.tif": _saved("RGB", "TIFF", dpi=(72, 300), **known),
        "cmyk.tif": _saved("CMYK", "TIFF"),
        "float.tif": _saved("F", "TIFF"),
        "wide.tif": _saved("I", "TIFF"),
        "lzw.tif": _saved("RGB", "TIFF", compression="tiff_lzw"),
        "jpeg.tif": _saved("RGB", "TIFF", compression="jpeg"),
        "fax.tif": _saved("1", "TIFF", compression="group4"),
        "deep.tif": _tiff(_pixels(3, np.uint16), photometric="rgb", predictor=2, compression="zlib"),
        "planes.tif": _tiff(np.moveaxis(_pixels(3, np.uint16), -1, 0), photometric="rgb", planarconfig="separate"),
        "tiles.tif": _tiff(_pixels(4, np.uint16), photometric="rgb", tile=(16, 16), extrasamples=["unassalpha"]),
        "associated.tif": _tiff(_pixels(5), photometric="rgb", extrasamples=["assocalpha", "unspecified"]),
        "white.tif": _tiff(_pixels(1, np.uint16), photometric="miniswhite", byteorder=">"),
        "big.tif": _tiff(_pixels(3, np.uint16), photometric="rgb", bigtiff=True, rowsperstrip=5, description="text"),
    }
    if features.check("avif"):
        found["colour.avif"] = _saved("RGB", "AVIF", **known)
    if features.check("jpg_2000"):
        found["colour.jp2"] = _saved("RGB", "JPEG2000")
        found["raw.j2k"] = _saved("RGBA", "JPEG2000", no_jp2=True)
    return found


def _frames(frames: list[Image.Image], form: str) -> bytes:
    file = io.BytesIO()
    frames[0].save(file, form, save_all=True, append_images=frames[1:])
    return file.getvalue()


@st.composite
def _chunks(draw: st.DrawFn, content: bytes) -> bytes:
    """A PNG file with one chunk's content changed, whose check sum fits: what is behind the check is reached."""
    parts, at = [], 8
    while at + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, at)
        parts.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + length]))
        at += 12 + length
    number = draw(st.integers(0, len(parts) - 1))
    kind, body = parts[number]
    if kind == b"IDAT" and draw(st.booleans()):
        parts[number] = kind, zlib.compress(draw(mutated(zlib.decompress(body))))
    else:
        parts[number] = kind, draw(mutated(body or b"\0"))
    extra = draw(
        st.sampled_from(
            [
                b"",
                b"eXIf",
                b"iCCP",
                b"iTXt",
                b"zTXt",
                b"tEXt",
                b"cICP",
                b"gAMA",
                b"tRNS",
                b"PLTE",
                b"pHYs",
                b"acTL",
                b"fcTL",
            ]
        )
    )
    if extra:
        parts.insert(draw(st.integers(0, len(parts))), (extra, draw(st.binary(max_size=40))))
    return content[:8] + b"".join(png_chunk(*part) for part in parts)


_TAGS = st.one_of(
    st.integers(254, 347), st.sampled_from([700, 33432, 34665, 34675, 34853, 37724]), st.integers(0, 65535)
)
_VALUES = st.one_of(st.integers(0, 40), st.sampled_from([0, 1, 2, 3, 5, 8, 24, 33, 0xFFFF, 2**31 - 1, 2**32 - 1]))


@st.composite
def _directory(draw: st.DrawFn, content: bytes) -> bytes:
    """A TIFF file with some entries of its first directory changed or added, wherever the directory is."""
    order, big = ("<" if content[:1] == b"I" else ">"), content[2:3] == b"+" or content[3:4] == b"+"
    if big:
        return draw(mutated(content))
    (at,) = struct.unpack_from(f"{order}I", content, 4)
    (count,) = struct.unpack_from(f"{order}H", content, at)
    entries = {
        tag: (kind, number, value)
        for tag, kind, number, value in (
            struct.unpack_from(f"{order}HHII", content, at + 2 + 12 * n) for n in range(count)
        )
    }
    for _ in range(draw(st.integers(1, 4))):
        tag = draw(st.one_of(st.sampled_from(sorted(entries)), _TAGS))
        kind, number, value = entries.get(tag, (draw(st.integers(0, 18)), draw(_VALUES), draw(_VALUES)))
        change = draw(st.sampled_from(["kind", "number", "value", "gone"]))
        if change == "gone":
            entries.pop(tag, None)
            continue
        new = draw(st.integers(0, 18)) if change == "kind" else draw(_VALUES)
        entries[tag] = {"kind": (new, number, value), "number": (kind, new, value), "value": (kind, number, new)}[
            change
        ]
    rows = b"".join(struct.pack(f"{order}HHII", tag, *entry) for tag, entry in sorted(entries.items()))
    end = len(content) + len(content) % 2
    directory = struct.pack(f"{order}H", len(entries)) + rows + bytes(4)
    return content[:4] + struct.pack(f"{order}I", end) + content[8:].ljust(end - 8, b"\0") + directory


@st.composite
def bombs(draw: st.DrawFn) -> tuple[str, bytes]:
    """A few bytes that claim many pixels, or unpack to many."""
    width, height = draw(
        st.sampled_from(
            [(65535, 65535), (100_000, 100_000), (14_000, 14_000), (2**31 - 1, 1), (1, 2**31 - 1), (500_000, 300)]
        )
    )
    kind = draw(st.sampled_from(["png", "gif", "bmp", "ppm", "tif", "text.png", "icc.png"]))
    if kind == "gif":
        return "x.gif", b"GIF89a" + struct.pack("<HHBBB", width & 65535, height & 65535, 0x80, 0, 0) + bytes(
            6
        ) + b"," + struct.pack("<HHHHB", 0, 0, width & 65535, height & 65535, 0) + b"\2\2\x44\1\0;"
    if kind == "bmp":
        return "x.bmp", b"BM" + struct.pack(
            "<IIIIiiHHIIiiII", 100, 0, 54, 40, width, height, 1, 24, draw(st.integers(0, 3)), 0, 1, 1, 0, 0
        ) + bytes(46)
    if kind == "ppm":
        return "x.ppm", f"P{draw(st.sampled_from('56'))}\n{width} {height}\n255\n".encode() + bytes(100)
    if kind == "tif":
        bits, form = draw(st.sampled_from([8, 16])), draw(st.sampled_from([1, 5, 8, 32773]))
        rows = [
            (256, width),
            (257, height),
            (258, bits),
            (259, form),
            (262, 1),
            (273, 8),
            (277, 1),
            (278, height),
            (279, 50),
        ]
        entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in rows)
        return "x.tif", b"II*\0" + struct.pack("<I", 58) + bytes(50) + struct.pack("<H", len(rows)) + entries + bytes(4)
    if kind in ("text.png", "icc.png"):
        packed = zlib.compress(bytes(draw(st.sampled_from([10, 100, 1_000])) << 20), 9)
        key = b"iCCP" if kind == "icc.png" else b"zTXt"
        image = seeds()["colour.png"]
        return "x.png", image[:33] + png_chunk(key, b"name\0\0" + packed) + image[33:]
    depth, colour = draw(st.sampled_from([(8, 2), (1, 0), (16, 6), (8, 3)]))
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, draw(st.integers(0, 1)))
    row = zlib.compress(bytes(1 << 22), 9)
    return "x.png", b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", row) + png_chunk(
        b"IEND", b""
    )


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, bytes]:
    """The name and the bytes of a picture with something wrong in it."""
    if draw(st.integers(0, 19)) == 0:
        return draw(bombs())
    name = draw(st.sampled_from(sorted(seeds())))
    content = seeds()[name]
    way = draw(st.sampled_from(["bytes", "bytes", "structure", "joined"]))
    if way == "structure" and name.endswith(".png"):
        return name, draw(_chunks(content))
    if way == "structure" and name.endswith(".tif"):
        return name, draw(_directory(content))
    if way == "joined":
        other = seeds()[draw(st.sampled_from(sorted(seeds())))]
        cut = draw(st.integers(0, len(content)))
        return name, draw(mutated(content[:cut] + other[draw(st.integers(0, len(other))) :] or b"\0"))
    return name, draw(mutated(content))


def _read_and_write(name: str, suffix: str) -> Callable[[], None]:
    def call() -> None:
        picture = Picture.read(name)
        if picture.width * picture.height > _SMALL:
            return
        path = Path(f"written{suffix}")
        picture.write(path)
        again = Picture.read(path)
        if (again.height, again.width) != (picture.height, picture.width):
            raise AssertionError(
                f"{picture.width} × {picture.height} pixels came back as {again.width} × {again.height}"
            )

    return call


def _cases(picture: tuple[str, bytes], does: str) -> Case:
    name, content = picture
    calls: dict[str, Callable[[], object]] = {
        "inspect": lambda: str(inspect_file(name)),
        "train": lambda: read_rgb(name),
        **{suffix: _read_and_write(name, suffix) for suffix in (".png", ".jpg", ".webp", ".tif")},
    }
    return Case(says=f"{does} of {name}, {len(content)} bytes", call=calls[does], files={name: content})


PART = Part(
    "photographs",
    "pictures of every format with damaged bytes, chunks, directories and metadata, and decompression bombs",
    st.builds(_cases, damaged(), st.sampled_from(["inspect", "train", ".png", ".jpg", ".webp", ".tif"])),
    seeds,
)
