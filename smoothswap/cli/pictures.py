"""`swap`, `inspect`, `embed`, `verify` and `evaluate`: from image files to image, text, vectors and figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from smoothswap.cli.progress import bar
from smoothswap.core.errors import InputError

KeepDetail = Annotated[
    bool,
    typer.Option(
        "--keep-detail/--no-keep-detail",
        help="Where the generator changed little, keep detail too fine for its crops, such as background and hair.",
    ),
]
Refine = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="Steps by which each face's identity is led to where the swap is more like the source; 0 for none. Each "
        "takes about as long as three swaps. Left out: 8, or none where the model's embedder needs more of the picture "
        "than its generator draws.",
        show_default=False,
    ),
]
StopSimilarity = Annotated[
    float,
    typer.Option(
        help="Likeness of swap and source, a cosine, at which refining ends. Two photographs of one person have about "
        "0.65 by `sface`."
    ),
]


def add_to(app: typer.Typer) -> None:
    """Register the commands of this file."""
    app.command("swap")(swap)
    app.command("inspect")(inspect)
    app.command("embed")(embed)
    app.command("verify")(verify)
    app.command("evaluate")(evaluate)


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
            help="Folder with generator.safetensors and embedder.safetensors, as `train swapper` writes it, or a model "
            "that ships: `photos_128`, for photographs, which is taken where this is left out, or `faceworld_64`.",
            show_default=False,
        ),
    ] = None,
    landmarker: Annotated[
        str, typer.Option(help="How faces are found: `yunet` or `dlib68`; see `smoothswap list --kind landmarker`.")
    ] = "yunet",
    keep_detail: KeepDetail = True,
    refine: Refine = None,
    stop_similarity: StopSimilarity = 1.0,
    colour_transfer: Annotated[
        bool,
        typer.Option(
            "--colour-transfer/--no-colour-transfer",
            help="Give each swapped face the mean and spread of the old face's colours.",
        ),
    ] = False,
    feather: Annotated[
        float,
        typer.Option(min=0, max=0.5, help="Width of the pasted box's soft edge, as a share of its side."),
    ] = 0.1,
    device: Annotated[str, typer.Option(help="Where the models run: cpu, cuda, cuda:1, mps.")] = "cpu",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT where it exists.")] = False,
    mark: Annotated[
        bool,
        typer.Option(
            "--mark/--no-mark",
            help="Write into the picture's metadata that a model changed it, with tool, version and the generator's "
            "file_sha256.",
        ),
    ] = True,
    marker: Annotated[str, typer.Option(help="How --mark writes it; see `smoothswap list --kind marker`.")] = "iptc",
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
        keep_detail=keep_detail,
        refine=refine,
        stop_similarity=stop_similarity,
        colour_transfer=colour_transfer,
        feather=feather,
        overwrite=overwrite,
        mark=mark,
        marker=marker,
        device=device,
    )
    typer.echo(outcome)


def inspect(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A picture (PNG, JPEG, WebP, TIFF) or a model file.")],
    marker: Annotated[
        str,
        typer.Option(help="How a picture's mark is read: by the marker that wrote it, as `swap --marker` names it."),
    ] = "iptc",
) -> None:
    """Tell what a picture is and what its metadata says about its making; of a model file, which model it holds.

    Reads back the mark that `swap` writes: the IPTC digital source type, tool, version and file_sha256.
    A picture without a mark may still have been changed; metadata is easily removed.
    """
    from smoothswap.core.file_kind import is_safetensors

    if is_safetensors(file):
        from smoothswap.modules.model_file import describe_file

        typer.echo(describe_file(file))
        return
    from smoothswap.pipeline import inspect_file

    typer.echo(inspect_file(file, marker=marker))


def embed(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Pictures at any depth; the first sub-folder is the person.")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="File to write, .npz; replaced where it exists.", show_default=False)
    ],
    embedder: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|NAME",
            help="An embedder's file, as `train embedder` writes it, or the name of one that comes with weights "
            "(`sface`). Left out: the one that ships, trained on rendered faces of 64 px.",
            show_default=False,
        ),
    ] = None,
    align: Annotated[
        bool,
        typer.Option(
            "--align",
            help="Find a face in each picture and crop it. Left out: pictures are FFHQ crops already.",
        ),
    ] = False,
    face: Annotated[
        Literal["largest", "middle"],
        typer.Option(help="Which face --align takes where a picture shows several: the largest, or the middle one."),
    ] = "largest",
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
    weights_fingerprint, crop, as JSON); numpy.load opens it. Pictures that cannot be read, and with --align those
    without a face, are left out, counted here and listed in the file under `skipped` and `reasons`.
    """
    from smoothswap import api

    with bar("embedding") as progress:
        report = api.embed(
            folder,
            out,
            embedder=embedder,
            align=align,
            face=face,
            landmarker=landmarker,
            batch=batch,
            workers=workers,
            device=device,
            progress=progress,
        )
    typer.echo(report)


