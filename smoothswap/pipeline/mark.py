"""Saying in the picture what it is: an XMP packet with IPTC's digital source type, tool, version and weights.

Property names: IPTC Photo Metadata Standard 2025.1 (`DigitalSourceType`, `AISystemUsed`, `AISystemVersionUsed`).
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from smoothswap import __version__
from smoothswap.core.config import Options, option
from smoothswap.core.errors import PluginError
from smoothswap.pipeline import xmp

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
TOOL = "smoothswap"

_OURS = "urn:smoothswap:xmp:1"
_ABOUT = f"{{{xmp.RDF}}}about"

_SOURCE_TYPE = f"{{{xmp.IPTC}}}DigitalSourceType"
_SYSTEM = f"{{{xmp.IPTC}}}AISystemUsed"
_VERSION = f"{{{xmp.IPTC}}}AISystemVersionUsed"
_WEIGHTS = f"{{{_OURS}}}WeightsSha256"  # published under this name; it holds the file_sha256 of the generator's file
_REPLACED = (_SOURCE_TYPE, _SYSTEM, _VERSION, _WEIGHTS, xmp.ORIENTATION)


@dataclass(frozen=True, kw_only=True)
class Mark:
    """What a picture says about its making; fields that it does not say are None.

    Args:
        source_type: IPTC digital source type, a URI.
        tool: program that made the change.
        version: its version.
        generator_file_sha256: SHA-256 of the bytes of the generator's file (`smoothswap.core.files.file_sha256`).
    """

    source_type: str | None = SOURCE_TYPE
    tool: str | None = TOOL
    version: str | None = __version__
    generator_file_sha256: str | None = None


@runtime_checkable
class Marker(Protocol):
    """Says in a picture's XMP metadata how it was made, and reads it back (component kind `marker`)."""

    def packet(self, mark: Mark, existing: bytes | None = None) -> bytes:
        """The XMP packet to write into a picture that says `mark`; `existing` is the packet that it has."""

    def read(self, packet: bytes | None) -> Mark | None:
        """What an XMP packet says; None where it says nothing, or there is none."""


def build_marker(marker: str | Marker) -> Marker:
    """The marker itself, or the component of that name.

    Raises:
        UnknownNameError: no such marker.
        PluginError: it cannot be imported, or has not the methods of a marker.
    """
    from smoothswap.core.catalogue import build

    built = build(marker, kind="marker") if isinstance(marker, str) else marker
    if not isinstance(built, Marker):
        raise PluginError(
            f"the marker {marker!r} is none" if isinstance(marker, str) else f"{type(marker).__name__} is no marker",
            f"class: {type(built).__name__}",
            hint="give it the methods of smoothswap.pipeline.Marker: packet and read",
        )
    return built


class IptcMarker:
    """Marks pictures in their XMP metadata, as IPTC defines it; nothing visible, nothing sent anywhere."""

    @dataclass(frozen=True, kw_only=True)
    class Config(Options):
        """Options of the IPTC marker."""

        keep: bool = option(True, "keep what the target's own XMP packet says, such as rights and captions")

    def __init__(self, config: Config) -> None:
        self.config = config

    def packet(self, mark: Mark, existing: bytes | None = None) -> bytes:
        """The XMP packet to write into a picture.

        Args:
            mark: what to say.
            existing: the packet that the picture has; one that cannot be read is replaced, and one too large for a
                JPEG as well: the mark must not be what is lost.
        """
        rdf = xmp.parse(existing) if self.config.keep else None
        if rdf is None:
            rdf = ET.Element(f"{{{xmp.RDF}}}RDF")
        for description in rdf:
            for name in _REPLACED:
                description.attrib.pop(name, None)
                for child in description.findall(name):
                    description.remove(child)
        ours = ET.SubElement(rdf, f"{{{xmp.RDF}}}Description", {_ABOUT: ""})
        values = {
            _SOURCE_TYPE: mark.source_type, _SYSTEM: mark.tool, _VERSION: mark.version,
            _WEIGHTS: mark.generator_file_sha256,
        }  # fmt: skip
        for name, value in values.items():
            if value is not None:
                ET.SubElement(ours, name).text = value
        packet = xmp.serialise(rdf)
        return packet if len(packet) < xmp.LARGEST or existing is None else self.packet(mark)

    def read(self, packet: bytes | None) -> Mark | None:
        """What an XMP packet says; None where it names no digital source type."""
        rdf = xmp.parse(packet)
        if rdf is None:
            return None
        source_type, tool, version, digest = (_value(rdf, name) for name in _REPLACED[:4])
        if source_type is None:
            return None
        return Mark(source_type=source_type, tool=tool, version=version, generator_file_sha256=digest)


def _value(rdf: ET.Element, name: str) -> str | None:
    """A simple property, written as an attribute, as text, or as a resource."""
    for description in rdf:
        child = description.find(name)
        found = description.get(name)
        if found is None and child is not None:
            found = child.get(f"{{{xmp.RDF}}}resource") or child.text
        if found and found.strip():
            return found.strip()
    return None
