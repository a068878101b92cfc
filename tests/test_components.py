"""Every component that ships, built at a tiny size and used: one is tested the day it is registered.

A row takes the options that `TINY` has for its name and, of those that it has for its kind, the ones that the row
knows. Shapes: B images of S x S pixels, D length of an identity vector, C channels, E length of an embedding.
"""

from __future__ import annotations

import dataclasses
import inspect
import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from aligned import write_people
from torch import Tensor, nn

import smoothswap
from smoothswap.core.component import KINDS, Component
from smoothswap.core.config import Options
from smoothswap.core.errors import ArgumentError, ConfigError, InputError, MissingExtraError
from smoothswap.core.extras import EXTRAS
from smoothswap.core.interfaces import Discriminator, Embedder, FaceDataset, FaceInput, Generator
from smoothswap.losses.swap_batch import SwapBatch, SwapLoss

# Not those that other tests register.
ROWS = [row for row in smoothswap.available() if row.provider == "smoothswap"]
PHOTOGRAPH = Path(__file__).parents[1] / "examples" / "photos" / "astronaut.jpg"

DIM, CHANNELS, EMBEDDING, ATTRIBUTES, PEOPLE = 8, 8, 4, 2, 3
TINY: dict[str, dict[str, Any]] = {
    # of a kind
    "embedder": {"input_size": 32, "dim": DIM, "hidden": 8},
    "generator": {
        "image_size": 16,
        "identity_dim": DIM,
        "base_channels": 8,
        "channel_multipliers": (1, 2),
        "blocks_per_level": 1,
        "attention_resolutions": (8,),
    },
    "discriminator": {"image_size": 32, "channel_base": 128, "channel_max": 16},
    "loss": {"people": PEOPLE, "dim": DIM, "attributes": ATTRIBUTES},
    "swap_loss": {},
    "injection": {"channels": CHANNELS, "embedding_dim": EMBEDDING},
    "dataset": {"image_size": 16, "groups": 2, "held_out": 0.0, "index": "none"},  # and a place, see `options_of`
    "landmarker": {"scales": (320,)},
    "marker": {},
    # of a name
    "small_resnet": {"widths": (4, 8), "blocks": (1, 1)},
    "iresnet": {"depth": 18},
    "projected": {"mixing_channels": 8, "head_channels": 8},
    "faceworld": {"people_per_group": 2, "images_per_person": 2},
    "faceworld_swaps": {"people_per_group": 2, "pictures_per_person": 2, "people_per_scene": 2},
}


