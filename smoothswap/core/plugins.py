"""Loads plugins, each alone: one that fails is undone whole, remembered with its reason, and told once.

A plugin is a module named by an entry point in the group `smoothswap`; it implements the hook of
`smoothswap.core.hookspecs`. The components that ship come in the same way, from `smoothswap.builtin`.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.metadata
from collections.abc import Iterable
from dataclasses import dataclass
from types import ModuleType

import pluggy

from smoothswap.core import hookspecs
from smoothswap.core.component import KINDS, Component
from smoothswap.core.errors import PluginError
from smoothswap.core.foreign_code import foreign_code
from smoothswap.core.hookspecs import PROJECT, hookimpl
from smoothswap.core.names import did_you_mean

__all__ = ["PluginInfo", "PluginWarning", "hookimpl", "installed", "rows_of"]

BUILTIN = "smoothswap.builtin"
HOOK = "smoothswap_components"


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
        seconds: how long its import and its hook took.
    """

    name: str
    version: str
    module: str
    components: tuple[Component, ...] = ()
    error: str | None = None
    seconds: float = 0.0


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

    What it prints meanwhile goes to stderr, since stdout belongs to the command.

    Raises:
        PluginError: the import fails or wants to end the process, the hook is missing, misspelt, fails or has other
            arguments, or a row is wrong.
    """
    with foreign_code(f"importing {plugin.module}"):
        module = importlib.import_module(plugin.module.partition(":")[0])
    return [_checked(row, plugin.name) for row in _call(module)]


def _call(module: ModuleType) -> list[object]:
    # A manager of its own for each plugin: what one does wrong cannot reach the others.
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    with foreign_code(f"reading {module.__name__}"):  # objects of a module may run code where they are looked at
        _check_names(module)
        try:
            manager.register(module, name=module.__name__)
        except pluggy.PluginValidationError as cause:
            raise PluginError(
                f"{module.__name__}: {HOOK}() has other arguments than the hook, which has none",
                str(cause).strip().splitlines()[-1],
            ) from cause
    with foreign_code(f"{HOOK}() of {module.__name__}"):
        answers = manager.hook.smoothswap_components()
        rows = answers[0] if answers else ()
        if isinstance(rows, Iterable) and not isinstance(rows, str | bytes):
            rows = list(rows)  # a generator runs here
    if not answers:
        raise PluginError(
            f"{module.__name__} implements no hook", hint=f"decorate `def {HOOK}()` with @smoothswap.hookimpl"
        )
    if not isinstance(rows, list):
        raise PluginError(f"{module.__name__}: {HOOK}() returned {type(rows).__name__}, not rows")
    return rows


def _check_names(module: ModuleType) -> None:
    """Refuse hooks of a name that no hook has; where the decorator is forgotten too, if the name is nearly ours.

    Raises:
        PluginError: the message suggests the right name.
    """
    for name, value in vars(module).items():
        own = callable(value) and getattr(value, "__module__", None) == module.__name__
        meant = did_you_mean(name, [HOOK])
        if name != HOOK and (hasattr(value, f"{PROJECT}_impl") or (own and meant)):
            raise PluginError(f"{module.__name__} has the unknown hook {name!r}{meant}", f"the hook is {HOOK}()")


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
    return dataclasses.replace(row, provider=provider)
