"""`train embedder` and `train swapper`: from a named recipe to a folder with weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from smoothswap.cli.console import console, table
from smoothswap.core.errors import ConfigError

if TYPE_CHECKING:
    from rich.table import Table

    from smoothswap.core.config import Options
    from smoothswap.training import TrainResult

Recipe = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|FILE",
        help="Named recipe, see `smoothswap train recipes`, or the recipe.json of a run. "
        "Left out: faceworld_64, or with --resume the run's own.",
        show_default=False,
    ),
]
Out = Annotated[
    Path,
    typer.Option(
        help="Folder for weights, checkpoints, log (train.jsonl, tensorboard/) and samples; made if missing.",
        show_default=False,
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="OPTION=VALUE",
        help="Change an option of the recipe; may be given many times. Tuples as 1,2,2, nothing as none.",
        show_default=False,
    ),
]
Resume = Annotated[
    bool,
    typer.Option("--resume", help="Go on from the last checkpoint in --out, with the numbers as if never stopped."),
]
For = Annotated[
    str | None,
    typer.Option(
        "--for",
        metavar="TIME",
        help="End this call after so long: 90m, 30s, 2h, 1h30m. It stops after a step, saves, and says how to go on "
        "with --resume; exit code 0. Left out: no limit.",
        show_default=False,
    ),
]
Accelerator = Annotated[str, typer.Option(help="auto, cpu or cuda. auto takes a GPU where there is one.")]
Devices = Annotated[int, typer.Option(min=1, help="How many devices of this machine; more machines by torchrun.")]
Precision = Annotated[str, typer.Option(help="auto, 32-true or bf16-mixed. auto is bf16 where the device has it.")]
Timeout = Annotated[
    float, typer.Option(min=1, help="Seconds for which a process waits for the others before the run ends.")
]
Progress = Annotated[bool, typer.Option("--progress/--no-progress", help="Show a progress bar with the time left.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands of this file."""
    group = typer.Typer(
        help="Train an identity embedder, then a swapper with it.",
        no_args_is_help=True,
        rich_markup_mode="markdown",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    group.command("embedder")(embedder)
    group.command("swapper")(swapper)
    group.command("recipes")(recipes)
    app.add_typer(group, name="train")


def embedder(
    out: Out,
    recipe: Recipe = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Train on this folder: one sub-folder of pictures for each person, or tar shards. A tenth of its "
            "people is held out to measure on. With --resume: where its data have moved to. Left out: the recipe's "
            "data.",
            show_default=False,
        ),
    ] = None,
    start_from: Annotated[
        Path | None,
        typer.Option(
            metavar="MODEL",
            help="Start from the weights of this embedder, as far as they fit: the folder of a run, or a .safetensors "
            "file. Optimiser and images begin anew. Not with --resume.",
            show_default=False,
        ),
    ] = None,
    loss: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="supcon, arcface, softmax, triplet, or any loss of the same form; see `smoothswap list --kind loss`. "
            "Left out: the recipe's.",
            show_default=False,
        ),
    ] = None,
    changes: Set = None,
    resume: Resume = False,
    limit: For = None,
    accelerator: Accelerator = "auto",
    devices: Devices = 1,
    precision: Precision = "auto",
    progress: Progress = True,
    timeout: Timeout = 1800,
) -> None:
    """Train an identity embedder, by default with supervised contrastive learning.

    Writes embedder.safetensors (the last) and embedder-best.safetensors (the best on held-out people); `train swapper
    --embedder` takes either. Stop it when you like (Ctrl-C saves; exit code 130, after SIGTERM 143), or let `--for 90m`
    stop it; go on with --resume. `--set patience=5` ends it by itself when five validations found nothing better.
    """
    from smoothswap import training

    duration = _seconds(limit)
    wanted = {}
    if data is not None:
        moved = resume and recipe is None
        wanted = training.moved_data(out, data) if moved else training.overrides_for_folder(data)
    if loss is not None:
        wanted["loss.name"] = loss
    result = training.train_embedder(
        _recipe("embedder", out, recipe, wanted, changes, resume=resume),
        out,
        resume=resume,
        start_from=start_from,
        duration=duration,
        accelerator=accelerator,
        devices=devices,
        precision=precision,
        progress=progress,
        timeout=timeout,
    )
    _end(result, progress=progress)