def every(*kinds: str) -> pytest.MarkDecorator:
    """Run a test on every row of these kinds; of all where none is given."""
    rows = [row for row in ROWS if row.kind in (kinds or KINDS)]
    return pytest.mark.parametrize("row", rows, ids=lambda row: f"{row.kind}-{row.name}")


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Options that say where images are: a folder as `align` leaves it, and the same images in a tar."""
    root = tmp_path_factory.mktemp("images")
    folder = write_people(root / "people", people=4, each=2, side=32)
    with tarfile.open(root / "images.tar", "w") as tar:
        for number, file in enumerate(sorted(folder.rglob("*.png"))):
            for suffix, content in (("png", file.read_bytes()), ("cls", file.parent.name.encode())):
                member = tarfile.TarInfo(f"{number:04}.{suffix}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return {"folder": str(folder), "shards": str(root / "images.tar")}


def options_of(row: Component, places: dict[str, str]) -> dict[str, Any]:
    """The options that make a row tiny."""
    infos = row.resolve().Config.infos()
    known = {info.name for info in infos}
    if row.kind not in TINY:
        pytest.fail(f"no test knows the kind {row.kind!r}: add TINY[{row.kind!r}] and what it promises to {__file__}")
    of_kind = {name: value for name, value in (TINY[row.kind] | places).items() if name in known}
    options = of_kind | TINY.get(row.name, {})
    missing = [info.name for info in infos if info.required and info.name not in {*row.defaults, *options}]
    if missing:
        pytest.fail(f"{row.kind} {row.name!r} must be given {', '.join(missing)}: add TINY[{row.name!r}] in {__file__}")
    return options


def tiny(row: Component, places: dict[str, str], **changed: Any) -> Any:
    """A row built tiny; the test is skipped where what the row says that it needs is not there."""
    try:
        return smoothswap.build(row.name, row.kind, **(options_of(row, places) | changed))
    except (InputError, MissingExtraError) as error:
        if not row.needs or not error.hint or not promised(row, error.hint):
            raise
        pytest.skip(f"needs {row.needs}")
    except ConfigError as error:
        pytest.fail(f"{row.kind} {row.name!r} has no such tiny size: add TINY[{row.name!r}] in {__file__}\n{error}")


def is_foreign(model: nn.Module) -> bool:
    """Whether a model only calls a network of other software, which gives no gradients and knows no devices."""
    return not list(model.parameters())


def promised(row: Component, hint: str) -> bool:
    """Whether what an error says to type is an extra that the row needs."""
    return any(f"[{extra}]" in hint for extra in EXTRAS if extra in row.needs.partition(":")[0])


def faces(expects: FaceInput, count: int = 2) -> Tensor:
    """Noise [B, 3, S, S] in the range that an embedder expects."""
    low, high = expects.value_range
    return torch.rand(count, 3, expects.size, expects.size) * (high - low) + low


def unit(*shape: int) -> Tensor:
    return nn.functional.normalize(torch.randn(*shape), dim=-1)


def tensors(model: Any, row: Component) -> list[Tensor]:
    """What `forward` of a model takes; a generator's and an injection's second is the identity [B, D]."""
    if row.kind == "embedder":
        return [faces(model.expects)]
    if row.kind == "injection":
        return [torch.randn(2, CHANNELS, 4, 4), torch.randn(2, EMBEDDING)]
    images = torch.rand(4, 3, model.image_size, model.image_size) * 2 - 1
    return [images, unit(4, model.identity_dim)] if row.kind == "generator" else [images]


def arguments(function: Any, row: Component, named: dict[str, Any]) -> list[Any]:
    """What a function is to be called with, by the names of its parameters that have no default."""
    signature = inspect.signature(function)
    names = [name for name, parameter in signature.parameters.items() if parameter.default is inspect.Parameter.empty]
    if unknown := [name for name in names if name not in named]:
        pytest.fail(f"add what {row.kind} {row.name!r} takes as {', '.join(unknown)} to its test in {__file__}")
    return [named[name] for name in names]


def loss_of(loss: nn.Module, row: Component, leaf: Tensor) -> Tensor:
    """A loss of vectors [N, D], two of each person, that are the rows of `leaf`; R1 takes images and logits of them."""
    labels = torch.arange(PEOPLE).repeat_interleave(2)
    weight = nn.Parameter(torch.ones(1))
    images = torch.rand(2, 3, 4, 4, requires_grad=True)
    named = dict.fromkeys(("z", "embeddings"), leaf) | {
        "labels": labels,
        "attributes": torch.randn(2 * PEOPLE, ATTRIBUTES),
        "real_images": images,
        "real_logits": weight * (images + leaf.mean()).square().sum((1, 2, 3))[:, None],
    }
    return loss(*arguments(loss.forward, row, named))  # type: ignore[no-any-return]


def swap_loss_of(loss: Any, swapped: Tensor) -> Tensor:
    """A swap loss of images [B, 3, S, S], with nothing in the batch but what it says that it needs."""
    needs = set(getattr(loss, "needs", ()))
    embedders = 2 if "second_embedder" in needs else int("identity" in needs)
    batch = SwapBatch(
        swapped=swapped,
        target=torch.rand_like(swapped) * 2 - 1,
        source=torch.rand_like(swapped) * 2 - 1,
        self_pair=torch.tensor([True] + [False] * (len(swapped) - 1)),
        z_swapped=tuple(swapped.flatten(1)[:, :DIM] for _ in range(embedders)),
        z_source=tuple(unit(len(swapped), DIM) for _ in range(embedders)),
        logits=swapped.mean((1, 2, 3))[:, None] if "logits" in needs else None,
        truth=torch.rand_like(swapped) * 2 - 1 if "truth" in needs else None,
        face=torch.rand_like(swapped[:, :2]) if "masks" in needs else None,
        head=torch.rand_like(swapped[:, :2]) if "masks" in needs else None,
    )
    assert isinstance(loss, SwapLoss)
    return loss(batch)


@every()
def test_row_and_options_explain_themselves(row: Component) -> None:
    cls = row.resolve()
    assert (cls.__doc__ or "").strip(), "the class needs a docstring"
    assert row.summary
    assert not row.summary.endswith(".")
    config = cls.Config
    assert issubclass(config, Options)
    assert config.__dataclass_params__.frozen
    for field in dataclasses.fields(config):
        assert field.kw_only, field.name
        assert field.metadata.get("help"), f"option {field.name} needs a help text"


@every()
def test_preset_defaults_are_valid(row: Component, places: dict[str, str]) -> None:
    required = {info.name for info in row.resolve().Config.infos() if info.required}
    given = {name: value for name, value in options_of(row, places).items() if name in required}
    row.resolve().Config.make(given | dict(row.defaults))


@every()
def test_an_unknown_option_is_named_with_the_nearest(row: Component) -> None:
    known = [info.name for info in row.resolve().Config.infos()]
    for name in known or ["image_size"]:
        with pytest.raises(ConfigError) as error:
            smoothswap.build(row.name, row.kind, **{f"{name}x": 1})
        assert f"unknown option '{name}x'" in error.value.what
        assert f"options: {', '.join(known) or 'none'}" in error.value.facts
        if known:
            assert f"Did you mean '{name}'?" in error.value.what


@every()
def test_a_value_of_another_type_is_named(row: Component, places: dict[str, str]) -> None:
    for info in row.resolve().Config.infos():
        with pytest.raises(ConfigError, match=f"option '{info.name}' of .* cannot be <object object") as error:
            smoothswap.build(row.name, row.kind, **(options_of(row, places) | {info.name: object()}))
        assert info.type in "".join(error.value.facts)


@every("embedder")
def test_embedder_gives_unit_vectors_of_what_it_declares(row: Component, places: dict[str, str]) -> None:
    embedder = tiny(row, places).eval()
    assert isinstance(embedder, Embedder)
    assert isinstance(embedder.expects, FaceInput)
    images = faces(embedder.expects)
    with torch.no_grad():
        z, none = embedder(images), embedder(images[:0])
    assert z.shape == (2, embedder.dim)
    assert none.shape == (0, embedder.dim)
    torch.testing.assert_close(z.norm(dim=1), torch.ones(2))
    side = embedder.expects.size + 8
    with pytest.raises(ArgumentError, match=f"{embedder.expects.size}, {embedder.expects.size}"):
        embedder(torch.zeros(1, 3, side, side))
    with pytest.raises(ArgumentError, match="uint8"):
        embedder(images.to(torch.uint8))


@every("generator")
def test_generator_gives_finite_images_for_crops_and_identities(row: Component, places: dict[str, str]) -> None:
    generator = tiny(row, places).eval()
    assert isinstance(generator, Generator)
    images, identities = tensors(generator, row)
    with torch.no_grad():
        swapped, none = generator(images, identities), generator(images[:0], identities[:0])
    assert swapped.shape == images.shape
    assert swapped.isfinite().all()
    assert none.shape == images[:0].shape
    with pytest.raises(ArgumentError, match=rf"\b{generator.identity_dim}\b"):
        generator(images, torch.zeros(len(images), generator.identity_dim + 1))
    with pytest.raises(ArgumentError, match=rf"\b{generator.image_size}\b"):
        generator(images[..., :-1], identities)


@every("discriminator")
def test_discriminator_gives_one_logit_an_image(row: Component, places: dict[str, str]) -> None:
    discriminator = tiny(row, places).eval()
    assert isinstance(discriminator, Discriminator)
    (images,) = tensors(discriminator, row)
    with torch.no_grad():
        logits = discriminator(images)
    assert logits.shape == (len(images), 1)
    assert logits.isfinite().all()
    with pytest.raises(ArgumentError, match=rf"\b{discriminator.image_size}\b"):
        discriminator(images[..., :-1])


@every("discriminator")
def test_r1_trains_a_discriminator(row: Component, places: dict[str, str]) -> None:
    discriminator = tiny(row, places)
    images = tensors(discriminator, row)[0].requires_grad_()
    smoothswap.build("r1")(discriminator(images), images).backward()
    # An op without a second derivative would leave these at zero.
    for name, parameter in discriminator.named_parameters():
        assert not name.endswith("weight") or parameter.grad.abs().max() > 0, name


@every("injection")
def test_a_generator_learns_through_an_injection(row: Component, places: dict[str, str]) -> None:
    unet = next(other for other in ROWS if other.name == "smooth_unet_64")
    generator = tiny(unet, places, injection=row.name, init_scale=1.0)
    images, identities = tensors(generator, unet)
    inside = [module for module in generator.modules() if type(module) is row.resolve()]
    assert inside
    generator(images, identities.requires_grad_()).square().mean().backward()
    assert identities.grad is not None
    assert identities.grad.abs().max() > 0
    for module in inside:
        for name, parameter in module.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name


def all_have_gradients(tensors: dict[str, torch.Tensor]) -> None:
    """Each of these has a finite gradient that is not zero everywhere."""
    for name, tensor in tensors.items():
        assert tensor.grad is not None, name
        assert tensor.grad.isfinite().all(), name
        assert tensor.grad.abs().max() > 0, name


@every("embedder", "generator", "discriminator", "injection")
def test_gradients_reach_every_parameter_and_input(row: Component, places: dict[str, str]) -> None:
    started = {"init_scale": 1.0} if "init_scale" in {info.name for info in row.resolve().Config.infos()} else {}
    model = tiny(row, places, **started).train()
    inputs = [tensor.requires_grad_() for tensor in tensors(model, row)]
    if is_foreign(model):
        with pytest.raises(ArgumentError, match="gives no gradients"):
            model(*inputs)
        return
    result = model(*inputs)
    (result * torch.randn_like(result)).sum().backward()
    named = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    all_have_gradients({**named, **{f"input {i}": tensor for i, tensor in enumerate(inputs)}})


@every("loss")
def test_loss_is_a_finite_scalar_with_gradients(row: Component, places: dict[str, str]) -> None:
    loss = tiny(row, places)
    leaf = unit(2 * PEOPLE, DIM).requires_grad_()
    value = loss_of(loss, row, leaf)
    assert value.shape == ()
    assert value.isfinite()
    value.backward()
    all_have_gradients({"vectors": leaf, **dict(loss.named_parameters())})


@every("swap_loss")
def test_swap_loss_is_a_finite_scalar_of_what_it_needs(row: Component, places: dict[str, str]) -> None:
    loss = tiny(row, places)
    swapped = (torch.rand(3, 3, 32, 32) * 2 - 1).requires_grad_()
    value = swap_loss_of(loss, swapped)
    assert value.shape == ()
    assert value.isfinite()
    value.backward()
    all_have_gradients({"swapped": swapped})


@every("embedder", "generator", "discriminator", "loss", "swap_loss", "injection")
def test_a_model_survives_its_file(row: Component, places: dict[str, str], tmp_path: Path) -> None:
    model = tiny(row, places).eval()
    again = smoothswap.load(smoothswap.save(model, tmp_path / "model.safetensors"), kind=row.kind)
    assert type(again) is type(model)
    assert again.config == model.config
    assert not again.training

    def run(module: Any) -> Tensor:
        torch.manual_seed(1)
        if row.kind == "loss":
            return loss_of(module, row, unit(2 * PEOPLE, DIM))
        if row.kind == "swap_loss":
            return swap_loss_of(module, torch.rand(3, 3, 32, 32))
        with torch.no_grad():
            return module(*tensors(module, row))  # type: ignore[no-any-return]

    assert torch.equal(run(model), run(again))


@every("dataset")
def test_dataset_gives_images_of_people(row: Component, places: dict[str, str]) -> None:
    dataset = tiny(row, places)
    assert isinstance(dataset, FaceDataset)
    assert dataset.labels.shape == (len(dataset),)
    assert int(dataset.labels.max()) < dataset.people
    first, last = dataset[0], dataset[len(dataset) - 1]
    assert first.keys() == last.keys()
    assert {"image", "person"} <= first.keys()
    truth = {"source", "truth"} & first.keys()
    assert truth in ({"source", "truth"}, set())
    size = dataset.config.image_size
    for item, index in ((first, 0), (last, len(dataset) - 1)):
        assert int(item["person"]) == int(dataset.labels[index])
        for key in ("image", *truth):
            assert item[key].shape == (3, size, size), key
            assert item[key].dtype == torch.uint8, key
            assert item[key].max() > item[key].min(), f"{key} shows nothing"
        for key in {"face", "head"} & item.keys():
            assert item[key].shape == (2, size, size), key
            assert item[key].dtype == torch.uint8, key
    for key in first:
        np.testing.assert_array_equal(first[key], dataset[0][key], err_msg=f"{key} is another the second time")
    with pytest.raises(IndexError):
        dataset[len(dataset)]
    if hasattr(row.resolve(), "knows"):
        known = row.resolve().knows(dataset.config)
        assert ("truth" in known) == bool(truth)
        assert ("masks" in known) == ({"face", "head"} <= first.keys())
        assert ("attributes" in known) == (getattr(dataset, "attributes", None) is not None)


@every("landmarker")
def test_landmarker_finds_the_face_of_a_photograph(row: Component, places: dict[str, str]) -> None:
    landmarker = tiny(row, places)
    from smoothswap.pipeline.face import Landmarker
    from smoothswap.pipeline.picture import Picture

    assert isinstance(landmarker, Landmarker)
    photograph = Picture.read(PHOTOGRAPH).as_uint8()
    height, width = photograph.shape[:2]
    face = landmarker.find(photograph)[0]
    left, top, right, bottom = face.box
    for points, count in ((face.points, 5), (face.landmarks, 68)):
        if points is not None:
            assert points.shape == (count, 2)
            assert (points > [left - 9, top - 9]).all()
            assert (points < [right + 9, bottom + 9]).all()
    assert 0 < face.score <= 1
    assert landmarker.find(np.full((64, 64, 3), 128, np.uint8)) == []
    assert all(isinstance(line, str) and line for line in landmarker.tried(height, width))


@every("marker")
def test_marker_reads_what_it_writes(row: Component, places: dict[str, str]) -> None:
    marker = tiny(row, places)
    from smoothswap.pipeline.mark import Mark

    mark = Mark(generator_file_sha256="ab" * 32)
    packet = marker.packet(mark)
    assert isinstance(packet, bytes)
    assert marker.read(packet) == mark
    assert marker.read(marker.packet(mark, existing=packet)) == mark
    assert marker.read(b"no packet") is None


@pytest.mark.filterwarnings("ignore:.*copying from a non-meta parameter")  # weights that a model brings along
@every("embedder", "generator", "discriminator", "injection")
def test_a_model_is_built_where_the_program_wants_it(row: Component, places: dict[str, str]) -> None:
    with torch.device("meta"):  # it stands for a GPU
        model = tiny(row, places).eval()
        if is_foreign(model):
            return
        result = model(*tensors(model, row))
    named = {**dict(model.named_parameters()), **dict(model.named_buffers()), "output": result}
    assert [name for name, tensor in named.items() if tensor.device.type != "meta"] == []


_BUILD_EACH = """
import json, sys
sys.modules.update(dict.fromkeys(json.loads(sys.argv[1])))
import smoothswap
from smoothswap.core.errors import SmoothSwapError
for name, kind, options in json.loads(sys.argv[2]):
    try:
        smoothswap.build(name, kind, **options)
        said = None
    except SmoothSwapError as error:
        said = error.hint
    print(json.dumps([kind, name, said]))
"""


def test_rows_say_which_extras_they_need_and_others_need_none(places: dict[str, str]) -> None:
    hidden = sorted({package for packages in EXTRAS.values() for package in packages})
    asked = [(row.name, row.kind, options_of(row, places)) for row in ROWS]
    command = [sys.executable, "-c", _BUILD_EACH, json.dumps(hidden), json.dumps(asked)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = {(kind, name): hint for kind, name, hint in map(json.loads, done.stdout.splitlines())}
    for row in ROWS:
        hint = said[row.kind, row.name]
        if row.needs:
            assert hint is not None, f"{row.name} was built without {row.needs}"
            assert promised(row, hint), f"{row.name} needs {row.needs}, and says {hint!r}"
        else:
            assert hint is None, f"{row.name} needs what its row does not say: {hint}"
