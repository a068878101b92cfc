"""What is kept of a file beside its pixels, and that no picture is."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from smoothswap.pipeline import metadata
from smoothswap.pipeline.picture import Picture

SUFFIXES = (".png", ".jpg", ".webp", ".tif")


def _thumbnail() -> bytes:
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    Image.fromarray(noise).save(file, "JPEG")
    return file.getvalue()


OLD_FACE = _thumbnail()
CODE = base64.b64encode(OLD_FACE)
XMP = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" %s><dc:rights>Jane Doe</dc:rights>%s
</rdf:Description></rdf:RDF></x:xmpmeta>"""


def _traces(data: bytes) -> list[str]:
    """In which ways the old face is still in a file."""
    scan = OLD_FACE[-400:-200]  # tables further ahead are in many a JPEG
    forms = {"bytes": scan, "base64": CODE[-400:-200], "hexadecimal": scan.hex().encode()}
    return [name for name, form in forms.items() if form in data]


# Where other programs put small pictures into EXIF: the directory, and what they write there.
EXIF_PICTURES: dict[str, tuple[int | None, int, Any]] = {
    "MakerNote": (0x8769, 37500, b"CAM\0" + OLD_FACE),
    "a UserComment of bytes": (0x8769, 37510, b"\0" * 8 + OLD_FACE),
    "a UserComment of base64": (0x8769, 37510, b"ASCII\0\0\0" + CODE),
    "a UserComment called Unicode": (0x8769, 37510, b"UNICODE\0" + OLD_FACE),
    "SpatialFrequencyResponse": (0x8769, 41484, OLD_FACE),
    "CFAPattern": (0x8769, 41730, OLD_FACE),
    "a tag of no standard": (0x8769, 59999, OLD_FACE),
    "GPSProcessingMethod": (0x8825, 27, OLD_FACE),
    "a GPS tag of no standard": (0x8825, 200, OLD_FACE),
    "ImageDescription": (None, 270, CODE.decode()),
    "Artist, in hexadecimal digits": (None, 315, OLD_FACE.hex()),
    "Windows' comment": (None, 40092, OLD_FACE),
    "Photoshop's resources": (None, 34377, b"8BIM\4\x0c\0\0" + OLD_FACE),
    "IPTC's block": (None, 33723, OLD_FACE),
    "PrintIM": (None, 50341, b"PrintIM\0" + OLD_FACE),
    "a DNG's private data": (None, 50740, OLD_FACE),
}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("where", EXIF_PICTURES)
def test_no_picture_stays_in_exif(tmp_path: Path, where: str, suffix: str) -> None:
    directory, tag, value = EXIF_PICTURES[where]
    exif = Image.Exif()
    exif[271] = "Maker"
    if directory is None:
        exif[tag] = value
    else:
        exif[directory] = {33434: 0.01, tag: value} if directory == 0x8769 else {1: "N", tag: value}
    file = tmp_path / "a.jpg"
    Image.new("RGB", (16, 16)).save(file, exif=exif)
    assert _traces(file.read_bytes()) or where == "Photoshop's resources"
    out = Picture.read(file).write(tmp_path / f"b{suffix}")
    assert _traces(out.read_bytes()) == []
    with Image.open(out) as image:
        image.load()
        assert image.getexif()[271] == "Maker"
        if directory == 0x8769:
            assert image.getexif().get_ifd(directory)[33434] == pytest.approx(0.01)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_thumbnail_stays(tmp_path: Path, suffix: str) -> None:
    # a second directory behind the first: size and place of a JPEG
    at = 8 + 2 + 12 + 4
    first = struct.pack("<HHHI4sI", 1, 271, 2, 4, b"Cam\0", at)
    second = struct.pack("<H", 2) + struct.pack("<HHII", 513, 4, 1, at + 30)
    second += struct.pack("<HHII", 514, 4, 1, len(OLD_FACE)) + struct.pack("<I", 0)
    Image.new("RGB", (16, 16)).save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\x08\0\0\0" + first + second + OLD_FACE)
    assert _traces((tmp_path / "a.jpg").read_bytes())
    assert _traces(Picture.read(tmp_path / "a.jpg").write(tmp_path / f"b{suffix}").read_bytes()) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_segment_of_a_jpeg_or_picture_behind_it_stays(tmp_path: Path, suffix: str) -> None:
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, "JPEG")
    data = file.getvalue()
    for marker, label in (
        (0xED, b"Photoshop 3.0\x008BIM\x04\x0c\0\0"),
        (0xE2, b"MPF\0"),
        (0xE2, b"FPXR\0"),
        (0xE0, b"JFXX\0\x10"),
        (0xE1, b"http://ns.adobe.com/xmp/extension/\0"),
        (0xEB, b"JP\0\1"),
        (0xFE, b""),
    ):
        body = label + OLD_FACE
        data = data[:2] + struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body + data[2:]
    (tmp_path / "a.jpg").write_bytes(data + OLD_FACE)
    assert _traces(Picture.read(tmp_path / "a.jpg").write(tmp_path / f"b{suffix}").read_bytes()) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("source", [".jpg", ".png", ".webp", ".tif"])
