"""XMP packets without pictures."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from smoothswap.pipeline import xmp

CODE = base64.b64encode(np.random.default_rng(0).bytes(3000)).decode()
LINES = "\n".join(CODE[at : at + 76] for at in range(0, len(CODE), 76))
PIECES = "".join(f"<rdf:li>{CODE[at : at + 230]}</rdf:li>" for at in range(0, len(CODE), 230))
SPACES = {
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "note": "http://ns.adobe.com/xmp/note/",
    "GImage": "http://ns.google.com/photos/1.0/image/",
    "GDepth": "http://ns.google.com/photos/1.0/depthmap/",
    "GCamera": "http://ns.google.com/photos/1.0/camera/",
    "Container": "http://ns.google.com/photos/1.0/container/",
    "hdrgm": "http://ns.adobe.com/hdr-gain-map/1.0/",
    "our": "urn:of:no:standard",
}


def _packet(inside: str, attributes: str = "") -> bytes:
    spaces = " ".join(f'xmlns:{prefix}="{space}"' for prefix, space in SPACES.items())
    return (
        f'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        f'<x:xmpmeta xmlns:x="{xmp.META}"><rdf:RDF xmlns:rdf="{xmp.RDF}">'
        f'<rdf:Description rdf:about="" {spaces} {attributes}><dc:rights>Jane Doe</dc:rights>{inside}'
        '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


@pytest.mark.parametrize(
    "inside",
    [
        "<xmp:Thumbnails><rdf:Alt><rdf:li>small</rdf:li></rdf:Alt></xmp:Thumbnails>",
        f"<GImage:Data>{CODE}</GImage:Data>",
        "<GDepth:Data>short</GDepth:Data>",
        "<GCamera:MicroVideo>1</GCamera:MicroVideo>",
        f"<our:preview>{CODE}</our:preview>",
        f"<our:preview>{LINES}</our:preview>",
        f"<our:preview><![CDATA[{CODE}]]></our:preview>",
        f"<our:preview>{base64.b64decode(CODE).hex()}</our:preview>",
        f"<our:list><rdf:Seq><rdf:li our:data='{CODE}'/></rdf:Seq></our:list>",
        f"<our:list><rdf:Seq>{PIECES}</rdf:Seq></our:list>",
        f"<our:x{base64.b64decode(CODE).hex()}>1</our:x{base64.b64decode(CODE).hex()}>",
        f"<b:a xmlns:b='urn:{CODE}'>1</b:a>",
        f"<our:list><rdf:Seq><rdf:li>one</rdf:li>{CODE}</rdf:Seq></our:list>",
        f"<!-- {CODE} -->",
        f"<?our {CODE}?>",
        f"<dc:description>{'many words ' * 1000}</dc:description>",
    ],
)
def test_what_may_hold_a_picture_goes(inside: str) -> None:
    packet = xmp.without_pictures(_packet(inside))
    assert packet is not None
    assert b"Jane Doe" in packet
    for trace in (CODE[100:170], base64.b64decode(CODE).hex()[100:170], "short", "small", "MicroVideo", "words"):
        assert trace.encode() not in packet
    assert xmp.without_pictures(packet) == packet


def test_attributes_and_what_is_no_longer_true() -> None:
    attributes = f'our:data="{CODE}" tiff:Orientation="6" note:HasExtendedXMP="0123" hdrgm:Version="1.0" our:kept="yes"'
    packet = xmp.without_pictures(_packet("<Container:Directory/>", attributes))
    assert packet is not None
    for name in (b"data", b"Orientation", b"HasExtendedXMP", b"Version", b"Directory"):
        assert name not in packet
    assert b'kept="yes"' in packet


def test_a_packet_without_pictures_is_not_touched() -> None:
    caption = "<dc:description>" + "A caption, told at length. " * 100 + "説明文です" * 100 + "</dc:description>"
    for packet in (_packet(caption), _packet("", "our:kept='yes'"), b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"):
        assert xmp.without_pictures(packet) == packet


def test_other_encodings_lose_their_comments_too() -> None:
    for encoding in ("utf-16-le", "utf-16-be"):
        text = "\ufeff" + _packet(f"<!-- {CODE} -->").decode()
        packet = xmp.without_pictures(text.encode(encoding))
        assert packet is not None
        assert b"Jane Doe" in packet
        assert CODE[:100].encode() not in packet


@pytest.mark.parametrize("packet", [None, b"", b"<x:xmpmeta", b"no XML", _packet("<dc:rights>")])
def test_what_cannot_be_read_goes(packet: bytes | None) -> None:
    assert xmp.without_pictures(packet) is None


def test_entities_are_not_expanded() -> None:
    assert xmp.without_pictures(b'<!DOCTYPE a [<!ENTITY b "c">]>' + _packet("&b;")) is None


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("", True),
        (CODE[:240], True),
        (CODE[:241], False),
        (LINES, False),
        ("words " * 1500, True),
        ("words " * 1700, False),
        ("日本語" * 1000, True),
        ("a line\nand another\t" * 50, True),
        ("a\x00b" * 100, False),
        ("👩‍👩‍👧 a family, and words about it " * 20, True),
        (np.random.default_rng(0).bytes(600).decode("latin-1").translate(dict.fromkeys(range(32), "a")), False),
        ("https://example.org/" + "a" * 180, True),
        (" ".join(["https://example.org/" + "a" * 100] * 3), False),
    ],
)
def test_plain_text(text: str, plain: bool) -> None:
    assert xmp.is_plain_text(text) is plain
