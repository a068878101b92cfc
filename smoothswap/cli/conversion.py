"""`convert`: weights from elsewhere become a model file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from smoothswap.conversion import ORIGINS, SUFFIX


def add_to(app: typer.Typer) -> None:
    """Register the commands of this file."""
    app.command("convert")(convert)


def convert(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help=f"Component that takes the weights: {', '.join(ORIGINS)}.")
    ],
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]",
            help="Weights: .pth, .pt, .safetensors; for sface an .onnx, or left out for the one that is installed; for "
            "faceres the .bin.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", help=f"Model file to write, ending in {SUFFIX}.", show_default=False)
    ] = ...,  # type: ignore[assignment]
    file_sha256: Annotated[
        str | None,
        typer.Option(
            "--file-sha256",
            "--sha256",
            metavar="HEX",
            help="What the SHA-256 of FILE's bytes must be: 64 hexadecimal digits.",
            show_default=False,
        ),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="OPTION=VALUE",
            help="An option of the component that its weights do not show; may be given many times.",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT where it exists.")] = False,
) -> None:
    """Turn weights that were trained elsewhere into a model file for `--embedder`, `identity_embedders` and the like.

    Depth and sizes are read from the weights, every tensor must find its place, and no code in FILE is run.
    `smoothswap convert sface -o sface.safetensors` writes a face embedder that needs no other file.
    """
    from smoothswap import conversion

    options = conversion.parse_options(name, changes or ())
    written = conversion.convert(name, file, out, file_sha256=file_sha256, options=options, overwrite=overwrite)
    typer.echo(f"wrote {written}")