def test_no_picture_stays_in_xmp(tmp_path: Path, source: str, suffix: str) -> None:
    spaces = b'xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:g="http://ns.adobe.com/xap/1.0/g/img/"'
    thumbnails = b"<xmp:Thumbnails><rdf:Alt><rdf:li rdf:parseType='Resource'><g:image>" + CODE
    packet = XMP % (spaces, thumbnails + b"</g:image></rdf:li></rdf:Alt></xmp:Thumbnails>")
    options: dict[str, Any] = {"xmp": packet}
    if source == ".png":
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", packet.decode())
        options = {"pnginfo": text}
    elif source == ".tif":
        options = {"tiffinfo": {700: packet}}
    Image.new("RGB", (16, 16)).save(tmp_path / f"a{source}", **options)
    picture = Picture.read(tmp_path / f"a{source}")
    assert picture.xmp is not None
    assert b"Jane Doe" in picture.xmp
    data = picture.write(tmp_path / f"b{suffix}").read_bytes()
    assert _traces(data) == []
    assert b"Thumbnails" not in data


@pytest.mark.parametrize(
    ("directory", "tag", "value"),
    [
        (None, 270, ("日本語の長い説明文です" * 30).encode().decode("latin-1")),  # UTF-8, as Pillow hands it over
        (None, 315, "Zoë and José, " * 30),
        (0x8769, 37510, b"UNICODE\0" + ("日本語の長い説明文です" * 30).encode("utf-16-be")),
        (0x8769, 37510, b"JIS\0\0\0\0\0" + ("日本語の長い説明文です" * 30).encode("iso2022_jp")),
        (0x8769, 37510, b"ASCII\0\0\0" + b"A comment of many words. " * 30),
        (0x8825, 28, b"ASCII\0\0\0" + b"The name of an area. " * 20),
    ],
)
def test_texts_of_every_code_stay(tmp_path: Path, directory: int | None, tag: int, value: bytes | str) -> None:
    exif = Image.Exif()
    if directory is None:
        exif[tag] = value.encode("latin-1") if isinstance(value, str) else value
    else:
        exif[directory] = {tag: value}
    kept = metadata.exif_to_keep(_loaded(exif), width=8, height=8)
    assert kept is not None
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png", exif=kept)
    for suffix in SUFFIXES:
        with Image.open(Picture.read(tmp_path / "a.png").write(tmp_path / f"b{suffix}")) as image:
            image.load()
            again = image.getexif()
        found = again[tag] if directory is None else again.get_ifd(directory)[tag]
        assert found == value, suffix


def _loaded(exif: Image.Exif) -> Image.Exif:
    again = Image.Exif()
    again.load(exif.tobytes())
    return again


def test_texts_stay(tmp_path: Path) -> None:
    exif = Image.Exif()
    long = "A caption of many words, told at length: " * 20
    japanese = "日本語の長い説明文です" * 30
    exif[270] = long
    exif[40092] = japanese.encode("utf-16-le")
    exif[0x8769] = {37510: b"UNICODE\0" + japanese.encode("utf-16"), 36864: b"0232", 33437: 2.8}
    Image.new("RGB", (16, 16)).save(tmp_path / "a.jpg", exif=exif)
    for suffix in SUFFIXES:
        with Image.open(Picture.read(tmp_path / "a.jpg").write(tmp_path / f"b{suffix}")) as image:
            image.load()
            tags = image.getexif()
            assert tags[270] == long.strip("\0")
            assert bytes(tags[40092]) == japanese.encode("utf-16-le")
            assert tags.get_ifd(0x8769)[37510] == b"UNICODE\0" + japanese.encode("utf-16")
            assert tags.get_ifd(0x8769)[36864] == b"0232"


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _png(path: Path, extra: bytes, mode: str = "RGB", **options: Any) -> Path:
    image = Image.fromarray(np.full((8, 8), 9, np.uint16)) if mode == "I;16" else Image.new(mode, (8, 8))
    image.save(path, **options)
    data = path.read_bytes()
    path.write_bytes(data[:33] + extra + data[33:])
    return path