def swapper(
    out: Out,
    embedder: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|NAME",
            help="embedder.safetensors from `train embedder`, or the name of one that comes with weights (`sface`); it "
            "stays frozen. A resumed run has its own copy.",
            show_default=False,
        ),
    ] = None,
    recipe: Recipe = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Train on this folder: pictures, each of another person; or one sub-folder of pictures for each "
            "person; or tar shards. A tenth is held out to measure on. A recipe of photographs, such as "
            "`photos_128`, takes a folder that `smoothswap align` wrote. With --resume: where its data have moved "
            "to. Left out: the recipe's data.",
            show_default=False,
        ),
    ] = None,
    start_from: Annotated[
        Path | None,
        typer.Option(
            metavar="MODEL",
            help="Start from the weights of another run, as far as they fit: its folder, for generator and "
            "discriminator, or a .safetensors file of one of them. Optimisers and images begin anew. "
            "Not with --resume.",
            show_default=False,
        ),
    ] = None,
    changes: Set = None,
    resume: Resume = False,
    limit: For = None,
    accelerator: Accelerator = "auto",
    devices: Devices = 1,
    precision: Precision = "auto",
    progress: Progress = True,
    timeout: Timeout = 1800,
) -> None:
    """Train a swap generator against a discriminator, with a frozen embedder.

    Writes generator.safetensors beside a copy of the embedder, a folder that `smoothswap swap --model` takes.
    The log says whether it swaps: similarity to source and target, and an alarm when the output copies the target.
    Stop it when you like (Ctrl-C saves; exit code 130, after SIGTERM 143), or let `--for 90m` stop it; go on with
    --resume.
    """
    from smoothswap import training

    duration = _seconds(limit)
    wanted = {}
    if data is not None and resume and recipe is None:
        wanted = training.moved_data(out, data)
    elif data is not None:
        name = recipe or "faceworld_64"
        known = name in training.recipe_names("swapper") or training.is_recipe_file(name)
        # What the user leaves out, or names a folder for, needs none from here.
        named = training.recipe("swapper", name, _changes(changes)) if known else None
        wanted = training.overrides_for_folder(data, "swapper", named)
    result = training.train_swapper(
        _recipe("swapper", out, recipe, wanted, changes, resume=resume),
        out,
        embedder=embedder,
        start_from=start_from,
        resume=resume,
        duration=duration,
        accelerator=accelerator,
        devices=devices,
        precision=precision,
        progress=progress,
        timeout=timeout,
    )
    _end(result, progress=progress)


def recipes(
    kind: Annotated[
        str | None,
        typer.Argument(metavar="[KIND]", help="embedder or swapper; left out, both are listed.", show_default=False),
    ] = None,
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="A recipe of that kind, to see all its options.", show_default=False),
    ] = None,
) -> None:
    """List the recipes, or the options of one with their values and ranges.

    `smoothswap train recipes swapper faceworld_64` shows everything that --set can change. The options of a part
    (generator, data, …) are those of its component: `--set generator.base_channels=48`, `--set data.folder=faces`.
    """
    from smoothswap import training

    out = console()
    if kind is not None and name is not None:
        out.print(_recipe_table(training.recipe(kind, name)))
        return
    rows = table("recipe", "kind", "images to train on", "side, pixels", "data")
    for each in ("embedder", "swapper") if kind is None else (kind,):
        for title in training.recipe_names(each):
            recipe = training.recipe(each, title)
            rows.add_row(title, each, f"{recipe.images:,}", str(recipe.image_size), recipe.data.name)
    out.print(rows)


def _recipe(
    kind: str, out: Path, name: str | None, wanted: dict[str, str], words: Sequence[str] | None, *, resume: bool
) -> Any:
    from smoothswap import training

    changes = _changes(words)
    for option, value in wanted.items():
        if changes.setdefault(option, value) != value:
            raise ConfigError(
                f"{option} cannot be both {value!r} and {changes[option]!r}",
                hint=f"give it once: leave out --set {option}=…, or --{option.partition('.')[0]}",
            )
    if resume and name is None and not changes:
        return None  # the run's own
    if resume and name is None:
        return training.recipe_of_run(out, changes)
    return training.recipe(kind, name or "faceworld_64", changes)


