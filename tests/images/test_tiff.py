"""Grey and RGB of TIFF files, in every layout of their channels, as both readers give them."""

from __future__ import annotations

import contextlib
import io
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, TiffImagePlugin

from smoothswap.core.errors import InputError
from smoothswap.data.decode import MAX_PIXELS, read_rgb
from smoothswap.images.tiff import open_tiff
from smoothswap.pipeline.picture import Picture

HEIGHT, WIDTH = 33, 47
READERS = [lambda path: Picture.read(path).as_uint8(), read_rgb]
PACKINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "big_endian": {"byteorder": ">"},
    "bigtiff": {"bigtiff": True},
    "strips": {"rowsperstrip": 5},
    "tiles": {"tile": (32, 32)},
    "deflate": {"compression": "zlib"},
    "predictor": {"compression": "zlib", "predictor": True, "byteorder": ">"},
    "predictor_tiles": {"compression": "zlib", "predictor": True, "tile": (32, 16)},
}


def _samples(count: int, bits: int = 16) -> np.ndarray:
    kind = {8: np.uint8, 16: np.uint16}[bits]
    return np.random.default_rng(0).integers(0, 2**bits, (HEIGHT, WIDTH, count)).astype(kind)


def _write(path: Path, samples: np.ndarray, **options: Any) -> Path:
    if options.get("planarconfig") == "separate":
        samples = np.ascontiguousarray(np.moveaxis(samples, 2, 0))
    tifffile.imwrite(path, samples[..., 0] if samples.ndim == 3 and samples.shape[2] == 1 else samples, **options)
    return path


def _over_grey(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """What the training reader makes of colours and alpha in [0, 1]."""
    return 255 * (colours * alpha + 128 / 255 * (1 - alpha))


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_channels_one_after_another(tmp_path: Path, packing: str, planar: str) -> None:
    samples = _samples(3)
    path = _write(tmp_path / "a.tif", samples, photometric="rgb", planarconfig=planar, **PACKINGS[packing])
    picture = Picture.read(path)
    assert np.array_equal(picture.pixels, samples)
    assert (picture.alpha, picture.grey, picture.bits) == (None, False, 16)
    assert np.array_equal(read_rgb(path), np.rint(samples / 257))


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("bits", [8, 16])
def test_white_is_zero(tmp_path: Path, packing: str, bits: int) -> None:
    samples = _samples(1, bits)
    path = _write(tmp_path / "a.tif", samples, photometric="miniswhite", **PACKINGS[packing])
    picture = Picture.read(path)
    assert picture.grey
    assert np.array_equal(picture.pixels, np.repeat(2**bits - 1 - samples, 3, axis=2))
    assert np.array_equal(read_rgb(path), picture.as_uint8())


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("photometric", ["rgb", "minisblack", "miniswhite"])
@pytest.mark.parametrize("packing", ["plain", "predictor", "predictor_tiles"])
@pytest.mark.parametrize("extra", [[0], [1], [2], [0, 2], [2, 0]])
def test_further_channels(
    tmp_path: Path, bits: int, planar: str, photometric: str, packing: str, extra: list[int]
) -> None:
    colours = 3 if photometric == "rgb" else 1
    samples = _samples(colours + len(extra), bits)
    top = 2**bits - 1
    alpha = None if extra == [0] else samples[:, :, colours + (extra[0] == 0)] / top
    shown = samples[:, :, :colours] / top
    if extra == [1]:
        assert alpha is not None
        samples[:, :, :colours] = np.rint(samples[:, :, :colours] * alpha[:, :, None])
    if photometric == "miniswhite":
        shown = 1 - shown
    path = _write(
        tmp_path / "a.tif",
        samples,
        photometric=photometric,
        planarconfig=planar,
        extrasamples=extra,
        **PACKINGS[packing],
    )
    picture = Picture.read(path)
    assert picture.bits == bits
    assert picture.grey is (colours == 1)
    if alpha is None:
        assert picture.alpha is None
        alpha = np.ones((HEIGHT, WIDTH))
    else:
        assert picture.alpha is not None
        assert np.array_equal(picture.alpha, np.rint(alpha * top))
    # what premultiplication leaves of a colour under little alpha says little of it
    tolerance = (0.51 / np.maximum(alpha, 0.05) + 0.51) / top if extra == [1] else np.zeros_like(alpha)
    seen = alpha > 0.05
    assert (np.abs(picture.pixels / top - shown).max(2) <= tolerance + 1e-9)[seen].all()
    assert np.abs(read_rgb(path) - _over_grey(shown, alpha[:, :, None])).max() < 2.5


def test_premultiplied_by_hand(tmp_path: Path) -> None:
    # half, a quarter more than alpha allows (clipped), nothing, all
    samples = np.array([[[16384, 8192, 0, 32768], [40000, 0, 0, 32000], [0, 0, 0, 0], [7, 8, 9, 65535]]], np.uint16)
    picture = Picture.read(_write(tmp_path / "a.tif", samples, photometric="rgb", extrasamples=[1]))
    assert picture.pixels.tolist() == [[[32768, 16384, 0], [65535, 0, 0], [0, 0, 0], [7, 8, 9]]]
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[32768, 32000, 0, 65535]]


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("predictor", [1, 2])
def test_planes_packed_by_lzw_and_turned(tmp_path: Path, orientation: int, predictor: int) -> None:
    # Pillow packs three grey files; their strips become the planes of one file.
    samples, strips = _samples(3), []
    for plane in np.moveaxis(samples, 2, 0):
        file = io.BytesIO()
        Image.fromarray(plane).save(file, "TIFF", compression="tiff_lzw", tiffinfo={317: predictor})
        with Image.open(file) as image:
            (offset,), (length,) = image.tag_v2[273], image.tag_v2[279]
        strips.append(file.getvalue()[offset : offset + length])
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[256], tags[257], tags[258], tags[259], tags[262] = WIDTH, HEIGHT, (16,) * 3, 5, 2
    tags[274], tags[277], tags[278], tags[284], tags[317] = orientation, 3, HEIGHT, 2, predictor
    tags[273] = (0, len(strips[0]), len(strips[0]) + len(strips[1]))
    tags[279] = tuple(len(strip) for strip in strips)
    file = io.BytesIO()
    tags.save(file)
    path = tmp_path / "a.tif"
    path.write_bytes(file.getvalue() + b"".join(strips))
    upright = {1: samples, 3: samples[::-1, ::-1], 6: np.rot90(samples, -1)}[orientation]
    assert np.array_equal(Picture.read(path).pixels, upright)
    assert np.array_equal(read_rgb(path), np.rint(upright / 257))