CHUNKS = {
    b"cICP": bytes([9, 16, 0, 1]),
    b"gAMA": struct.pack(">I", 100_000),
    b"cHRM": struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000),
    b"sRGB": b"\1",
    b"mDCV": bytes(range(24)),
    b"cLLI": bytes(range(8)),
}


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "I;16"])
@pytest.mark.parametrize("kind", CHUNKS)
def test_png_keeps_what_it_says_of_its_colours(tmp_path: Path, kind: bytes, mode: str) -> None:
    chunk = _chunk(kind, CHUNKS[kind])
    path = Picture.read(_png(tmp_path / "a.png", chunk, mode)).write(tmp_path / "b.png")
    data = path.read_bytes()
    assert data.count(kind) == 1
    assert 0 < data.index(chunk) < data.index(b"IDAT")
    assert Picture.read(path).colour_chunks == {kind: CHUNKS[kind]}


def test_a_profile_stands_in_for_gamma_but_not_for_code_points(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    extra = b"".join(_chunk(kind, CHUNKS[kind]) for kind in (b"cICP", b"gAMA", b"cHRM"))
    picture = Picture.read(_png(tmp_path / "a.png", extra, icc_profile=profile))
    again = Picture.read(picture.write(tmp_path / "b.png"))
    assert again.icc == profile
    assert again.colour_chunks == {b"cICP": CHUNKS[b"cICP"]}


def test_damaged_chunks_are_left_out(tmp_path: Path) -> None:
    good = _chunk(b"gAMA", CHUNKS[b"gAMA"])
    for extra in (good[:-1] + bytes([good[-1] ^ 1]), _chunk(b"gAMA", b"\0\1"), _chunk(b"cICP", b"")):
        assert metadata.colour_chunks(_png(tmp_path / "a.png", extra).read_bytes()) == {}
    assert metadata.colour_chunks(b"\x89PNG\r\n\x1a\n\xff\xff\xff\xff") == {}
    assert metadata.colour_chunks(b"\xff\xd8\xff\xe0") == {}


@pytest.mark.parametrize("out", [".png", ".jpg", ".tif"])
@pytest.mark.parametrize("source", [".png", ".jpg", ".tif", ".bmp"])
@pytest.mark.parametrize("dpi", [(300, 300), (72, 144)])
def test_dots_per_inch_are_kept(tmp_path: Path, source: str, out: str, dpi: tuple[int, int]) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / f"a{source}", dpi=dpi)
    with Image.open(Picture.read(tmp_path / f"a{source}").write(tmp_path / f"b{out}")) as image:
        assert image.info["dpi"] == pytest.approx(dpi, abs=0.02)


@pytest.mark.parametrize("bits", [8, 16])
def test_dots_per_inch_of_16_bits_and_centimetres(tmp_path: Path, bits: int) -> None:
    picture = Picture(pixels=np.zeros((8, 8, 3), {8: np.uint8, 16: np.uint16}[bits]), dpi=(254, 508))
    for suffix in (".png", ".tif"):
        assert Picture.read(picture.write(tmp_path / f"a{suffix}")).dpi == pytest.approx((254, 508))
    exif = Image.Exif()
    exif[282], exif[283], exif[296] = 100, 200, 3
    Image.new("RGB", (8, 8)).save(tmp_path / "a.webp", exif=exif)
    assert Picture.read(tmp_path / "a.webp").dpi == pytest.approx((254, 508))


def test_across_and_down_change_places_when_turned(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274], exif[282], exif[283], exif[296] = 6, 100, 200, 2
    Image.new("RGB", (16, 8)).save(tmp_path / "a.jpg", exif=exif, dpi=(100, 200))
    picture = Picture.read(tmp_path / "a.jpg")
    assert (picture.width, picture.height, picture.dpi) == (8, 16, (200, 100))
    with Image.open(picture.write(tmp_path / "b.jpg")) as image:
        assert image.info["dpi"] == (200, 100)
        assert (image.getexif()[282], image.getexif()[283]) == (200, 100)


def test_no_dots_per_inch_are_made_up(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[271] = "Maker"
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg", exif=exif)
    assert Picture.read(tmp_path / "a.jpg").dpi is None
    assert b"pHYs" not in Picture.read(tmp_path / "a.jpg").write(tmp_path / "b.png").read_bytes()
    exif[282], exif[283] = 0, 0
    Image.new("RGB", (8, 8)).save(tmp_path / "a.webp", exif=exif)
    assert Picture.read(tmp_path / "a.webp").dpi is None
    huge = Picture(pixels=np.zeros((8, 8, 3), np.uint8), dpi=(1e5, 1e5))
    assert Picture.read(huge.write(tmp_path / "c.jpg")).dpi is None, "JPEG holds 65,535"
    assert Picture.read(huge.write(tmp_path / "c.png")).dpi == pytest.approx((1e5, 1e5))
