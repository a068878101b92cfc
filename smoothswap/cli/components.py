"""`list`, `describe` and `plugins`: what can be built, with which options, and who provides it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from smoothswap.cli.console import console, table
from smoothswap.core.component import KINDS

if TYPE_CHECKING:
    from smoothswap.core.component import Component, Description
    from smoothswap.core.config import OptionInfo
    from smoothswap.core.plugins import PluginInfo


def add_to(app: typer.Typer) -> None:
    """Register the commands of this file."""
    app.command("list")(list_components)
    app.command("describe")(describe)
    app.command("plugins")(plugins)


def list_components(
    kind: Annotated[str | None, typer.Option(help=f"Only this kind: {', '.join(KINDS)}.", show_default=False)] = None,
) -> None:
    """List every component that can be built, shipped or from plugins.

    Each can be built from Python with `smoothswap.build(NAME)`; `smoothswap describe NAME` shows its options.
    """
    from smoothswap import api

    rows = table("name", "kind", "what it is", "from")
    for row in api.available(kind):
        rows.add_row(row.name, row.kind, row.summary + (row.needs and f"\nneeds {row.needs}"), row.provider)
    console().print(rows)


def describe(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name from `smoothswap list`.")],
    kind: Annotated[
        str | None, typer.Option(help="Needed only where two kinds share the name.", show_default=False)
    ] = None,
    count: Annotated[
        bool, typer.Option("--count", help="Build it with its defaults and count its parameters (takes a moment).")
    ] = False,
) -> None:
    """Show a component's options: type, default, allowed range and what each does, with units.

    Options are given as keywords: `smoothswap.build("smooth_unet", image_size=128)`.
    """
    from smoothswap import api

    description = api.describe(name, kind)
    row = description.component
    out = console()
    out.print(f"{row.name}: {row.kind}, {row.summary}")
    out.print(f"class {row.where}, from {row.provider}{_preset(row)}", soft_wrap=True)
    if row.needs:
        out.print(f"needs {row.needs}", soft_wrap=True)
    if description.options:
        out.print(_options(description))
    else:
        out.print("It has no options.")
    if count:
        out.print(_parameters(api.build(name, row.kind)))


def plugins() -> None:
    """Show what each installed plugin adds, and why one was left out.

    A plugin is a Python package with an entry point in the group `smoothswap`; installing it is enough.
    """
    loaded = loaded_plugins()
    rows = table("plugin", "version", "module", "import", "adds")
    for plugin in loaded:
        rows.add_row(plugin.name, plugin.version, plugin.module, f"{plugin.seconds:.1f} s", _adds(plugin))
    console().print(rows)
    if len(loaded) == 1:
        typer.echo("Only the shipped components. CONTRIBUTING.md shows a plugin in twenty lines.")


def loaded_plugins() -> list[PluginInfo]:
    """The plugins and what became of each, without the warnings on the way: the caller tells of them itself."""
    import warnings

    from smoothswap import api
    from smoothswap.core.plugins import PluginWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PluginWarning)
        return api.load_plugins()


def _adds(plugin: PluginInfo) -> str:
    if plugin.error:
        return f"left out: {plugin.error}"
    names: dict[str, list[str]] = {}
    for row in plugin.components:
        names.setdefault(row.kind, []).append(row.name)
    return "\n".join(f"{kind}: {', '.join(group)}" for kind, group in names.items()) or "nothing"


def _preset(row: Component) -> str:
    if not row.defaults:
        return ""
    return "; a preset: " + ", ".join(f"{name}={value}" for name, value in row.defaults.items())


def _options(description: Description) -> Any:
    rows = table("option", "default", "allowed", "what it does")
    for option in description.options:
        default = "(must be given)" if option.required else _shown(option.default)
        rows.add_row(option.name, default, _allowed(option), option.help)
    return rows


def _allowed(option: OptionInfo) -> str:
    """Type and range in one cell: `int ≥ 2`, `biggan | ddpm`."""
    if option.type.startswith("one of ["):
        return option.type.removeprefix("one of [").removesuffix("]").replace("'", "").replace(", ", " | ")
    if option.limits.startswith("one of "):
        return option.limits.removeprefix("one of ").replace(", ", " | ")
    return f"{option.type} {option.limits}".strip()


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return repr(value) if value == "" else str(value)


def _parameters(component: Any) -> str:
    if not hasattr(component, "parameters"):
        return "It has no parameters."
    total = sum(parameter.numel() for parameter in component.parameters())
    return f"{total:,} parameters with these defaults ({total / 1e6:.2f} M)"
