"""From two photographs to one: find the faces, crop, swap, paste back, mark.

B: faces in a batch, S: side of the generator's crops, D: length of the identity vector.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np

from smoothswap.core.errors import ArgumentError, InputError, NoFaceError, PluginError, WorkError
from smoothswap.core.face_crop import declared_face_crop
from smoothswap.core.scalars import takes_numpy_scalars
from smoothswap.pipeline.embedding import declared_input
from smoothswap.pipeline.encode import check_output
from smoothswap.pipeline.face import Face, Landmarker, build_landmarker
from smoothswap.pipeline.face_template import crop_square, cut_face
from smoothswap.pipeline.ffhq import Crop, crop
from smoothswap.pipeline.mark import Mark, Marker, build_marker
from smoothswap.pipeline.paste import FEATHER, match_colour, paste
from smoothswap.pipeline.picture import MAX_MEGAPIXELS, Picture
from smoothswap.pipeline.xmp import LARGEST

if TYPE_CHECKING:
    from torch import Tensor, nn

STOP_SIMILARITY = 1.0
_LOSSY = 4 / 255


@dataclass(frozen=True, eq=False, kw_only=True)
class SwapResult:
    """What `swap_pictures` made.

    Args:
        picture: the target with the swapped faces.
        faces: all faces of the target, the largest first.
        swapped: indices of those that were swapped.
        source_face: the face of the source; None where the source was an aligned crop.
    """

    picture: Picture
    faces: tuple[Face, ...]
    swapped: tuple[int, ...]
    source_face: Face | None


@dataclass(frozen=True, eq=False, kw_only=True)
class SwapOutcome:
    """What `swap_file` wrote.

    Args:
        out: the file.
        result: faces and pixels.
        mark: what was written into the file's metadata, None where nothing was.
        remark: what there is to say about the model, such as that it was not trained for photographs.
    """

    out: Path
    result: SwapResult
    mark: Mark | None
    remark: str = ""

    def __str__(self) -> str:
        result = self.result
        lines = [f"{self.out}: swapped {len(result.swapped)} of {len(result.faces)} faces"]
        for index, face in enumerate(result.faces):
            lines.append(f"  face {index}: {face}{'' if index in result.swapped else ', left as it was'}")
        lines.append("marked as changed by a model" if self.mark else "not marked as changed by a model")
        return "\n".join([*lines, self.remark] if self.remark else lines)


@takes_numpy_scalars
def swap_pictures(
    source: Picture,
    target: Picture,
    *,
    generator: nn.Module,
    embedder: nn.Module,
    face: int | Literal["all"] = "all",
    source_face: int = 0,
    landmarker: str | Landmarker = "yunet",
    aligned_source: bool = False,
    colour_transfer: bool = False,
    keep_detail: bool = True,
    feather: float = FEATHER,
    refine: int | None = None,
    stop_similarity: float = STOP_SIMILARITY,
    batch_size: int = 8,
) -> SwapResult:
    """Put the person of `source` into `target`. The pixels outside the pasted boxes stay as they are.

    A face without colour stays without, also in a grey photograph that is stored as RGB; one toned in a single colour
    (sepia) keeps its tone with `colour_transfer` only.

    Args:
        source: picture of the person.
        target: picture whose expression, pose and background stay.
        generator: takes crops [B, 3, S, S] in [-1, 1], of the part of a face that it declares (see
            `smoothswap.core.face_crop`), and identities [B, D]; runs where its weights are.
        embedder: gives the identity of the source.
        face: which face of the target, 0 for the largest, or `"all"`.
        source_face: which face of the source, 0 for the largest.
        landmarker: component that finds the faces, or its name.
        aligned_source: the source is an FFHQ crop already; no face is looked for in it.
        colour_transfer: give each swapped face the mean and spread of the old face's colours.
        keep_detail: where the generator changed little, keep what is finer than its crops can show (background, hair,
            clothes), instead of replacing the whole box by an enlarged crop.
        feather: width of the pasted box's soft edge, as a share of its side, 0 to 0.5.
        refine: steps by which each face's identity vector is led to where the swap is more like the source, by the
            embedder; 0 takes the source's as it is. A step costs about three passes of both models. Left out: 8, or
            none where the generator's crop does not hold what the embedder looks at.
        stop_similarity: cosine of swap and source from which on a face is left as it is; two photographs of one person
            are only so alike.
        batch_size: faces that the generator works on at once.

    Raises:
        NoFaceError: no face in one of the pictures.
        InputError: a face index out of range, an aligned source that is not square, a wrong `feather` or `refine`.
        ArgumentError: generator and embedder do not belong together, one gives another shape than it should, or an
            embedder to refine by gives no gradients.
        WorkError: the generator gave NaN or infinite values.
    """
    if not 0 <= feather <= 0.5:
        raise InputError(f"feather cannot be {feather:g}", hint="give a share of the box from 0 to 0.5")
    if refine is not None and refine < 0:
        raise InputError(f"refine cannot be {refine}", hint="give a number of steps, 0 for none")
    if batch_size < 1:
        raise InputError(f"batch_size cannot be {batch_size}", hint="give 1 or more")
    _check_models(generator, embedder)
    finder = build_landmarker(landmarker)
    person = None if aligned_source else _choose(_find(source, finder, "source"), source_face, source)[0]
    faces = _find(target, finder, "target")
    chosen = faces if face == "all" else _choose(faces, face, target)

    with _evaluating(generator, embedder):
        identity = _identity(source, person, embedder)
        squares = [crop_square(one, declared_face_crop(generator)) for one in chosen]
        size = int(generator.image_size)  # type: ignore[arg-type]
        steps = _default_steps(generator, embedder) if refine is None else refine
        old: list[Crop] = []
        new: list[Crop] = []
        for start in range(0, len(squares), batch_size):
            batch = [crop(target.pixels, square, size) for square in squares[start : start + batch_size]]
            swapped = _generate(generator, embedder, batch, identity, steps, stop_similarity)
            new += [match_colour(*pair) for pair in zip(swapped, batch, strict=True)] if colour_transfer else swapped
            old += batch
    new = [_grey(one) if target.grey or _colourless(was) else one for one, was in zip(new, old, strict=True)]
    pixels = paste(target.pixels, new, squares, feather=feather, originals=old if keep_detail else None)
    return SwapResult(
        picture=target.with_pixels(pixels),
        faces=tuple(faces),
        swapped=tuple(range(len(faces))) if face == "all" else (face,),
        source_face=person,
    )


@takes_numpy_scalars
def swap_file(
    source: Path | str,
    target: Path | str,
    out: Path | str,
    *,
    generator: nn.Module,
    embedder: nn.Module,
    face: int | Literal["all"] = "all",
    source_face: int = 0,
    landmarker: str | Landmarker = "yunet",
    aligned_source: bool = False,
    colour_transfer: bool = False,
    keep_detail: bool = True,
    feather: float = FEATHER,
    refine: int | None = None,
    stop_similarity: float = STOP_SIMILARITY,
    batch_size: int = 8,
    overwrite: bool = False,
    quality: int = 95,
    mark: bool = True,
    marker: str | Marker = "iptc",
    generator_file_sha256: str | None = None,
    max_megapixels: float = MAX_MEGAPIXELS,
) -> SwapOutcome:
    """`swap_pictures` from file to file: `out` is written whole or not at all, and says what it is.

    Args:
        source: picture of the person.
        target: picture whose expression, pose and background stay; its size, alpha, colour profile and EXIF as well.
        out: picture to write: .png, .jpg, .webp or .tif.
        generator: see `swap_pictures`, as for the arguments up to `batch_size`.
        embedder: as above.
        face: as above.
        source_face: as above.
        landmarker: as above.
        aligned_source: as above.
        colour_transfer: as above.
        keep_detail: as above.
        feather: as above.
        refine: as above.
        stop_similarity: as above.
        batch_size: as above.
        overwrite: replace `out` where it exists.
        quality: 1 to 100, for JPEG and WebP.
        mark: write into the picture's metadata what it is.
        marker: component that writes it, or its name.
        generator_file_sha256: SHA-256 of the bytes of the generator's file, for the mark.
        max_megapixels: larger pictures are refused before they are decoded.

    Raises:
        InputError: a picture that cannot be read, or an `out` that cannot be written to; and those of `swap_pictures`.
        UnknownNameError: no such marker.
        PluginError: a marker of a plugin that cannot be imported, or gives no packet that a picture can hold.
        WorkError: writing failed, for instance on a full disk.
    """
    out = check_output(out, overwrite=overwrite)  # before the work, not after it
    writer = build_marker(marker)
    result = swap_pictures(
        Picture.read(source, max_megapixels=max_megapixels),
        Picture.read(target, max_megapixels=max_megapixels),
        generator=generator,
        embedder=embedder,
        face=face,
        source_face=source_face,
        landmarker=landmarker,
        aligned_source=aligned_source,
        colour_transfer=colour_transfer,
        keep_detail=keep_detail,
        feather=feather,
        refine=refine,
        stop_similarity=stop_similarity,
        batch_size=batch_size,
    )
    said = Mark(generator_file_sha256=generator_file_sha256) if mark else None
    xmp = None if said is None else _packet(writer, said, result.picture.xmp)
    result.picture.write(out, overwrite=overwrite, quality=quality, xmp=xmp)
    return SwapOutcome(out=out, result=result, mark=said)


def _packet(marker: Marker, mark: Mark, existing: bytes | None) -> bytes:
    packet: object = marker.packet(mark, existing)
    if isinstance(packet, bytes) and len(packet) < LARGEST:
        return packet
    gave = f"{len(packet):,} bytes" if isinstance(packet, bytes) else f"a value of type {type(packet).__name__}"
    raise PluginError(
        f"the marker {type(marker).__name__} gave no XMP packet that a picture can hold",
        f"its method packet gave {gave}",
        hint=f"let it return fewer than {LARGEST:,} bytes, or take --marker iptc",
    )


def _find(picture: Picture, finder: Landmarker, role: str) -> list[Face]:
    faces = finder.find(picture.as_uint8())
    if not faces:
        raise NoFaceError(
            f"no face in the {role} {picture.name!r}",
            f"{picture.width} × {picture.height} pixels",
            *finder.tried(picture.height, picture.width),
            hint="choose a picture that shows a whole face, not much smaller than 20 pixels",
        )
    return faces


def _choose(faces: Sequence[Face], index: int, picture: Picture) -> list[Face]:
    if not 0 <= index < len(faces):
        raise InputError(
            f"{picture.name!r} has no face {index}",
            *(f"face {place}: {face}" for place, face in enumerate(faces)),
            hint="give the number of one of these; 0 is the largest",
        )
    return [faces[index]]


def _check_models(generator: nn.Module, embedder: nn.Module) -> None:
    takes, gives = generator.identity_dim, embedder.dim
    if takes != gives:
        raise ArgumentError(
            f"the generator takes identities of {takes} numbers, the embedder gives {gives}",
            hint="use the embedder that the generator was trained with",
        )


def _default_steps(generator: nn.Module, embedder: nn.Module) -> int:
    from smoothswap.pipeline.refine import default_steps

    return default_steps(generator, embedder)


@contextlib.contextmanager
def _evaluating(*modules: nn.Module) -> Iterator[None]:
    """Without gradients and in evaluation mode; the modules' own modes come back at the end."""
    import torch

    modes = [module.training for module in modules]
    try:
        with torch.no_grad():  # not inference_mode, whose tensors can take no gradient later
            for module in modules:
                module.eval()
            yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.train(mode)


