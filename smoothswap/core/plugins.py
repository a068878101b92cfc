"""Loads plugins, each alone: one that fails is undone whole, remembered with its reason, and told once.

A plugin is a module named by an entry point in the group `smoothswap`; it implements the hook of
`smoothswap.core.hookspecs`. The components that ship come in the same way, from `smoothswap.builtin`.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Iterable
from dataclasses import dataclass
from types import ModuleType

import pluggy

from smoothswap.core import hookspecs
from smoothswap.core.component import KINDS, Component
from smoothswap.core.errors import PluginError
from smoothswap.core.hookspecs import PROJECT, hookimpl
from smoothswap.core.names import did_you_mean

__all__ = ["PluginInfo", "PluginWarning", "hookimpl", "installed", "rows_of"]

BUILTIN = "smoothswap.builtin"


class PluginWarning(UserWarning):
    """A plugin could not be loaded; the rest works without it."""


@dataclass(frozen=True)
class PluginInfo:
    """What became of one plugin.

    Args:
        name: distribution name, or the module's where there is no distribution.
        version: the distribution's version, empty where there is none.
        module: the module that the entry point names.
        components: the rows it added.
        error: why it was left out, or None.
    """

    name: str
    version: str
    module: str
    components: tuple[Component, ...] = ()
    error: str | None = None


def installed() -> list[PluginInfo]:
    """The shipped table, then every entry point of the group `smoothswap` in order of name. Imports nothing."""
    version = importlib.import_module("smoothswap").__version__
    found = [PluginInfo(PROJECT, version, BUILTIN)]
    for entry in sorted(importlib.metadata.entry_points(group=PROJECT), key=lambda entry: (entry.name, entry.value)):
        name, version = (entry.dist.name, entry.dist.version) if entry.dist else (entry.name, "")
        found.append(PluginInfo(name, version, entry.value))
    return found


def rows_of(plugin: PluginInfo) -> list[Component]:
    """Import one plugin and ask it for its rows, with `provider` filled in.

    Raises:
        PluginError: the import fails, the hook is missing, misspelt or has other arguments, or a row is wrong.
    """
    try:
        module = importlib.import_module(plugin.module.partition(":")[0])
    except Exception as cause:
        raise PluginError(f"importing {plugin.module} failed: {type(cause).__name__}: {cause}") from cause
    return [_checked(row, plugin.name) for row in _call(module)]


def _call(module: ModuleType) -> Iterable[Component]:
    # A manager of its own for each plugin: what one does wrong cannot reach the others.
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(module)
        manager.check_pending()
        answers = manager.hook.smoothswap_components()
    except Exception as cause:
        raise PluginError(f"{module.__name__}: {cause}") from cause
    if not answers:
        raise PluginError(
            f"{module.__name__} implements no hook",
            hint="decorate `def smoothswap_components()` with @smoothswap.hookimpl",
        )
    try:
        return list(answers[0])
    except TypeError as cause:
        raise PluginError(f"{module.__name__}: smoothswap_components() returned {type(answers[0]).__name__}") from cause


def _checked(row: object, provider: str) -> Component:
    if not isinstance(row, Component):
        raise PluginError(
            f"smoothswap_components() gave {row!r}", hint="each row is a smoothswap.core.component.Component"
        )
    if row.kind not in KINDS:
        raise PluginError(
            f"component {row.name!r} is of unknown kind {row.kind!r}{did_you_mean(row.kind, KINDS)}",
            f"kinds: {', '.join(KINDS)}",
        )
    return Component(
        kind=row.kind,
        name=row.name,
        target=row.target,
        summary=row.summary,
        defaults=row.defaults,
        provider=provider,
    )
