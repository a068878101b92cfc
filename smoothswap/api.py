"""The public verbs. Everything here is also an attribute of `smoothswap` itself."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from smoothswap.core.catalogue import available, build, describe, load_plugins, register
from smoothswap.core.errors import ConfigError, InputError
from smoothswap.core.files import as_path, file_sha256

if TYPE_CHECKING:
    import torch
    from torch import nn

    from smoothswap.evaluation.photograph_report import PhotographReport
    from smoothswap.pipeline import EmbedReport, Marker, SwapOutcome
    from smoothswap.verify_pairs import PairReport

__all__ = [
    "available", "build", "describe", "embed", "evaluate", "load", "load_plugins", "register", "save", "swap", "verify",
]  # fmt: skip

MODEL_FILES = ("generator.safetensors", "embedder.safetensors")
SHIPPED_MODELS = ("photos_128", "faceworld_64")
"""For photographs, and for rendered heads."""
RENDERED = {"faceworld", "faceworld_swaps"}
"""Data sets that show no photographs."""


def save(module: nn.Module, path: Path | str, **keywords: Any) -> Path:
    """Write a model's weights and how to build it; see `smoothswap.modules.weights.save`."""
    from smoothswap.modules import weights

    return weights.save(module, path, **keywords)


def load(path: Path | str, device: torch.device | str = "cpu", *, kind: str | None = None) -> Any:
    """Build the model that a file describes, with its weights; see `smoothswap.modules.weights.load`."""
    from smoothswap.modules import weights

    return weights.load(path, device, kind=kind)


def swap(
    source: Path | str,
    target: Path | str,
    out: Path | str,
    *,
    model: Path | str | None = None,
    face: int | Literal["all"] = "all",
    source_face: int = 0,
    landmarker: str = "yunet",
    overwrite: bool = False,
    mark: bool = True,
    marker: str | Marker = "iptc",
    device: str = "cpu",
    **keywords: Any,
) -> SwapOutcome:
    """Put the person of one picture into another picture, from file to file.

    Args:
        source: picture of the person.
        target: picture whose expression, pose and background stay.
        out: picture to write (.png, .jpg, .webp, .tif).
        model: folder with generator.safetensors and embedder.safetensors, or the name of a model that ships;
            `photos_128` where it is left out.
        face: which face of the target, 0 for the largest, or `"all"`.
        source_face: which face of the source, 0 for the largest.
        landmarker: component that finds the faces.
        overwrite: replace `out` where it exists.
        mark: write into the picture what it is.
        marker: component that writes it, or its name; `iptc` writes IPTC's digital source type, tool and weights.
        device: where the models run.
        keywords: passed on to `smoothswap.pipeline.swap_file`.

    Returns:
        What was written; its `remark` says so where the model was trained on rendered heads alone.

    Raises:
        NoFaceError: no face in one of the pictures.
        ConfigError: a device that this machine does not have.
        InputError: a picture that cannot be read, an output that exists, a face index out of range.
        CheckpointError: the model cannot be loaded, or one of its files holds another kind of model.
    """
    from smoothswap.pipeline import swap_file

    generator_file, embedder = model_files(model)
    check_device(device)
    outcome = swap_file(
        as_path(source, "the source"),
        as_path(target, "the target"),
        as_path(out, "the picture to write"),
        generator=load(generator_file, device, kind="generator"),
        embedder=_embedder(embedder, device)[0],
        face=face,
        source_face=source_face,
        landmarker=landmarker,
        overwrite=overwrite,
        mark=mark,
        marker=marker,
        generator_file_sha256=file_sha256(generator_file),
        **keywords,
    )
    return dataclasses.replace(outcome, remark=_remark(generator_file))


def _remark(generator_file: Path) -> str:
    """A line that says that a model has seen no photographs, by what its file says of its training; else nothing."""
    from smoothswap.core.assets import ROOT
    from smoothswap.modules import weights

    header = weights.read_header(generator_file)
    notes = header.get("notes", {})
    data = notes.get("data")
    if data is None and generator_file.is_relative_to(ROOT):  # written before the data were
        data = [str(notes.get("recipe")).partition("_")[0]]
    if not data or not set(data) <= RENDERED:
        return ""
    size = header["config"].get("image_size")
    return "the model was trained on rendered heads" + (f" of {size} px" if size else "") + ": not for photographs"


def embed(
    folder: Path | str,
    out: Path | str,
    *,
    embedder: Path | str | None = None,
    device: str = "cpu",
    **keywords: Any,
) -> EmbedReport:
    """Write the identity vectors of a folder of pictures to an .npz file; see `smoothswap.pipeline.embed_folder`.

    Args:
        folder: pictures at any depth; the first sub-folder is the person.
        out: the file, ending in `.npz`; replaced where it exists.
        embedder: an embedder's file, or the name of an embedder that comes with weights, such as `sface`; the shipped
            one where it is left out.
        device: where the embedder runs.
        keywords: `align`, `face`, `batch`, `workers` and more, passed on to `smoothswap.pipeline.embed_folder`.

    Raises:
        InputError: no such folder, no picture in it that can be used, an `out` that cannot be.
        ConfigError: a device that this machine does not have.
        CheckpointError: the embedder cannot be loaded, or the file holds another kind of model.
        WorkError: the disk is full, or a process that reads pictures died.
    """
    from smoothswap.pipeline import embed_folder

    model, facts = _embedder(embedder, device)
    return embed_folder(folder, out, embedder=model, facts=facts, **keywords)


