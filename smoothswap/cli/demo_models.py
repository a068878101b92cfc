"""The models of `smoothswap demo`: the one that swaps, and those that judge."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from smoothswap import api
from smoothswap.core.assets import shipped
from smoothswap.core.errors import InputError
from smoothswap.modules import weights
from smoothswap.modules.pretrained import embedder_path

SECOND = "sface"
"""The second judge: it learned from photographs, so it shares no weakness that comes from training on FaceWorld."""


@dataclass(frozen=True)
class Models:
    """What the demo runs.

    Attributes:
        generator: the model to judge.
        embedder: the embedder that it was trained with.
        judge: the judge of identity.
        where: where the model comes from, in words.
        further_judges: judges of other kinds, by name.
        missing: what is not measured for want of a judge, a sentence for each.
    """

    generator: nn.Module
    embedder: nn.Module
    judge: nn.Module
    where: str
    further_judges: dict[str, nn.Module] = field(default_factory=dict)
    missing: tuple[str, ...] = ()


def load_models(model: Path | None) -> Models:
    """Load the model of a folder, or the shipped one, with its judges.

    Raises:
        InputError: a file is missing.
        CheckpointError: a file is damaged or holds something else.
    """
    folder = shipped("faceworld_64/generator.safetensors").parent if model is None else model
    generator, embedder = api.model_files(folder)
    own = generator.with_name("judge.safetensors")
    judge = own if own.is_file() else shipped("faceworld_64/judge.safetensors")
    further, missing = _second_judge()
    return Models(
        generator=_load(generator, "generator"),
        embedder=_load(embedder_path(embedder), "embedder"),
        judge=_load(judge, "embedder"),
        where="the shipped model of rendered heads" if model is None else str(model),
        further_judges=further,
        missing=missing,
    )


def _load(path: Path, kind: str) -> nn.Module:
    module: nn.Module = weights.load(path, kind=kind)
    return module


def _second_judge() -> tuple[dict[str, nn.Module], tuple[str, ...]]:
    """The second judge by its name, or why there is none."""
    try:
        return {SECOND: api.build(SECOND)}, ()
    except InputError as reason:
        install = f"; {reason.hint}" if reason.hint else ""
        return {}, (f"there is no second judge {SECOND} and no criterion of it: {reason.what}{install}",)