def test_metadata_of_a_page_is_kept(tmp_path: Path) -> None:
    path = _write(
        tmp_path / "a.tif",
        _samples(3),
        photometric="rgb",
        planarconfig="separate",
        resolution=(300, 150),
        resolutionunit="INCH",
        software="A scanner",
        metadata=None,
    )
    picture = Picture.read(path)
    assert picture.dpi == (300, 150)
    with Image.open(picture.write(tmp_path / "b.png")) as image:
        assert image.getexif()[305] == "A scanner"


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    ("options", "fact"),
    [
        ({"photometric": "separated"}, "photometric interpretation 5, planar configuration 2"),
        ({"photometric": "cielab"}, "photometric interpretation 8, planar configuration 2"),
        ({"photometric": "rgb", "compression": "lzma"}, "compression 34925"),
    ],
)
def test_layouts_that_nobody_reads_are_refused_by_name(
    tmp_path: Path, read: Any, options: dict[str, Any], fact: str
) -> None:
    samples = _samples(4 if options["photometric"] == "separated" else 3)
    path = _write(tmp_path / "a.tif", samples, planarconfig="separate", **options)
    with pytest.raises(InputError, match="in a layout that cannot be read") as error:
        read(path)
    assert fact in str(error.value)
    assert "channels interleaved" in str(error.value)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("packing", ["plain", "deflate", "tiles"])
def test_cut_off(tmp_path: Path, read: Any, packing: str) -> None:
    options = {"photometric": "rgb", "planarconfig": "separate", **PACKINGS[packing]}
    path = _write(tmp_path / "a.tif", _samples(3), **options)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(InputError, match="damaged or cut off"):
        read(path)


@pytest.mark.parametrize("read", READERS)
def test_too_large_is_refused_before_unpacking(tmp_path: Path, read: Any) -> None:
    path = _write(tmp_path / "a.tif", _samples(3), photometric="rgb", planarconfig="separate")
    data = bytearray(path.read_bytes())
    at = re.search(rb"\x00\x01[\x03\x04]\x00\x01\x00\x00\x00" + WIDTH.to_bytes(4, "little"), data)  # tag 256
    assert at is not None
    data[at.start() : at.end()] = struct.pack("<HHII", 256, 4, 1, MAX_PIXELS // 8)
    path.write_bytes(data)
    with pytest.raises(InputError, match="too large"):
        read(path)


@pytest.mark.filterwarnings("ignore")
def test_damaged_tags_give_no_other_error(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.tif", _samples(3), photometric="rgb", planarconfig="separate", compression="zlib")
    data, random = path.read_bytes(), np.random.default_rng(0)
    for _ in range(60):
        broken = bytearray(data)
        for at in random.integers(4, 300, 3):
            broken[at] = random.integers(0, 256)
        path.write_bytes(broken)
        for read in READERS:
            with contextlib.suppress(InputError):
                assert read(path).dtype == np.uint8


@pytest.mark.filterwarnings("ignore")
def test_what_pillow_reads_rightly_is_left_to_it() -> None:
    image = Image.fromarray(_samples(3, 8))
    for other in (image, image.quantize(16), image.convert("L"), image.convert("CMYK")):
        file = io.BytesIO()
        other.save(file, "TIFF")
        assert open_tiff(file.getvalue(), "a") is None
    for data in (b"II", b"II*\0", b"MM\0*\0\0\0\x08", b"\x89PNG\r\n\x1a\n", b""):
        assert open_tiff(data, "a") is None
