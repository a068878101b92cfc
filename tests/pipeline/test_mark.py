from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import smoothswap
from smoothswap.core.errors import InputError
from smoothswap.pipeline.inspection import inspect_file
from smoothswap.pipeline.mark import SOURCE_TYPE, IptcMarker, Mark
from smoothswap.pipeline.picture import Picture

MARKER = IptcMarker(IptcMarker.Config())
WEIGHTS = "0123456789abcdef" * 4
OTHERS = b"""<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"
 xmlns:e="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" tiff:Orientation="6"
 e:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture">
<dc:rights>Jane Doe</dc:rights></rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>"""


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff"])
@pytest.mark.parametrize("bits", [8, 16])
def test_mark_survives_every_format(tmp_path: Path, suffix: str, bits: int) -> None:
    picture = Picture(pixels=np.full((16, 16, 3), 99, {8: np.uint8, 16: np.uint16}[bits]))
    path = picture.write(tmp_path / f"a{suffix}", xmp=MARKER.packet(Mark(generator_file_sha256=WEIGHTS)))
    found = inspect_file(path)
    assert found.swapped
    assert found.mark == Mark(generator_file_sha256=WEIGHTS)
    assert found.mark.tool == "smoothswap"
    assert found.mark.version == smoothswap.__version__
    for word in ("compositeWithTrainedAlgorithmicMedia", WEIGHTS, smoothswap.__version__, "16 × 16"):
        assert word in str(found)


def test_other_programs_find_the_packet_where_they_look(tmp_path: Path) -> None:
    picture = Picture(pixels=np.zeros((8, 8, 3), np.uint8))
    packet = MARKER.packet(Mark())
    data = picture.write(tmp_path / "a.jpg", xmp=packet).read_bytes()
    assert b"http://ns.adobe.com/xap/1.0/\0<?xpacket" in data
    for bits, name in ((np.uint8, "b.png"), (np.uint16, "c.png")):
        deep = Picture(pixels=np.zeros((8, 8, 3), bits))
        assert b"iTXtXML:com.adobe.xmp\0\0\0\0\0<?xpacket" in deep.write(tmp_path / name, xmp=packet).read_bytes()
    data = picture.write(tmp_path / "a.webp", xmp=packet).read_bytes()
    assert b"XMP " in data
    with Image.open(picture.write(tmp_path / "a.tif", xmp=packet)) as image:
        assert image.tag_v2[700] == packet
    assert SOURCE_TYPE.encode() in packet


def test_the_old_packet_stays_but_for_what_is_no_longer_true() -> None:
    packet = MARKER.packet(Mark(), OTHERS)
    assert b"Jane Doe" in packet
    assert b"Orientation" not in packet
    assert b"digitalCapture" not in packet
    assert MARKER.read(packet) == Mark()
    assert MARKER.packet(Mark(), packet).count(b"DigitalSourceType>") == 2, "one element, opened and closed"
    fresh = IptcMarker(IptcMarker.Config(keep=False)).packet(Mark(), OTHERS)
    assert b"Jane Doe" not in fresh


@pytest.mark.parametrize(
    "packet", [b"", b"no xml", b"<a/>", b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", b"\xff\xfe\0"]
)
def test_damaged_packets_are_replaced(packet: bytes) -> None:
    assert MARKER.read(packet) is None
    assert MARKER.read(MARKER.packet(Mark(), packet)) == Mark()


def test_marks_of_other_programs_are_read() -> None:
    found = MARKER.read(OTHERS)
    assert found == Mark(
        source_type="http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture", tool=None, version=None
    )


def test_unmarked_and_unreadable_files(tmp_path: Path, astronaut_file: Path) -> None:
    found = inspect_file(astronaut_file)
    assert not found.swapped
    assert "no mark" in str(found)
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(InputError):
        inspect_file(tmp_path / "a.png")


@pytest.mark.parametrize("length", [59_000, 64_000, 64_600, 70_000])
def test_a_huge_packet_does_not_push_the_mark_out(tmp_path: Path, length: int) -> None:
    huge = OTHERS.replace(b"Jane Doe", b"J" * length)
    picture = Picture(pixels=np.zeros((8, 8, 3), np.uint8))
    path = picture.write(tmp_path / "a.jpg", xmp=MARKER.packet(Mark(generator_file_sha256=WEIGHTS), huge))
    assert inspect_file(path).mark == Mark(generator_file_sha256=WEIGHTS)
