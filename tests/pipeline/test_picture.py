from __future__ import annotations

import io
import itertools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, TiffImagePlugin

from smoothswap.core.errors import InputError
from smoothswap.pipeline.picture import Picture, to_bits

# What an upright 2 × 3 picture of grey levels looks like stored with each EXIF orientation.
UPRIGHT = np.array([[10, 20, 30], [40, 50, 60]], dtype=np.uint8)
STORED = {
    1: UPRIGHT,
    2: UPRIGHT[:, ::-1],
    3: UPRIGHT[::-1, ::-1],
    4: UPRIGHT[::-1],
    5: UPRIGHT.T,
    6: np.rot90(UPRIGHT, 1),  # the camera was turned: show it turned a quarter clockwise
    7: UPRIGHT[::-1, ::-1].T,
    8: np.rot90(UPRIGHT, -1),
}


def _save(image: Image.Image, path: Path, **options: object) -> Path:
    image.save(path, **options)
    return path


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[274] = orientation
    exif[271] = "Maker"
    return exif


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int, suffix: str) -> None:
    image = Image.fromarray(np.ascontiguousarray(STORED[orientation]))
    image = image.convert("RGB") if suffix == ".webp" else image
    options = {"lossless": True} if suffix == ".webp" else {}
    picture = Picture.read(_save(image, tmp_path / f"a{suffix}", exif=_exif(orientation), **options))
    assert np.array_equal(picture.pixels[:, :, 0], UPRIGHT)
    assert picture.exif is not None
    again = Picture.read(picture.write(tmp_path / f"b{suffix}", quality=100))
    assert np.array_equal(again.pixels, picture.pixels), "turned twice"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_jpeg_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    stored = np.kron(STORED[orientation], np.ones((16, 16), np.uint8))
    picture = Picture.read(_save(Image.fromarray(stored), tmp_path / "a.jpg", exif=_exif(orientation), quality=95))
    assert np.abs(picture.pixels[8::16, 8::16, 0].astype(int) - UPRIGHT).max() <= 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_16_bit_tiff(tmp_path: Path, orientation: int) -> None:
    stored = np.repeat(STORED[orientation].astype("<u2")[:, :, None] * 1000, 3, axis=2)
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[256], tags[257] = stored.shape[1], stored.shape[0]
    tags[258], tags[259], tags[262], tags[274], tags[277] = (16, 16, 16), 1, 2, orientation, 3
    tags[273], tags[278], tags[279] = 0, stored.shape[0], stored.nbytes
    file = io.BytesIO()
    tags.save(file)
    (tmp_path / "a.tif").write_bytes(file.getvalue() + stored.tobytes())
    picture = Picture.read(tmp_path / "a.tif")
    assert picture.bits == 16
    assert np.array_equal(picture.pixels[:, :, 0], UPRIGHT.astype(int) * 1000)


@pytest.mark.parametrize(("bits", "grey", "alpha"), list(itertools.product((8, 16), (False, True), (False, True))))
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_png_and_tiff_give_back_everything(
    tmp_path: Path, noise: np.random.Generator, bits: int, grey: bool, alpha: bool, suffix: str
) -> None:
    kind = {8: np.uint8, 16: np.uint16}[bits]
    pixels = noise.integers(0, 2**bits, (9, 14, 3)).astype(kind)
    if grey:
        pixels = np.repeat(pixels[:, :, :1], 3, axis=2)
    picture = Picture(
        pixels=pixels,
        alpha=noise.integers(0, 2**bits, (9, 14)).astype(kind) if alpha else None,
        grey=grey,
        icc=None if grey else ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        xmp=b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>",
    )
    again = Picture.read(picture.write(tmp_path / f"a{suffix}"))
    assert np.array_equal(again.pixels, pixels)
    assert again.pixels.dtype == kind
    assert (again.alpha is None) if picture.alpha is None else np.array_equal(again.alpha, picture.alpha)
    assert again.icc == picture.icc
    assert again.xmp == picture.xmp
    if not (bits == 16 and alpha):  # no encoder at hand for 16-bit grey with alpha: it becomes RGB
        assert again.grey is grey


def test_exif_is_kept_without_thumbnail_and_with_the_new_size(tmp_path: Path) -> None:
    exif = _exif(6)
    exif[0x8769] = {0x829A: 0.01, 0xA002: 40, 0xA003: 20}
    exif[0x8825] = {1: "N", 2: (1.0, 2.0, 3.0)}
    picture = Picture.read(_save(Image.new("RGB", (40, 20)), tmp_path / "a.jpg", exif=exif))
    for suffix in (".jpg", ".png", ".webp", ".tif"):
        path = picture.write(tmp_path / f"b{suffix}")
        with Image.open(path) as image:
            image.load()
            tags = image.getexif()
            assert tags[271] == "Maker"
            assert tags.get(274, 1) == 1
            assert (tags.get_ifd(0x8769)[0xA002], tags.get_ifd(0x8769)[0xA003]) == (20, 40)
            assert tags.get_ifd(0x8825)[2] == (1.0, 2.0, 3.0)


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    path = _save(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), tmp_path / "a.jpg", quality=95)
    red, green, blue = Picture.read(path).pixels[8, 8]
    assert red > 200
    assert max(green, blue) < 60


