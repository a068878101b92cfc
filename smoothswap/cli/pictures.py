"""`swap` and `inspect`: from picture file to picture file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from smoothswap.core.errors import InputError


def add_to(app: typer.Typer) -> None:
    """Register the commands of this file."""
    app.command("swap")(swap)
    app.command("inspect")(inspect)


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


def _face(text: str) -> int | Literal["all"]:
    if text == "all":
        return "all"
    if text.isdecimal():
        return int(text)
    raise InputError(f"--face cannot be {text!r}", hint="give `all`, or a number from 0 (the largest face) up")
