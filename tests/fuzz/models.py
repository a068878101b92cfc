"""Model files and checkpoints: headers, offsets, types, options and states that are damaged or somebody else's."""

from __future__ import annotations

import functools
import json
import struct
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fuzz.case import Case, Part
from fuzz.mutation import mutated
from fuzz.trees import TEXTS, VALUES, changed
from hypothesis import strategies as st
from training.tiny import DATA

import smoothswap
from smoothswap.modules.model_file import describe_file
from smoothswap.training import EmbedderRecipe, recipe_of_run, train_embedder
from smoothswap.training import Part as RecipePart
from smoothswap.training.checkpoint import LAST, PREVIOUS
from smoothswap.training.recipes import RECIPE

_MODEL, _RUN = "x.safetensors", "run"
_ENGINE: dict[str, Any] = {"accelerator": "cpu", "progress": False}
_TINY = {"dim": 8, "widths": (4, 4), "blocks": (1, 1), "head": "plain"}
_TYPES = ["F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL", "F8_E4M3", "U64", "C64", "X", ""]


def unpacked(content: bytes) -> tuple[dict[str, Any], bytes]:
    """Header and data of a safetensors file; the values of its metadata that are JSON as trees."""
    (length,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + length])
    notes = {key: json.loads(value) for key, value in header.get("__metadata__", {}).items()}
    return {**header, "__metadata__": notes}, content[8 + length :]


def packed(header: Any, data: bytes) -> bytes:
    """The file of such a header."""
    if isinstance(header, dict) and isinstance(header.get("__metadata__"), dict):
        notes = {
            key: value if isinstance(value, str) else json.dumps(value) for key, value in header["__metadata__"].items()
        }
        header = {**header, "__metadata__": notes}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


@functools.cache
def seeds() -> Mapping[str, bytes]:
    """A tiny embedder and generator, and the files of a run with two checkpoints, by path."""
    folder = Path(tempfile.mkdtemp())
    embedder = smoothswap.build("small_resnet", input_size=16, **_TINY)
    generator = smoothswap.build(
        "smooth_unet_64",
        image_size=16,
        base_channels=4,
        channel_multipliers=(1,),
        identity_dim=8,
        attention_resolutions=(),
    )
    files = {
        "embedder": smoothswap.save(embedder, folder / "e.safetensors", notes={"data": ["photos"]}),
        "generator": smoothswap.save(generator, folder / "g.safetensors", notes={"recipe": "x", "embedder": "sface"}),
    }
    recipe = EmbedderRecipe(
        image_size=16, data=DATA, embedder=RecipePart("small_resnet", _TINY),
        people_per_batch=2, images_per_person=2, images=12, log_every=4, checkpoint_every=4,
    )  # fmt: skip
    train_embedder(recipe, folder / _RUN, **_ENGINE)
    files |= {f"{_RUN}/{name}": folder / _RUN / name for name in (LAST, PREVIOUS, RECIPE)}
    return {name: path.read_bytes() for name, path in files.items()}


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """A safetensors file with other bytes, tensors or metadata."""
    way = draw(st.sampled_from(["bytes", "tensors", "metadata", "metadata"]))
    if way == "bytes":
        return draw(mutated(content))
    header, data = unpacked(content)
    if way == "metadata":
        if draw(st.booleans()):  # what is behind the sum is reached, as in files of earlier versions
            header["__metadata__"].pop("state_crc32", None)
        return packed({**header, "__metadata__": draw(changed(header["__metadata__"]))}, data)
    names = [name for name in header if name != "__metadata__"]
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from(names))
        entry = dict(header.get(name) or {})
        field = draw(st.sampled_from(["dtype", "shape", "data_offsets", "gone", "renamed", "any"]))
        if field in ("gone", "renamed"):
            header.pop(name, None)
            if field == "renamed":
                header[draw(TEXTS)] = entry
        elif field == "any":
            header[name] = draw(changed(entry))
        else:
            numbers = st.lists(st.sampled_from([0, 1, 2, 16, 2**31, 2**62, 2**64 - 1]), max_size=4)
            header[name] = {**entry, field: draw(st.sampled_from(_TYPES) if field == "dtype" else numbers)}
    return packed(header, data)


def _resume() -> None:
    recipe_of_run(Path(_RUN), {})
    train_embedder(None, _RUN, resume=True, **_ENGINE)


def _start() -> None:
    recipe = EmbedderRecipe(
        image_size=16, data=DATA, embedder=RecipePart("small_resnet", _TINY),
        people_per_batch=2, images_per_person=2, images=4,
    )  # fmt: skip
    train_embedder(recipe, "out", start_from=_MODEL, **_ENGINE)


_CALLS: dict[str, Callable[[], object]] = {
    "load": lambda: smoothswap.load(_MODEL),
    "load as a generator": lambda: smoothswap.load(_MODEL, kind="generator"),
    "describe": lambda: str(describe_file(_MODEL)),
    "start from": _start,
    "swap with": lambda: smoothswap.swap("no.png", "no.png", "out.png", model="model"),
    "embed with": lambda: smoothswap.embed("no", "x.npz", embedder=_MODEL),
}


@st.composite
def _model(draw: st.DrawFn) -> Case:
    does, kind = draw(st.sampled_from(sorted(_CALLS))), draw(st.sampled_from(["embedder", "generator"]))
    content = draw(damaged(seeds()[kind]))
    files = {_MODEL: content}
    if does == "swap with":
        files = {"model/generator.safetensors": content}
        if draw(st.booleans()):
            files["model/embedder.safetensors"] = draw(damaged(seeds()["embedder"]))
    return Case(f"{does} a damaged {kind}", _CALLS[does], files)


@st.composite
def _run(draw: st.DrawFn) -> Case:
    files = {name: content for name, content in seeds().items() if name.startswith(_RUN)}
    name = draw(st.sampled_from([*files, f"{_RUN}/{LAST}"]))
    if name.endswith(".json"):
        tree = st.one_of(changed(json.loads(files[name])), VALUES).map(lambda tree: json.dumps(tree).encode())
        files[name] = draw(st.one_of(tree, mutated(files[name])))
    else:
        files[name] = draw(damaged(files[name]))
    if draw(st.booleans()):
        files.pop(f"{_RUN}/{PREVIOUS}")
    return Case(f"resume a run whose {name} is damaged", _resume, files, endless=True)


PART = Part(
    "models",
    "model files and checkpoints with damaged bytes, tensors, metadata and states: load, inspect, start from, resume",
    st.one_of(_model(), _model(), _run()),
    seeds,
)
