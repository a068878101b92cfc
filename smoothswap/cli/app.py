"""Puts the commands together, and turns what they raise into exit codes."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from smoothswap.cli import components, conversion, datasets, demonstration, doctor, failures, pictures, training
from smoothswap.cli.console import print_in_any_encoding
from smoothswap.core.allocator import keep_freed_memory
from smoothswap.core.errors import InputError

DEBUG = "--debug"

app = typer.Typer(
    name="smoothswap",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for group in (pictures, datasets, training, conversion, components, doctor, demonstration):
    group.add_to(app)


def _version(wanted: bool) -> None:
    if wanted:
        from smoothswap import __version__

        typer.echo(f"smoothswap {__version__}")
        raise typer.Exit


@app.callback()
def _smoothswap(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
    debug: Annotated[
        bool, typer.Option(DEBUG, help="Show the traceback of an error. May stand anywhere on the line.")
    ] = False,
) -> None:
    """Face swapping with a smooth identity space: swap photographs, train models, measure them.

    Start with `smoothswap swap SOURCE TARGET -o OUT`, or see everything work with `smoothswap demo`.

    Exit codes: 0 done, 1 a failure at work (a full disk), 2 something you can put right (a wrong option or file),
    130 interrupted by Ctrl-C, 143 by SIGTERM.
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave the process with its exit code.

    Args:
        arguments: the words after `smoothswap`; those of the process where left out.
    """
    words, debug = _take_debug(sys.argv[1:] if arguments is None else arguments)
    if arguments is None:  # the process is ours
        keep_freed_memory()
    print_in_any_encoding()
    failures.install_warnings(debug=debug)
    with failures.stoppable() as stopped:
        try:
            _check_current_folder()
            app(words, prog_name="smoothswap")
        except SystemExit:
            if not stopped():
                raise
            failures.report(KeyboardInterrupt(), debug=False)
            gc.freeze()  # to take torch's objects apart one by one may need longer than the user has patience
        except (Exception, KeyboardInterrupt) as error:
            sys.exit(stopped() or failures.report(error, debug=debug))
        sys.exit(stopped())


def _check_current_folder() -> None:
    try:
        Path.cwd()
    except OSError as cause:  # MKL would end the process with a word of its own
        raise InputError(
            "the current folder does not exist any more", str(cause), hint="change to one that does, such as `cd ~`"
        ) from cause


def _take_debug(arguments: Sequence[str]) -> tuple[list[str], bool]:
    # The error text says "run again with --debug", and people add words at the end of a line.
    words = list(arguments)
    end = words.index("--") if "--" in words else len(words)
    kept = [word for word in words[:end] if word != DEBUG]
    return kept + words[end:], len(kept) < end