def _identity(source: Picture, person: Face | None, embedder: nn.Module) -> Tensor:
    """The identity [1, D] of a face, or of a whole picture that is an FFHQ crop."""
    from smoothswap.modules.face_input import face_values, to_face_input
    from smoothswap.modules.outputs import check_vectors

    expects = declared_input(embedder)
    if person is not None:
        face = cut_face(source.pixels, person, expects)
        faces = _to_tensor([face], embedder)
        return check_vectors(embedder(face_values(faces, expects)), faces, embedder)
    if source.width != source.height:
        raise InputError(
            f"{source.name!r} is no aligned crop: {source.width} × {source.height} pixels",
            hint="give a square FFHQ crop, or let the face be found (aligned_source=False)",
        )
    face = source.pixels.astype(np.float32) / np.float32(np.iinfo(source.pixels.dtype).max)
    faces = _to_tensor([face], embedder)
    return check_vectors(embedder(to_face_input(faces, expects)), faces, embedder)


def _generate(
    generator: nn.Module,
    embedder: nn.Module,
    crops: Sequence[Crop],
    identity: Tensor,
    steps: int,
    stop_similarity: float,
) -> list[Crop]:
    import torch

    from smoothswap.pipeline.refine import refined_swap

    images = _to_tensor(crops, generator)
    vectors = identity.to(images).expand(len(images), -1)
    swapped = refined_swap(generator, embedder, images, vectors, steps=steps, stop_similarity=stop_similarity)
    if not bool(torch.isfinite(swapped).all()):
        raise WorkError("the generator gave NaN or infinite values", hint="the weights are damaged; train again")
    pixels = ((swapped.float() + 1) / 2).clamp(0, 1).permute(0, 2, 3, 1)
    return [np.ascontiguousarray(one) for one in pixels.cpu().numpy()]


def _colourless(face: Crop) -> bool:
    """Whether no pixel's channels differ by more than a lossy format makes of equal ones."""
    return float((face.max(axis=2) - face.min(axis=2)).max()) <= _LOSSY


def _grey(face: Crop) -> Crop:
    grey: Crop = np.repeat(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)[:, :, None], 3, axis=2)
    return grey


def _to_tensor(crops: Sequence[Crop], module: nn.Module) -> Tensor:
    """Crops [S, S, 3] in [0, 1] as a tensor [B, 3, S, S] in [-1, 1], where and as the module's weights are."""
    import torch

    like = next(module.parameters(), torch.empty(0, dtype=torch.float32))
    images = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).contiguous()
    return (images * 2 - 1).to(like)
