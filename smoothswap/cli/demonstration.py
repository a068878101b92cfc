"""`demo`: the shipped model of rendered heads at work, with pictures and numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def add_to(app: typer.Typer) -> None:
    """Register the commands of this file."""
    app.command("demo")(demo)


def demo(
    out: Annotated[Path, typer.Option(help="Folder for index.html and its pictures; made if missing.")] = Path("demo"),
    pairs: Annotated[int, typer.Option(min=1, help="Pairs of rendered people to swap and measure.")] = 64,
    seed: Annotated[int, typer.Option(min=0, help="Which people, poses, lights and backgrounds.")] = 0,
    model: Annotated[
        Path | None,
        typer.Option(help="Folder with a model of your own. Left out: the shipped `faceworld_64`.", show_default=False),
    ] = None,
    photograph: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also swap onto this photograph, file to file. Left out: one of an astronaut, in a checkout "
            "of the project.",
            show_default=False,
        ),
    ] = None,
    no_photograph: Annotated[bool, typer.Option("--no-photograph", help="Leave the photograph out.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Exit code 1 where the model misses what a swap must reach.")
    ] = False,
) -> None:
    """Swap rendered people whose true swap is known, measure it, and write a page with the pictures.

    Prints how near the result is to source and target by two judges that did not train the generator, how near to the
    true swap and how sharp, beside copying the target and copying the source. Nobody in it was seen in training.
    What a swap must reach, and does not yet, is printed as it is; with --check it decides the exit code.
    """
    from smoothswap.cli.demo import run_demo

    picture = photograph if photograph is not None else not no_photograph
    reached = run_demo(out, pairs=pairs, seed=seed, model=model, photograph=picture)
    raise typer.Exit(1 if check and not reached else 0)