def test_palette_grey_alpha_bilevel_and_16_bit_grey(tmp_path: Path) -> None:
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 200, 100, 50])
    picture = Picture.read(_save(palette, tmp_path / "p.png", transparency=0))
    assert picture.pixels[0, 0].tolist() == [200, 100, 50]
    assert picture.alpha is not None
    assert picture.alpha.min() == 255
    picture = Picture.read(_save(Image.new("LA", (4, 4), (70, 9)), tmp_path / "la.png"))
    assert picture.grey
    assert picture.pixels[0, 0].tolist() == [70, 70, 70]
    assert picture.alpha is not None
    assert picture.alpha[0, 0] == 9
    assert Picture.read(_save(Image.new("1", (4, 4), 1), tmp_path / "b.png")).pixels.min() == 255
    deep = Picture.read(_save(Image.fromarray(np.full((4, 4), 1234, np.uint16)), tmp_path / "g.png"))
    assert deep.grey
    assert deep.pixels[0, 0].tolist() == [1234] * 3


def test_transparency_is_laid_on_white_in_jpeg(tmp_path: Path) -> None:
    picture = Picture(pixels=np.zeros((16, 16, 3), np.uint8), alpha=np.zeros((16, 16), np.uint8))
    assert Picture.read(picture.write(tmp_path / "a.jpg")).pixels.min() >= 253


def test_to_bits_keeps_black_white_and_order() -> None:
    levels = np.arange(256, dtype=np.uint8)
    assert np.array_equal(to_bits(to_bits(levels, 16), 8), levels)
    assert to_bits(np.array([65535, 128, 129], np.uint16), 8).tolist() == [255, 0, 1]


def test_the_first_picture_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert Picture.read(tmp_path / "a.gif").pixels[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize(
    ("content", "what"),
    [(b"", "is empty"), (b"hello, no picture", "no picture"), (b"%!PS-Adobe-3.0 EPSF-3.0\n", "no picture")],
)
def test_what_is_no_picture(tmp_path: Path, content: bytes, what: str) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(InputError, match=what) as error:
        Picture.read(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".gif", ".bmp"])
@pytest.mark.parametrize("share", [0.2, 0.7, 0.95])
def test_truncated(tmp_path: Path, noise: np.random.Generator, suffix: str, share: float) -> None:
    image = Image.fromarray(noise.integers(0, 255, (60, 60, 3)).astype(np.uint8))
    path = _save(image, tmp_path / f"a{suffix}")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputError, match="damaged or cut off|no picture"):
        Picture.read(path)


def test_truncated_16_bit_png(tmp_path: Path, noise: np.random.Generator) -> None:
    pixels = noise.integers(0, 65536, (40, 40, 3)).astype(np.uint16)
    path = Picture(pixels=pixels).write(tmp_path / "a.png")
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(InputError, match="damaged or cut off"):
        Picture.read(path)


def test_decompression_bomb_is_refused_before_decoding(tmp_path: Path) -> None:
    path = _save(Image.new("1", (20_000, 20_000)), tmp_path / "bomb.png")
    assert path.stat().st_size < 100_000
    with pytest.raises(InputError, match="20000 × 20000") as error:
        Picture.read(path)
    assert "400 megapixels" in str(error.value)
    limit = Image.MAX_IMAGE_PIXELS
    with pytest.raises(InputError, match="too large"):
        Picture.read(_save(Image.new("L", (200, 200)), tmp_path / "a.png"), max_megapixels=0.03)
    assert limit == Image.MAX_IMAGE_PIXELS


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        Picture.read(tmp_path / "none.jpg")
    with pytest.raises(InputError, match="cannot read"):
        Picture.read(tmp_path)


def test_float_pictures_are_refused(tmp_path: Path) -> None:
    path = _save(Image.fromarray(np.ones((4, 4), np.float32)), tmp_path / "f.tif")
    with pytest.raises(InputError, match="no 8- or 16-bit"):
        Picture.read(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00", "is a video (MP4 or QuickTime), not a picture"),
        (b"\x1aE\xdf\xa3\x01\x00\x00\x00", "is a video (Matroska or WebM), not a picture"),
        (b"RIFF\x00\x10\x00\x00AVI LIST", "is a video (AVI), not a picture"),
        (b"version https://git-lfs.github.com/spec/v1\n", "it is a Git LFS pointer of 43 bytes"),
        (b"<!doctype html>", "it is an HTML page"),
    ],
)
def test_a_file_that_is_something_else(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(InputError) as error:
        Picture.read(tmp_path / "a.jpg")
    assert says in str(error.value)
    assert ("frame.png" in error.value.hint) is ("video" in says)


@pytest.mark.parametrize("form", [".avif", ".webp", ".gif", ".tif"])
def test_every_damage_of_a_small_file_is_told_or_read(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"x{form}"
    pixels = np.arange(8 * 9 * 3, dtype=np.uint8).reshape(8, 9, 3)
    Image.fromarray(pixels).save(path)
    whole = path.read_bytes()
    refused = 0
    for at in range(0, len(whole), max(len(whole) // 60, 1)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        try:
            Picture.read(path)
        except InputError:
            refused += 1
    assert refused > 0