def _seconds(text: str | None) -> float | None:
    from smoothswap.training.stopping import parse_duration

    return None if text is None else parse_duration(text)


def _end(result: TrainResult, *, progress: bool) -> None:
    """Print what a training left behind; where a signal interrupted it, exit as shells count."""
    for line in _outcome(result):
        typer.echo(line)
    if result.unfinished and not progress:  # else the log has said it
        typer.echo(result.unfinished)
    if result.signal:
        raise typer.Exit(128 + result.signal)


def _outcome(result: TrainResult) -> list[str]:
    """What a training wrote, and how good it is."""
    from smoothswap.training.best import monitored

    best = result.best
    if not result.finished:
        lines = [f"saved {result.path} (unfinished, {result.images:,} images)"]
        if best is not None:
            lines.append(f"saved {best.path} (best so far: {best.monitor} {best.value:.4f}, {best.images:,} images)")
        return lines
    if best is None:
        measured = "; no validation, so no best" if result.path.stem == "embedder" else ""
        return [f"wrote {result.path} ({result.images:,} images{measured})"]
    last = monitored(result.metrics, best.monitor)
    figure = "" if last is None else f"{best.monitor} {last:.4f}, "
    lines = [
        f"wrote {result.path} (last: {figure}{result.images:,} images)",
        f"wrote {best.path} (best: {best.monitor} {best.value:.4f}, {best.images:,} images)",
    ]
    return [*lines, "stopped early: nothing better was found for long enough"] if result.stopped_early else lines


def _recipe_table(recipe: Options) -> Table:
    from smoothswap.core.config import Options
    from smoothswap.training import Part
    from smoothswap.training.recipes import TrainingRecipe, part_names

    kinds = part_names(type(recipe)) if isinstance(recipe, TrainingRecipe) else {}
    rows = table("option", "value", "allowed", "what it does")
    for info in recipe.infos():
        value = getattr(recipe, info.name)
        allowed = "a component" if info.name in kinds else info.limits or info.type
        if isinstance(value, Options) and not isinstance(value, Part):
            for each in value.infos():
                shown = _shown(getattr(value, each.name))
                rows.add_row(f"{info.name}.{each.name}", shown, each.limits or each.type, each.help)
            continue
        parts = _parts(recipe, info.name)
        if parts is None:
            rows.add_row(info.name, _shown(value), allowed, info.help)
            continue
        allowed = ", ".join(f"{each.name} {each.limits}" for each in parts.infos() if each.limits)
        rows.add_row(info.name, "" if value else "none", allowed, info.help)
        for name, part in value.items():
            rows.add_row(f"{info.name}.{name}", _shown(part), "", "")
    return rows


def _parts(recipe: Options, name: str) -> type[Options] | None:
    """The class of the parts where an option holds several by name (losses, mixed data sets)."""
    from smoothswap.training.recipes import TrainingRecipe, map_names

    return map_names(type(recipe)).get(name) if isinstance(recipe, TrainingRecipe) else None


def _shown(value: object) -> str:
    from smoothswap.core.option_text import as_words
    from smoothswap.training import Part

    if isinstance(value, Part):
        own = {info.name: getattr(value, info.name) for info in value.infos() if info.name not in ("name", "options")}
        usual = {info.name: info.default for info in value.infos()}
        kept = {key: item for key, item in own.items() if key in ("weight", "share") or item != usual[key]}
        return " ".join(
            [value.name, *(f"{key}={_shown(item)}" for key, item in as_words({**kept, **value.options}).items())]
        )
    return f"{value:g}" if isinstance(value, float) else str(value)


def _changes(words: Sequence[str] | None) -> dict[str, str]:
    changes: dict[str, str] = {}
    for word in words or ():
        name, equals, value = word.partition("=")
        if not (name and equals):
            raise ConfigError(f"--set cannot be {word!r}", hint="write --set OPTION=VALUE, such as --set batch_size=16")
        if changes.setdefault(name, value) != value:
            raise ConfigError(
                f"{name} cannot be both {changes[name]!r} and {value!r}", hint=f"write --set {name}=… once"
            )
    return changes