def verify(
    pairs: Annotated[
        Path,
        typer.Argument(
            metavar="PAIRS",
            help="LFW's pairs.txt, or lines of two paths and 1 (one person) or 0 (two people).",
        ),
    ],
    folder: Annotated[Path, typer.Option(help="The images that the list names.", show_default=False)],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            help="Folder for the report, its figures and the vectors; a stopped run goes on there.",
            show_default=False,
        ),
    ],
    embedder: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|NAME",
            help="An embedder's file, or the name of one that comes with weights (`sface`). Left out: the one that "
            "ships, trained on rendered faces of 64 px.",
            show_default=False,
        ),
    ] = None,
    aligned: Annotated[
        bool, typer.Option("--aligned", help="Images are FFHQ crops already; no faces are looked for.")
    ] = False,
    face: Annotated[
        Literal["largest", "middle"],
        typer.Option(help="Which face counts where an image shows several: the largest, or the middle one."),
    ] = "middle",
    mirrored: Annotated[
        bool, typer.Option("--mirrored", help="Add the vector of the mirrored crop to each vector.")
    ] = False,
    landmarker: Annotated[
        str, typer.Option(help="How faces are found: `yunet` or `dlib68`; see `smoothswap list --kind landmarker`.")
    ] = "yunet",
    missing_limit: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the pairs that may name images that are not there.")
    ] = 0.01,
    worst: Annotated[int, typer.Option(min=0, help="Most wrong pairs of each kind to show.")] = 8,
    batch: Annotated[int, typer.Option(min=1, help="Images that go through the embedder together.")] = 64,
    workers: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Processes that read images; 0: none. Left out: one for each core, at most 8.",
            show_default=False,
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="Where the embedder runs: cpu, cuda, cuda:1, mps.")] = "cpu",
) -> None:
    """Measure an embedder on a list of image pairs, as Labeled Faces in the Wild does.

    Prints accuracy by cross-validation with its standard error, AUC, equal error rate and true accept rates, and writes
    them with the protocol as verification.json, beside roc.png, worst_pairs.png and the vectors.
    """
    from smoothswap import api

    with bar("embedding") as progress:
        report = api.verify(
            pairs,
            folder,
            out,
            embedder=embedder,
            align=not aligned,
            face=face,
            mirrored=mirrored,
            landmarker=landmarker,
            missing_limit=missing_limit,
            worst=worst,
            batch=batch,
            workers=workers,
            device=device,
            progress=progress,
        )
    typer.echo(report)


def evaluate(
    folder: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="Photographs at any depth; the first sub-folder is the person."),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for the report and a sheet of pairs.", show_default=False)
    ],
    model: Annotated[
        Path | None,
        typer.Option(
            help="Folder with generator.safetensors and embedder.safetensors, or a model that ships. Left out: "
            "`photos_128`.",
            show_default=False,
        ),
    ] = None,
    judge: Annotated[
        list[str],
        typer.Option(
            metavar="FILE|NAME",
            help="Embedder that judges identity, a file or one that comes with weights (`sface`, `dlib_resnet`); "
            "may be given several times. Take one that had no part in the training.",
        ),
    ] = ["sface"],  # noqa: B006
    pairs: Annotated[int, typer.Option(min=1, help="Pairs of two people.")] = 64,
    seed: Annotated[int, typer.Option(min=0, help="Which pairs.")] = 0,
    landmarker: Annotated[
        str,
        typer.Option(help="How faces are found: `yunet`, or `dlib68` to measure how well the landmarks are kept."),
    ] = "yunet",
    keep_detail: KeepDetail = True,
    refine: Refine = None,
    stop_similarity: StopSimilarity = 1.0,
    shown: Annotated[int, typer.Option(min=0, help="Pairs on the sheet.")] = 24,
    device: Annotated[str, typer.Option(help="Where the models run: cpu, cuda, cuda:1, mps.")] = "cpu",
) -> None:
    """Swap pairs of photographs and measure them: identity by judges, landmarks, background, self-reconstruction.

    The same figures of the untouched target stand beside. Writes photographs.json with the protocol, and
    photographs.jpg with the first pairs, none chosen: source, target, swap.
    """
    from smoothswap import api
    from smoothswap.cli.console import console, table

    with bar("swapping") as progress:
        report = api.evaluate(
            folder,
            out,
            model=model,
            judges=judge,
            pairs=pairs,
            seed=seed,
            landmarker=landmarker,
            keep_detail=keep_detail,
            refine=refine,
            stop_similarity=stop_similarity,
            shown=shown,
            device=device,
            progress=progress,
        )
    figures = table(f"{len(report)} pairs of photographs", "our swap", "copy the target")
    for row in report.rows():
        figures.add_row(*row)
    console().print(figures)
    for name in report.protocol["judges_that_gave_the_identities"]:
        typer.echo(f"Mind: the judge {name} gave the generator its identities; its verdict is partial.")
    for pair, why in report.failures.items():
        typer.echo(f"left out: {pair}: {why}")
    typer.echo(f"{out}")


def _face(text: str) -> int | Literal["all"]:
    if text == "all":
        return "all"
    if text.isdecimal():
        return int(text)
    raise InputError(f"--face cannot be {text!r}", hint="give `all`, or a number from 0 (the largest face) up")
