"""FaceWorld as files: one folder a person, PNG pictures, the factors beside them."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor

from smoothswap.core.errors import InputError, WorkError
from smoothswap.core.extras import require
from smoothswap.core.files import as_path, from_json, output_folder, write_aside
from smoothswap.core.progress import counting
from smoothswap.core.scalars import takes_numpy_scalars
from smoothswap.data.faceworld.dataset import FaceWorld, to_bytes
from smoothswap.data.faceworld.factors import NAMES, Factors
from smoothswap.data.faceworld.renderer import render

FACTS = "faceworld.json"


@takes_numpy_scalars
def write_folder(
    out: Path | str,
    people: int = 64,
    images_per_person: int = 8,
    size: int = 64,
    seed: int = 0,
    split: str = "train",
    *,
    people_per_group: int = 8,
    supersample: int = 2,
    masks: bool = False,
) -> int:
    """Writes `person_00012/0003.png` and `person_00012/factors.json` for every person; what is there already stays.

    Stopped half way, the same call goes on where it stopped: every file is written aside and renamed, and a person is
    done when their `factors.json` is there.

    Args:
        out: folder, made if missing.
        people: how many; the last group may be smaller.
        images_per_person: pictures of each.
        size: side of the pictures, pixels.
        seed: of the world.
        split: "train", "held_out_people" or "held_out_groups".
        people_per_group: people with the same colouring and hair.
        supersample: rays along each side of a pixel.
        masks: also write `0003_face.png` and `0003_head.png`, grey, into `person_00012/masks/`.

    Returns:
        How many people were written by this call.

    Raises:
        MissingExtraError: Pillow is not installed.
        ConfigError: a count or size that cannot be.
        InputError: the folder holds a FaceWorld of other options, or something else is in the way.
        WorkError: the disk is full or may not be written.
    """
    require("photos", "PIL")
    config = FaceWorld.Config(
        image_size=size,
        supersample=supersample,
        split=split,
        groups=-(-people // max(people_per_group, 1)),
        people_per_group=people_per_group,
        images_per_person=images_per_person,
        seed=seed,
    )
    world = FaceWorld(config)
    folder = as_path(out, "the folder to write")
    facts = {
        "people": people,
        "images_per_person": images_per_person,
        "size": size,
        "seed": seed,
        "split": split,
        "people_per_group": people_per_group,
        "supersample": supersample,
        "masks": masks,
        "factors": {name: list(names) for name, names in NAMES.items()},
    }
    _claim(folder, facts)
    homes = [folder / f"person_{person:05d}" for person in range(people)]
    missing = [person for person, home in enumerate(homes) if not (home / "factors.json").is_file()]
    with counting("rendering", len(missing) * images_per_person) as count:
        for person in missing:
            first = person * images_per_person
            factors = world.factors(range(first, first + images_per_person))
            _write_person(homes[person], factors, size, supersample, masks, int(world.groups[person]))
            count.advance(images_per_person)
    return len(missing)


def _claim(folder: Path, facts: dict[str, object]) -> None:
    """Makes the folder and its description, or checks that the description there is the same."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{str(folder)!r} is a file, not a folder", hint="Choose another folder.")
    output_folder(folder, FACTS)
    path = folder / FACTS
    if path.is_file():
        try:
            there = from_json(path.read_text())
        except ValueError:
            there = None
        if there != facts:
            raise InputError(
                f"{str(folder)!r} holds a FaceWorld of other options",
                f"they are in {path.name}",
                hint="Choose another folder, or give the options it was written with.",
            )
        return
    with write_aside(path) as aside:
        aside.write_text(json.dumps(facts, indent=1))


def _write_person(home: Path, factors: Factors, size: int, supersample: int, masks: bool, group: int) -> None:
    drawn = render(factors, size, supersample)
    try:
        (home / "masks" if masks else home).mkdir(parents=True, exist_ok=True)
    except OSError as cause:
        raise WorkError(f"could not make the folder {str(home)!r}", str(cause)) from cause
    for number, image in enumerate(to_bytes(drawn.image)):
        _save(home / f"{number:04d}.png", image)
        if masks:
            for name, mask in (("face", drawn.face), ("head", drawn.head)):
                _save(home / "masks" / f"{number:04d}_{name}.png", (mask[number] * 255).round().to(torch.uint8))
    values = {name: getattr(factors, name).tolist() for name in NAMES}
    record = {"group": group, "identity": values.pop("identity")[0], **values, "landmarks": drawn.landmarks.tolist()}
    with write_aside(home / "factors.json") as aside:
        aside.write_text(json.dumps(record))


def _save(path: Path, image: Tensor) -> None:
    """A PNG from uint8 [3, S, S] or [1, S, S]."""
    from PIL import Image

    pixels = image.permute(1, 2, 0).numpy()
    with write_aside(path) as aside:
        Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[..., 0]).save(aside)
