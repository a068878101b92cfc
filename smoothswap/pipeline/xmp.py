"""XMP packets: reading and writing them, and taking out what may show the picture as it was."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
META = "adobe:ns:meta/"
IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
TIFF = "http://ns.adobe.com/tiff/1.0/"
_ADOBE, _GOOGLE = "http://ns.adobe.com/", "http://ns.google.com/photos/"

for _prefix, _space in {
    "rdf": RDF, "x": META, "Iptc4xmpExt": IPTC, "tiff": TIFF, "smoothswap": "urn:smoothswap:xmp:1",
    "xmp": f"{_ADOBE}xap/1.0/", "xmpMM": f"{_ADOBE}xap/1.0/mm/", "xmpRights": f"{_ADOBE}xap/1.0/rights/",
    "dc": "http://purl.org/dc/elements/1.1/", "photoshop": f"{_ADOBE}photoshop/1.0/", "exif": f"{_ADOBE}exif/1.0/",
    "aux": f"{_ADOBE}exif/1.0/aux/", "crs": f"{_ADOBE}camera-raw-settings/1.0/",
    "Iptc4xmpCore": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
}.items():  # fmt: skip
    ET.register_namespace(_prefix, _space)

LARGEST = 65_000
"""Bytes of a packet, not reached: a segment of a JPEG holds 65,533, of which its label takes some."""

# Properties that hold pictures, or describe pictures that lie behind the first one in the file and are gone with it:
# thumbnails, depth and gain maps, motion photographs, the maker's notes of a phone.
_PICTURE_SPACES = (
    f"{{{_ADOBE}xap/1.0/g/img/}}", f"{{{_ADOBE}hdr-gain-map/", "{http://ns.apple.com/HDRGainMap/",
    "{http://ns.apple.com/pixeldatainfo/", f"{{{_GOOGLE}",
)  # fmt: skip
_PICTURE_NAMES = {f"{{{_ADOBE}xap/1.0/}}Thumbnails", f"{{{_ADOBE}xmp/note/}}HasExtendedXMP"}
# The picture is written upright, so an orientation in the packet would turn it again.
ORIENTATION = f"{{{TIFF}}}Orientation"

_CODE_WORD, _SHORT, _LONG = 40, 240, 10_000
_BEGIN = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
_END = '\n<?xpacket end="w"?>'
_WRAPPER = re.compile(rb"<\?(xpacket|xml) [^>]{0,100}\?>")  # what a packet begins and ends with


def parse(packet: bytes | None) -> ET.Element | None:
    """Return the rdf:RDF element of a packet; None where there is none or it is no XML."""
    root = _root(packet)
    return None if root is None else _rdf(root)


def _root(packet: bytes | None) -> ET.Element | None:
    if packet is None or any(word in packet.replace(b"\0", b"") for word in (b"<!DOCTYPE", b"<!ENTITY")):
        return None  # XMP has neither; bombs do
    try:
        wide = packet.startswith((b"\xff\xfe", b"\xfe\xff"))  # UTF-16, in which every second byte is 0
        return ET.fromstring(packet if wide else packet.strip(b"\0 \t\r\n"))
    except (ET.ParseError, ValueError, LookupError):
        return None


def _rdf(root: ET.Element) -> ET.Element | None:
    rdf = f"{{{RDF}}}RDF"
    return root if root.tag == rdf else root.find(f".//{rdf}")


def serialise(rdf: ET.Element) -> bytes:
    """Return the packet whose rdf:RDF element is given."""
    root = ET.Element(f"{{{META}}}xmpmeta")
    root.append(rdf)
    return (_BEGIN + ET.tostring(root, encoding="unicode") + _END).encode()


def without_pictures(packet: bytes | None) -> bytes | None:
    """Return the packet without orientation, comments, and whatever may hold a picture; None where it cannot be read.

    A property goes if it is known to hold a picture or to describe one that is not written, if a value in it is no
    plain text (see `is_plain_text`), if all of its values together are a code, or if its name is longer than 240
    characters. A packet with none of these is returned as it is.
    """
    root = _root(packet)
    if packet is None or root is None:
        return None
    changed = _has_more_than_elements(packet) or not is_plain_text(root.text or "")
    for parent in list(root.iter()):
        for name, value in list(parent.attrib.items()):
            if _forbidden(name) or not is_plain_text(value):
                del parent.attrib[name]
                changed = True
        for child in list(parent):
            is_property = parent.tag == f"{{{RDF}}}Description"
            coded = is_property and _is_coded(" ".join(_texts(child)))
            if coded or _forbidden(child.tag) or not is_plain_text(child.text or ""):
                parent.remove(child)
                changed = True
            elif (child.tail or "").strip():  # RDF has no text between elements
                child.tail = None
                changed = True
    if not changed:
        return packet
    rdf = _rdf(root)  # text of the root stays behind
    return None if rdf is None else serialise(rdf)


def _texts(element: ET.Element) -> Iterator[str]:
    """Every text in an element: a picture may be coded in many short ones."""
    for each in element.iter():
        yield from (each.text or "", *each.attrib.values())


def _has_more_than_elements(packet: bytes) -> bool:
    """Whether there are comments or instructions, or whether an encoding other than UTF-8 hides if there are."""
    return b"\0" in packet.strip(b"\0") or re.search(rb"<!--|<\?", _WRAPPER.sub(b"", packet)) is not None


def is_plain_text(text: str) -> bool:
    """Whether a text is nothing that a picture could be coded in (base64, hexadecimal digits, raw bytes).

    Up to 240 characters hold no picture worth the name. A longer text has at most 10,000 characters, of which one in
    ten may be unprintable (but no control character of ASCII), and no 240 in a row that fall into ASCII words of 40 and
    more.
    """
    if len(text) <= _SHORT:
        return True
    unprintable = [letter for letter in text if not (letter.isprintable() or letter.isspace())]
    if len(text) > _LONG or len(unprintable) > len(text) / 10 or any(letter < " " for letter in unprintable):
        return False
    return not _is_coded(text)


def _is_coded(text: str) -> bool:
    coded = 0
    for word in text.split():
        coded = coded + len(word) if len(word) >= _CODE_WORD and word.isascii() else 0
        if coded > _SHORT:
            return True
    return False


def _forbidden(name: str) -> bool:
    known = name in _PICTURE_NAMES or name == ORIENTATION or name.startswith(_PICTURE_SPACES)
    return known or len(name) > _SHORT  # with its namespace; names could be codes as well
