"""Reading pictures of every kind, and refusing what is none."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from smoothswap.core.errors import InputError
from smoothswap.data.decode import MAX_PIXELS, decode_rgb, read_rgb
from smoothswap.data.square import centre_square

RAMP = np.linspace(0, 255, 12 * 8).reshape(8, 12).astype(np.uint8)


def colours() -> np.ndarray:
    """[8, 12, 3]: left half red, right half blue."""
    pixels = np.zeros((8, 12, 3), np.uint8)
    pixels[:, :6, 0] = 255
    pixels[:, 6:, 2] = 255
    return pixels


@pytest.mark.parametrize("suffix", ["png", "bmp", "ppm", "tiff"])
def test_lossless_formats_come_back_exactly(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"picture.{suffix}"
    Image.fromarray(colours()).save(path)
    pixels = read_rgb(path)
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, colours())


def test_jpeg_and_webp(tmp_path: Path) -> None:
    for suffix in ("jpg", "webp"):
        path = tmp_path / f"picture.{suffix}"
        Image.fromarray(colours()).resize((96, 64), 0).save(path, quality=95)
        pixels = read_rgb(path)
        assert pixels.shape == (64, 96, 3)
        assert np.abs(pixels[32, 10].astype(int) - [255, 0, 0]).max() < 12


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    upright = np.random.default_rng(0).integers(0, 256, (8, 12, 3)).astype(np.uint8)
    # What the camera stores for each orientation, so that the viewer's turn gives `upright` again.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(read_rgb(tmp_path / "turned.png"), upright)


def test_damaged_exif_data_does_not_matter(tmp_path: Path) -> None:
    for number, exif in enumerate(
        (b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\0\x09\x01")
    ):
        Image.fromarray(colours()).save(tmp_path / f"{number}.png", exif=exif)
        assert np.array_equal(read_rgb(tmp_path / f"{number}.png"), colours())


def test_grey_becomes_rgb(tmp_path: Path) -> None:
    Image.fromarray(RAMP).save(tmp_path / "grey.png")
    assert np.array_equal(read_rgb(tmp_path / "grey.png"), np.repeat(RAMP[:, :, None], 3, axis=2))


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_16_bit_grey_is_scaled_not_clipped(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(RAMP.astype(np.uint16) * 257).save(tmp_path / f"deep.{suffix}")
    assert np.array_equal(read_rgb(tmp_path / f"deep.{suffix}")[:, :, 0], RAMP)


def test_16_bit_rgb(tmp_path: Path) -> None:
    # Pillow cannot write it, so the file is put together here: header, one compressed block of rows, end.
    deep = (colours().astype(np.uint16) * 257).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in deep)

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", 12, 8, 16, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "deep.png").write_bytes(png)
    assert np.array_equal(read_rgb(tmp_path / "deep.png"), colours())


def test_transparent_parts_lie_on_mid_grey(tmp_path: Path) -> None:
    alpha = np.full((8, 12, 1), 255, np.uint8)
    alpha[:, 6:] = 0
    Image.fromarray(np.concatenate([colours(), alpha], axis=2)).save(tmp_path / "clear.png")
    pixels = read_rgb(tmp_path / "clear.png")
    assert (pixels[:, :6] == [255, 0, 0]).all()
    assert (pixels[:, 6:] == 128).all()


def test_half_transparent_is_mixed(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (255, 0, 128, 128)).save(tmp_path / "half.png")
    assert np.abs(read_rgb(tmp_path / "half.png")[0, 0].astype(int) - [192, 64, 128]).max() <= 1


def test_palettes_with_and_without_transparency(tmp_path: Path) -> None:
    image = Image.fromarray(colours()).quantize(4)
    image.save(tmp_path / "palette.gif")
    assert np.array_equal(read_rgb(tmp_path / "palette.gif"), colours())
    image.save(tmp_path / "clear.png", transparency=image.getpixel((0, 0)))
    assert (read_rgb(tmp_path / "clear.png")[:, :6] == 128).all()


def test_cmyk(tmp_path: Path) -> None:
    ink = np.zeros((16, 16, 4), np.uint8)
    ink[..., 1:3] = 255  # magenta and yellow: red
    Image.frombytes("CMYK", (16, 16), ink.tobytes()).save(tmp_path / "ink.jpg", quality=95)
    red = read_rgb(tmp_path / "ink.jpg")[8, 8].astype(int)
    assert np.abs(red - [255, 0, 0]).max() < 6


def test_a_colour_profile_that_does_not_fit_is_passed_over(tmp_path: Path) -> None:
    rgb_profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = Image.frombytes("CMYK", (8, 8), bytes([0, 255, 255, 0]) * 64)
    for name, profile in (("other", rgb_profile), ("damaged", b"no profile")):
        image.save(tmp_path / f"{name}.jpg", quality=95, icc_profile=profile)
        assert np.abs(read_rgb(tmp_path / f"{name}.jpg")[4, 4].astype(int) - [255, 0, 0]).max() < 6


def test_not_a_picture(tmp_path: Path) -> None:
    (tmp_path / "letter.jpg").write_text("Dear reader")
    with pytest.raises(InputError, match=r"letter.jpg' is not a picture that can be read"):
        read_rgb(tmp_path / "letter.jpg")


def test_empty_missing_and_folder(tmp_path: Path) -> None:
    (tmp_path / "nothing.png").touch()
    with pytest.raises(InputError, match=r"nothing.png' is empty"):
        read_rgb(tmp_path / "nothing.png")
    with pytest.raises(InputError, match=r"cannot read '.*absent.png'\n  No such file"):
        read_rgb(tmp_path / "absent.png")
    with pytest.raises(InputError, match="Is a directory"):
        read_rgb(tmp_path)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tiff", "webp", "bmp"])
def test_truncated(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    whole, cut = tmp_path / f"whole.{suffix}", tmp_path / f"cut.{suffix}"
    Image.fromarray(noise).save(whole)
    for part in (0.5, 0.05):
        cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * part)])
        with pytest.raises(InputError, match=rf"cut.{suffix}' is (damaged|not a picture)"):
            read_rgb(cut)


def test_decompression_bomb(tmp_path: Path) -> None:
    # A file of a hundred bytes that claims more pixels than are allowed, and one that claims far more.
    for side in (int(MAX_PIXELS**0.5) + 1, 60_000):
        header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        body = b"IHDR" + header
        png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
        png += struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
        (tmp_path / "bomb.png").write_bytes(png)
        with pytest.raises(InputError, match=r"bomb.png' is too large to be decoded\n(?s:.*)128 million pixels"):
            read_rgb(tmp_path / "bomb.png")


@pytest.mark.parametrize(
    ("height", "width", "decoded"), [(512, 640, (128, 160)), (255, 300, (255, 300)), (256, 256, (128, 128))]
)
def test_a_large_jpeg_is_decoded_smaller(tmp_path: Path, height: int, width: int, decoded: tuple[int, int]) -> None:
    y, x = np.mgrid[:height, :width]
    waves = [127 + 100 * np.sin(x / 17 + y / (11 + 6 * channel)) for channel in range(3)]
    Image.fromarray(np.stack(waves, -1).astype(np.uint8)).save(tmp_path / "large.jpg", quality=95)
    data = (tmp_path / "large.jpg").read_bytes()
    small = decode_rgb(data, "large", 64)
    assert small.shape[:2] == decoded, "at least twice the side that is needed"
    difference = centre_square(small, 64).float() - centre_square(read_rgb(tmp_path / "large.jpg"), 64).float()
    assert difference.square().mean().sqrt() < 1.5
