"""How a figure was made, as an object that is stored with it.

Two figures may be compared only where their protocols agree; `Protocol.differences` says where they do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, Self

from torch import nn

from smoothswap.core.errors import InputError
from smoothswap.core.old_names import PROTOCOL, renamed

FACE = "pixels that are face in the target or in the true swap"
OUTLINE = "pixels that are head in only one of target and true swap, grown by 1 px for each 64 px of picture"
BACKGROUND = "pixels that the head touches neither in the target nor in the true swap"
PICTURES = "clamped to [-1, 1] as a picture file would; PSNR with peak 2, at most 58.9 dB, averaged over pictures"
SHARES = "projection of the change made on the true change, summed over the pairs, then divided"
SHARPNESS = (
    "energy of x - [1 2 1]^T [1 2 1] / 16 * x over the pixels that are head in the target or in the true swap, "
    "summed over the pairs, divided by the same of the true swaps"
)


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """Everything that decides the figures of a swap report.

    Attributes:
        judge: name of the embedder that judges identity.
        judge_weights_fingerprint: of its weights, see `smoothswap.modules.weights.weights_fingerprint`.
        generator: name of the generator that is judged.
        generator_weights_fingerprint: of its weights.
        embedder: name of the embedder that gave the generator its identities.
        embedder_weights_fingerprint: of its weights.
        pairs: number of pairs.
        split: where the pairs come from, in words; empty where the caller did not say.
        seed: seed of the pairs; None where the caller did not say.
        size: side of the pictures, pixels.
        supersample: subpixels per pixel side with which the pictures were drawn.
        crop: alignment template of the pictures.
        face: which pixels count as face.
        outline: which pixels count as outline.
        background: which pixels count as background.
        pictures: what is done to pictures before they are compared, and how.
        shares: how the shares of the true change are formed.
        sharpness: how sharpness is formed.
        further_judges_weights_fingerprint: of each further judge of identity, by its name.
    """

    judge: str
    judge_weights_fingerprint: str
    generator: str
    generator_weights_fingerprint: str
    embedder: str
    embedder_weights_fingerprint: str
    pairs: int
    split: str
    seed: int | None
    size: int
    supersample: int
    crop: str = "ffhq"
    face: str = FACE
    outline: str = OUTLINE
    background: str = BACKGROUND
    pictures: str = PICTURES
    shares: str = SHARES
    sharpness: str = SHARPNESS
    further_judges_weights_fingerprint: dict[str, str] = field(default_factory=dict, hash=False)

    @property
    def judge_is_independent(self) -> bool:
        """Whether the judge is another model than the embedder that the generator was trained with."""
        return self.judge_weights_fingerprint != self.embedder_weights_fingerprint

    def differences(self, other: Protocol) -> tuple[str, ...]:
        """The fields in which two protocols differ, the models that are judged left aside; empty: comparable."""
        judged = ("generator", "generator_weights_fingerprint", "embedder", "embedder_weights_fingerprint")
        names = [entry.name for entry in fields(self) if entry.name not in judged]
        return tuple(name for name in names if getattr(self, name) != getattr(other, name))

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The protocol that `to_dict` gave, also as an earlier version wrote it into a report.

        Raises:
            InputError: fields that are missing or unknown.
        """
        given = renamed(values, PROTOCOL)
        known = {entry.name: entry.default is MISSING and entry.default_factory is MISSING for entry in fields(cls)}
        missing = [name for name, needed in known.items() if needed and name not in given]
        unknown = [name for name in given if name not in known]
        if missing or unknown:
            raise InputError(
                "these are not the fields of a protocol",
                *(f"missing: {name}" for name in missing),
                *(f"unknown: {name}" for name in unknown),
                hint='give what lies under "protocol" in the report of a swap model',
            )
        return cls(**given)


def component_name(module: nn.Module) -> str:
    """The name that a model was built by, or the name of its class where it was not built by name."""
    row = getattr(module, "smoothswap_component", None)
    return str(row.name) if row is not None else type(module).__name__