def verify(
    pairs: Path | str,
    folder: Path | str,
    out: Path | str,
    *,
    embedder: Path | str | None = None,
    device: str = "cpu",
    **keywords: Any,
) -> PairReport:
    """Measure an embedder on a list of image pairs, such as LFW's; see `smoothswap.verify_pairs.verify_pairs`.

    Args:
        pairs: LFW's `pairs.txt`, or lines of two paths and 1 (one person) or 0 (two people).
        folder: the images.
        out: folder for report, figures and vectors; made where it is missing, and gone on with where a run was stopped.
        embedder: an embedder's file, or the name of an embedder that comes with weights, such as `sface`; the shipped
            one where it is left out.
        device: where the embedder runs.
        keywords: `align`, `face`, `mirrored`, `missing_limit`, `batch`, `workers` and more, passed on.

    Raises:
        InputError: a list, folder or output that cannot be used.
        ConfigError: a device that this machine does not have.
        UnknownNameError: an embedder that is neither a file nor a name.
        CheckpointError: the embedder cannot be loaded, or the file holds another kind of model.
        WorkError: the disk is full, or a process that reads images died.
    """
    from smoothswap.verify_pairs import verify_pairs

    model, facts = _embedder(embedder, device)
    return verify_pairs(pairs, folder, out, embedder=model, facts=facts, **keywords)


def evaluate(
    folder: Path | str,
    out: Path | str,
    *,
    model: Path | str | None = None,
    judges: Sequence[str] = ("sface",),
    device: str = "cpu",
    **keywords: Any,
) -> PhotographReport:
    """Swap pairs of photographs of a folder and measure them; see `smoothswap.swap_photographs.swap_photographs`.

    Args:
        folder: photographs at any depth; the first sub-folder is the person.
        out: folder for the report and a sheet of pairs; made where it is missing.
        model: folder with generator.safetensors and embedder.safetensors, or the name of a model that ships;
            `photos_128` where it is left out.
        judges: embedders that judge identity: files, or names of those that come with weights.
        device: where the models run.
        keywords: `pairs`, `seed`, `landmarker`, `shown` and more, passed on.

    Raises:
        InputError: a folder or output that cannot be used, no pair that can be swapped, or two judges of one name.
        ConfigError: a device that this machine does not have.
        UnknownNameError: a judge that is neither a file nor a name.
        CheckpointError: a model cannot be loaded.
    """
    from smoothswap.swap_photographs import swap_photographs

    generator, embedder = model_files(model)
    check_device(device)
    names = [as_path(judge, "a judge").stem for judge in judges]
    if len(set(names)) < len(names):
        raise InputError("two judges have the same name", *map(str, judges), hint="rename one of the files")
    judging = {name: _embedder(judge, device)[0] for name, judge in zip(names, judges, strict=True)}
    return swap_photographs(
        folder,
        out,
        generator=load(generator, device, kind="generator"),
        embedder=_embedder(embedder, device)[0],
        judges=judging,
        **keywords,
    )


def _embedder(file_or_name: Path | str | None, device: str) -> tuple[nn.Module, dict[str, str]]:
    """An embedder in eval mode on a device, with its name and `weights_fingerprint`."""
    from smoothswap.core.assets import shipped
    from smoothswap.evaluation.protocol import component_name
    from smoothswap.modules.pretrained import build_pretrained, is_name
    from smoothswap.modules.weights import weights_fingerprint

    check_device(device)
    chosen = (
        shipped(f"faceworld_64/{MODEL_FILES[1]}") if file_or_name is None else as_path(file_or_name, "the embedder")
    )
    model = build_pretrained(str(chosen)).to(device) if is_name(chosen) else load(chosen, device, kind="embedder")
    facts = {"name": component_name(model), "weights_fingerprint": weights_fingerprint(model)}
    return model.eval(), facts


def check_device(name: str) -> None:
    """Refuse a device that this machine does not have.

    Raises:
        ConfigError: no such kind of device, or none of it here.
    """
    import torch

    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as cause:
        raise ConfigError(
            f"device cannot be {name!r}",
            str(cause).partition("\n")[0],
            hint="`smoothswap doctor` lists the devices here",
        ) from cause


def model_files(model: Path | str | None) -> tuple[Path, Path | str]:
    """The generator's file of a model, and its embedder's file or name.

    A folder without embedder.safetensors is complete where its generator's notes name an embedder that comes with
    weights, as those of `photos_128` do.

    Args:
        model: its folder, or the name of one that ships (`SHIPPED_MODELS`); None for the first of these.

    Raises:
        InputError: the folder or one of its files is missing.
        CheckpointError: the generator's file is damaged.
    """
    from smoothswap.core.assets import ROOT, shipped
    from smoothswap.modules import weights

    name = SHIPPED_MODELS[0] if model is None else str(as_path(model, "the model"))
    # Not `Path.exists`, which raises in a current folder that may not be searched.
    if name in SHIPPED_MODELS and (model is None or not os.path.exists(name)):  # noqa: PTH110
        shipped(f"{name}/{MODEL_FILES[0]}")
        folder = ROOT / name
    else:
        folder = Path(name)
    generator, embedder = (folder / file for file in MODEL_FILES)
    if generator.is_file() and not embedder.is_file():
        named = weights.read_header(generator).get("notes", {}).get("embedder")
        if isinstance(named, str):
            return generator, named
    missing = [file.name for file in (generator, embedder) if not file.is_file()]
    if missing:
        raise InputError(
            f"no model in {str(folder)!r}",
            "it is a file" if folder.is_file() else f"missing: {', '.join(missing)}",
            hint="name a folder that `smoothswap train swapper --out` wrote, or one of the models that ship: "
            + ", ".join(SHIPPED_MODELS),
        )
    return generator, embedder
