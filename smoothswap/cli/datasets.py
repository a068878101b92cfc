"""`align` and `faceworld`: folders of faces to train on, from photographs or rendered."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from smoothswap.cli.progress import bar


def add_to(app: typer.Typer) -> None:
    """Register the commands of this file."""
    app.command("align")(align)
    app.command("faceworld")(faceworld)


def align(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Photographs, in any depth; sub-folders (people) stay.")
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the crops; made if missing.")],
    size: Annotated[int, typer.Option(min=8, max=8192, help="Side of the crops, pixels.")] = 256,
    face: Annotated[
        Literal["largest", "middle", "all"],
        typer.Option(help="One crop of each photograph, of its largest or its middle face, or one of each face."),
    ] = "largest",
    suffix: Annotated[Literal["png", "jpg"], typer.Option("--format", help="Format of the crops.")] = "png",
    min_side: Annotated[
        float,
        typer.Option(min=0, help="Leave out faces whose crop covers fewer pixels a side in the photograph than this."),
    ] = 0,
    landmarker: Annotated[
        str, typer.Option(help="How faces are found: `yunet` or `dlib68`; see `smoothswap list --kind landmarker`.")
    ] = "yunet",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes. Left out: one for each core.", show_default=False)
    ] = None,
) -> None:
    """Prepare a data set: crop the faces of a folder of photographs the FFHQ way.

    Run again after a stop, it does only what is missing. Photographs without a crop are counted with the reason, and
    all of them are listed in OUT/report.json.
    """
    from smoothswap.pipeline import align_folder

    with bar("aligning") as progress:
        report = align_folder(
            folder,
            out,
            size=size,
            workers=workers,
            face=face,
            suffix=suffix,
            landmarker=landmarker,
            min_side=min_side,
            progress=progress,
        )
    typer.echo(report)


def faceworld(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write; made if missing.")],
    people: Annotated[int, typer.Option(min=1, help="How many people.")] = 64,
    images_per_person: Annotated[int, typer.Option(min=1, help="Pictures of each of them.")] = 8,
    size: Annotated[int, typer.Option(min=8, max=8192, help="Side of the pictures, pixels.")] = 64,
    split: Annotated[
        Literal["train", "held_out_people", "held_out_groups"],
        typer.Option(help="Which people: those to train on, others of the same colouring, or of other colouring."),
    ] = "train",
    people_per_group: Annotated[
        int, typer.Option(min=1, help="People with the same colouring and hair, whom only their shape tells apart.")
    ] = 8,
    supersample: Annotated[int, typer.Option(min=1, max=8, help="Rays along each side of a pixel.")] = 2,
    masks: Annotated[bool, typer.Option("--masks", help="Also write masks of the face and the head.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the whole world; the same seed draws the same people.")] = 0,
) -> None:
    """Write a data set of rendered people: one folder a person, with PNG pictures and the factors that drew them.

    Training reads FaceWorld without this; the folder is for other programs, or to look at. Run again after a stop,
    it goes on where it was.
    """
    from smoothswap.data.faceworld import write_folder

    written = write_folder(
        out,
        people,
        images_per_person,
        size,
        seed,
        split,
        people_per_group=people_per_group,
        supersample=supersample,
        masks=masks,
    )
    typer.echo(f"{out}: {written} people written, {people - written} were there before")
