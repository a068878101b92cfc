"""Photographs with another person's face pasted in: pairs whose true swap is the photograph itself."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from smoothswap.core.config import option
from smoothswap.core.errors import InputError
from smoothswap.core.face_crop import CropOptions
from smoothswap.core.files import as_path
from smoothswap.data.crop_points import MANIFEST, Points, crop_points
from smoothswap.data.face_paste import Shape, Tone, bend, laid_over, mirrored, mouth_of, oval, pose_of, recoloured
from smoothswap.data.identity_folder import IdentityFolder
from smoothswap.data.image_folder import ImageFolder
from smoothswap.data.layout import folder_layout
from smoothswap.modules.face_input import crop_window

_log = logging.getLogger(__name__)
_POOL = 512  # pictures drawn by chance, of which those of the nearest pose are looked at


class _Face(NamedTuple):
    """A photograph that was read: its number, its picture [3, finer·S, finer·S] in [0, 1], the points of its face."""

    photograph: int
    picture: Tensor
    points: Points

    def mirrored(self) -> _Face:
        return _Face(self.photograph, self.picture.flip(2), mirrored(self.points))

    def reshaped(self, shape: Shape | None) -> _Face:
        return self if shape is None else _Face(self.photograph, *shape(self.picture, self.points))


class PastedFaces(torch.utils.data.Dataset[dict[str, Any]]):
    """Targets made from photographs: of each the head is bent a little and a similar face of someone else pasted in.

    So there are photographs whose true swap is known: who has to be put in is the one who was there, and the answer is
    the untouched photograph. The pasted face is that of a person in nearly the same pose (by the five points that
    `smoothswap align` notes) and with nearly the same mouth, in the colours of the one that it covers.

    A folder with images directly in it shows a different person in each of them; else every sub-folder is a person,
    and the source is another of their images, or the same mirrored where there is none.

    Attributes:
        labels: int64 [N·variants], the person in each truth.
        people: number of people.

    Raises:
        InputError: the folder is missing, was not written by `smoothswap align`, or has too few people in this split.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(CropOptions):
        """Options of `pasted_faces`."""

        folder: str = option(help="folder that `smoothswap align` wrote")
        image_size: int = option(256, "side of the pictures, pixels", at_least=8)
        split: Literal["train", "held_out", "all"] = option("train", "which part of the people")
        held_out: float = option(0.1, "part of the people that is held out", at_least=0, below=1)
        mirror: bool = option(False, "mirror half of the photographs and half of the faces")
        variants: int = option(16, "targets made from each photograph", at_least=1)
        candidates: int = option(4, "faces of a similar pose, of which the one with the nearest mouth is", at_least=1)
        bending: float = option(0.06, "standard deviation of a head's change of size", at_least=0, at_most=0.3)
        jitter: float = option(0.03, "that of the pasted face's scale and place", at_least=0, at_most=0.3)
        reshaping: float = option(
            0.0,
            "standard deviation of the shift of parts of a face, distances between the eyes, that makes another person "
            "of truth and source: more people than there are photographs of",
            at_least=0,
            at_most=0.3,
        )
        tone: float = option(0.0, "standard deviation of log gamma, of target and truth alike", at_least=0, at_most=1)
        finer: int = option(2, "side of the pictures that are worked on, in sides of the result", at_least=1, at_most=4)
        seed: int = option(0, "of everything that is left to chance", at_least=0)
        index: str | None = option("auto", "file that remembers what the folder holds; auto: in the cache; none: none")

    @classmethod
    def knows(cls, config: Config) -> set[str]:
        """What there is beside pictures, see `FaceDataset`."""
        return {"truth"}

    def __init__(self, config: Config) -> None:
        self.config = config
        self.pictures = _pictures(config)
        known = crop_points(as_path(config.folder, "the folder"))
        noted = [(i, known[name]) for i, name in enumerate(self.pictures.files) if name in known]
        if missing := len(self.pictures) - len(noted):
            _log.warning("%s of %s pictures are left out: no points are noted", missing, len(self.pictures))
        usable = np.array([i for i, _ in noted], dtype=np.int64)
        self._person = self.pictures.labels.numpy()[usable]
        if len(np.unique(self._person)) < 2:
            raise InputError(
                f"the folder {config.folder!r} has too few people whose five points are noted",
                f"pictures: {len(self.pictures)}, of them with points in {MANIFEST}: {len(noted)}",
                hint="let `smoothswap align FOLDER OUT` crop the photographs, and name OUT",
            )
        left, top, right, bottom = crop_window(config.face_crop)
        points = np.stack([own for _, own in noted])
        self._points = (points - [left, top]) / [right - left, bottom - top]  # [N, 5, 2] in the crop
        self._poses = pose_of(self._points)
        self._picture = usable
        self._photograph = {int(picture): i for i, picture in enumerate(usable)}
        self.labels: Tensor = torch.from_numpy(np.repeat(self._person, config.variants))
        self.people = self.pictures.people

    @property
    def broken(self) -> list[Any]:
        """The files that could not be read so far."""
        return self.pictures.broken

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Pair `index`, 0 … len − 1; always the same one.

        Returns:
            `image`, `source`, `truth`: uint8 [3, S, S] RGB; `person` and `source_person`, who is in the truth.

        Raises:
            IndexError: no such pair.
            InputError: no picture can be read.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"pair {index} of {len(self)}")
        chance = np.random.default_rng([self.config.seed, index])
        photograph = self._face(index // self.config.variants, self._flips(chance))
        shape = Shape.draw(chance, self.config.reshaping) if self.config.reshaping else None
        own = photograph.reshaped(shape)
        target, points = bend(own.picture, own.points, chance, self.config.bending)
        face = self._other_face(own.photograph, target, points, chance)
        cover = oval(target.shape[-1], points, chance)
        face = recoloured(face, target, cover, chance.uniform(0.6, 1.0))
        source = self._source(photograph, chance).reshaped(shape)
        person = int(self._person[own.photograph])
        light = Tone.draw(chance, self.config.tone)
        return {
            "image": self._reduced(light(torch.lerp(target, face, cover))),
            "source": self._reduced(source.picture),
            "truth": self._reduced(light(own.picture)),
            "person": person,
            "source_person": person,
        }

    def _flips(self, chance: np.random.Generator) -> bool:
        return self.config.mirror and chance.random() < 0.5

    def _face(self, photograph: int, flip: bool) -> _Face:
        """A photograph, or what stands in where its file is broken: with points and person of its own."""
        for step in range(len(self._person)):
            picture, image = self.pictures.readable(int(self._picture[(photograph + step) % len(self._person)]))
            if picture in self._photograph:
                break  # else it stands in for a broken file, and it is not known where its face is
        else:
            raise InputError(f"none of the pictures in {self.config.folder!r} whose points are noted can be read")
        photograph = self._photograph[picture]
        face = _Face(photograph, image.float() / 255, self._points[photograph])
        return face.mirrored() if flip else face

    def _other_face(self, photograph: int, target: Tensor, points: Points, chance: np.random.Generator) -> Tensor:
        """Someone else in nearly that pose and with nearly that mouth, laid over the target."""
        person = self._person[photograph]
        pool = np.unique(chance.integers(0, len(self._person), _POOL))
        pool = pool[self._person[pool] != person]
        if not len(pool):
            pool = np.flatnonzero(self._person != person)
        poses = [pose_of(points)] + ([pose_of(mirrored(points))] if self.config.mirror else [])
        far = np.stack([np.square(self._poses[pool] - pose).sum(1) for pose in poses])  # [1 or 2, pool]
        nearest = np.argsort(far.min(0), kind="stable")[: self.config.candidates]
        faces = [self._face(int(pool[place]), flip=bool(far[:, place].argmin())) for place in nearest]
        mouth = mouth_of(target, points)
        # Broken files may have been stood in for by the very person who is to be covered.
        faces = [face for face in faces if self._person[face.photograph] != person] or faces
        best = min(faces, key=lambda face: float((mouth_of(face.picture, face.points) - mouth).square().mean()))
        return laid_over(best.picture, best.points, points, chance, self.config.jitter)

    def _reduced(self, picture: Tensor) -> Tensor:
        return (F.avg_pool2d(picture, self.config.finer).clamp(0, 1) * 255).round().to(torch.uint8)

    def _source(self, truth: _Face, chance: np.random.Generator) -> _Face:
        others = np.flatnonzero(self._person == self._person[truth.photograph])
        others = others[others != truth.photograph]
        if not len(others):
            return truth.mirrored()
        face = self._face(int(chance.choice(others)), self._flips(chance))
        own = face.photograph != truth.photograph and self._person[face.photograph] == self._person[truth.photograph]
        return face if own else truth.mirrored()


def _pictures(config: PastedFaces.Config) -> IdentityFolder | ImageFolder:
    root = as_path(config.folder, "the folder")
    options: dict[str, Any] = {
        "folder": config.folder,
        "image_size": config.finer * config.image_size,
        "split": config.split,
        "held_out": config.held_out,
        "index": config.index,
        "crop_template": config.crop_template,
        "crop_scale": config.crop_scale,
    }
    if folder_layout(root) == "image_folder":
        return ImageFolder(ImageFolder.Config(**options))
    return IdentityFolder(IdentityFolder.Config(**options, min_images=1))
