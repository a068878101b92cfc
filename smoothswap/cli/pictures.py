"""`swap`, `inspect` and `embed`: from picture files to picture, text and vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from smoothswap.cli.progress import bar
from smoothswap.core.errors import InputError


def add_to(app: typer.Typer) -> None:
    """Register the commands of this file."""
    app.command("swap")(swap)
    app.command("inspect")(inspect)
    app.command("embed")(embed)


def swap(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="Picture of the person to put in.")],
    target: Annotated[
        Path, typer.Argument(metavar="TARGET", help="Picture whose expression, pose and background stay.")
    ],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="Picture to write: .png, .jpg, .webp or .tif.", show_default=False),
    ],
    face: Annotated[
        str,
        typer.Option(help="Which face of TARGET: 0 for the largest, 1 for the next, … or `all`.", metavar="N|all"),
    ] = "all",
    source_face: Annotated[int, typer.Option(min=0, help="Which face of SOURCE: 0 for the largest.")] = 0,
    model: Annotated[
        Path | None,
        typer.Option(
            help="Folder with generator.safetensors and embedder.safetensors, as `train swapper` writes it. "
            "Left out: the model that ships, trained on rendered faces of 64 px.",
            show_default=False,
        ),
    ] = None,
    landmarker: Annotated[
        str, typer.Option(help="How faces are found: `yunet` or `dlib68`; see `smoothswap list --kind landmarker`.")
    ] = "yunet",
    device: Annotated[str, typer.Option(help="Where the models run: cpu, cuda, cuda:1, mps.")] = "cpu",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT where it exists.")] = False,
    mark: Annotated[
        bool,
        typer.Option(
            "--mark/--no-mark",
            help="Write into the picture's metadata that a model changed it, with tool, version and the weights' hash.",
        ),
    ] = True,
) -> None:
    """Put the person of SOURCE into the picture TARGET.

    Faces are found, cropped as FFHQ crops them, swapped, and pasted back with a soft edge; nothing outside the
    pasted boxes changes. The result keeps TARGET's size. Nothing is sent anywhere.
    """
    from smoothswap import api

    outcome = api.swap(
        source,
        target,
        out,
        model=model,
        face=_face(face),
        source_face=source_face,
        landmarker=landmarker,
        overwrite=overwrite,
        mark=mark,
        device=device,
    )
    typer.echo(outcome)


def inspect(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A picture: PNG, JPEG, WebP or TIFF.")],
) -> None:
    """Tell what a picture is and what its metadata says about its making.

    Reads back the mark that `swap` writes: the IPTC digital source type, tool, version and the weights' hash.
    A picture without a mark may still have been changed; metadata is easily removed.
    """
    from smoothswap.pipeline import inspect_file

    typer.echo(inspect_file(file))


def embed(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Pictures at any depth; the first sub-folder is the person.")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="File to write, .npz; replaced where it exists.", show_default=False)
    ],
    embedder: Annotated[
        Path | None,
        typer.Option(
            help="An embedder's file, as `train embedder` writes it. Left out: the one that ships, trained on rendered "
            "faces of 64 px.",
            show_default=False,
        ),
    ] = None,
    align: Annotated[
        bool,
        typer.Option(
            "--align",
            help="Find the largest face of each picture and crop it. Left out: pictures are FFHQ crops already.",
        ),
    ] = False,
    landmarker: Annotated[
        str, typer.Option(help="How --align finds faces: `yunet` or `dlib68`; see `smoothswap list --kind landmarker`.")
    ] = "yunet",
    batch: Annotated[int, typer.Option(min=1, help="Pictures that go through the embedder together.")] = 64,
    workers: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Processes that read pictures; 0: none. Left out: one for each core, at most 8.",
            show_default=False,
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="Where the embedder runs: cpu, cuda, cuda:1, mps.")] = "cpu",
) -> None:
    """Write the identity vectors of a folder of faces to one file.

    The file holds `vectors` (float32, one row of unit length for each picture), `paths`, `people` and `embedder` (name,
    sha256 of the weights, crop, as JSON); numpy.load opens it. Pictures that cannot be read, and with --align those
    without a face, are left out, counted here and listed in the file under `skipped` and `reasons`.
    """
    from smoothswap import api

    with bar("embedding") as progress:
        report = api.embed(
            folder,
            out,
            embedder=embedder,
            align=align,
            landmarker=landmarker,
            batch=batch,
            workers=workers,
            device=device,
            progress=progress,
        )
    typer.echo(report)


def _face(text: str) -> int | Literal["all"]:
    if text == "all":
        return "all"
    if text.isdecimal():
        return int(text)
    raise InputError(f"--face cannot be {text!r}", hint="give `all`, or a number from 0 (the largest face) up")
