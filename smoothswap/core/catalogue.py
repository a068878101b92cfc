"""The catalogue: every component by kind and name, and the verbs `build`, `available`, `describe`, `register`."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from smoothswap.core.allocator import is_out_of_memory
from smoothswap.core.component import KINDS, Component, Description
from smoothswap.core.errors import PluginError, SmoothSwapError, UnknownNameError, WorkError
from smoothswap.core.names import did_you_mean
from smoothswap.core.plugins import PluginInfo, PluginWarning, installed, rows_of

T = TypeVar("T", bound=type[Any])


class Catalogue:
    """Rows by (kind, name), and what became of each plugin."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], Component] = {}
        self._plugins: list[PluginInfo] | None = None
        self._lock = threading.RLock()

    def load_plugins(self, plugins: Iterable[PluginInfo] | None = None) -> list[PluginInfo]:
        """Load every plugin once; a plugin that fails leaves nothing behind and is warned of."""
        with self._lock:
            if self._plugins is None:
                self._plugins = []  # set first, so that a plugin that itself calls `available` does not start over
                for plugin in installed() if plugins is None else plugins:
                    self._plugins.append(self._load(plugin))
            return list(self._plugins)

    def _load(self, plugin: PluginInfo) -> PluginInfo:
        started = time.monotonic()
        try:
            rows = rows_of(plugin)
            self._add_all(rows)
        except SmoothSwapError as error:  # of its own code too: an import that misses an extra, an option refused
            warnings.warn(f"plugin {plugin.name!r} was left out: {error}", PluginWarning, stacklevel=2)
            return dataclasses.replace(plugin, error=str(error), seconds=time.monotonic() - started)
        return dataclasses.replace(plugin, components=tuple(rows), seconds=time.monotonic() - started)

    def _add_all(self, rows: list[Component]) -> None:
        seen = dict(self._rows)
        for row in rows:
            other = seen.get((row.kind, row.name))
            if other is not None:
                raise PluginError(
                    f"{row.kind} {row.name!r} is declared twice",
                    f"by {other.provider}: {other.where}",
                    f"by {row.provider}: {row.where}",
                    hint="give one of them another name",
                )
            seen[row.kind, row.name] = row
        self._rows = seen

    def add(self, row: Component) -> None:
        """Add a row of a script or notebook; running the same cell again replaces the row.

        Raises:
            PluginError: another provider has this name.
            UnknownNameError: the kind does not exist.
        """
        _check_kind(row.kind)
        with self._lock:
            self.load_plugins()
            other = self._rows.get((row.kind, row.name))
            if other is not None and (other.provider, other.where) == (row.provider, row.where):
                del self._rows[row.kind, row.name]
            self._add_all([row])

    def rows(self, kind: str | None = None) -> list[Component]:
        """All rows, or those of one kind, ordered by kind and name."""
        if kind is not None:
            _check_kind(kind)
        self.load_plugins()
        rows = (row for row in self._rows.values() if kind in (None, row.kind))
        return sorted(rows, key=lambda row: (KINDS.index(row.kind), row.name))

    def find(self, name: str, kind: str | None = None) -> Component:
        """The row with this name.

        Raises:
            UnknownNameError: there is none, or two kinds have it and `kind` is not given.
        """
        rows = self.rows(kind)
        hits = [row for row in rows if row.name == name]
        if len(hits) == 1:
            return hits[0]
        if hits:
            calls = " or ".join(f"kind={row.kind!r}" for row in hits)
            raise UnknownNameError(f"{name!r} is the name of {len(hits)} components", hint=f"say which: {calls}")
        raise self._unknown(name, kind, rows)

    def _unknown(self, name: str, kind: str | None, rows: list[Component]) -> UnknownNameError:
        kinds = {row.name: row.kind for row in rows}
        suggestion = did_you_mean(name, kinds)
        if suggestion:
            nearest = suggestion.split("'")[1]
            suggestion = f". Did you mean {nearest!r} ({kinds[nearest]})?"
        failed = [
            f"plugin {plugin.name!r} was left out: {plugin.error}" for plugin in self._plugins or () if plugin.error
        ]
        return UnknownNameError(
            f"unknown {kind or 'component'} {name!r}{suggestion}",
            *failed,
            hint="`smoothswap list` shows all of them"
            if kind is None
            else f"`smoothswap list --kind {kind}` shows all of them",
        )


def _check_kind(kind: str) -> None:
    if kind not in KINDS:
        raise UnknownNameError(f"unknown kind {kind!r}{did_you_mean(kind, KINDS)}", f"kinds: {', '.join(KINDS)}")


CATALOGUE = Catalogue()


def load_plugins() -> list[PluginInfo]:
    """Load the installed plugins if that has not happened yet, and tell what became of each."""
    return CATALOGUE.load_plugins()


def available(kind: str | None = None) -> list[Component]:
    """The components that can be built, or those of one kind.

    Raises:
        UnknownNameError: the kind does not exist.
    """
    return CATALOGUE.rows(kind)


def build(name: str, kind: str | None = None, **options: Any) -> Any:
    """Build a component by name, with keyword options over its defaults.

    Args:
        name: a name from `available()`.
        kind: needed only where two kinds share the name.
        options: the component's options, as `describe(name)` lists them.

    Raises:
        UnknownNameError: no such component; the message suggests the nearest name.
        UnknownOptionError: no such option; a ConfigError and an UnknownNameError.
        ConfigError: a value that the option cannot have.
        PluginError: the component's class cannot be imported.
        WorkError: the options ask for more memory than there is.
    """
    return build_with(name, kind, options)


def build_with(name: str, kind: str | None, options: Mapping[str, Any]) -> Any:
    """`build` with the options as a mapping, such as a file has them: they may be called `name` and `kind` too."""
    row = CATALOGUE.find(name, kind)
    cls = row.resolve()
    config = cls.Config.make({**row.defaults, **options})
    try:
        built = cls(config)
    except (RuntimeError, MemoryError) as cause:
        if not is_out_of_memory(cause):
            raise
        raise WorkError(
            f"the memory does not suffice to build {row.kind} {row.name!r}",
            str(cause).partition("\n")[0],
            hint="choose smaller sizes among its options",
        ) from cause
    with contextlib.suppress(AttributeError):  # a class with __slots__ is built all the same, it just cannot be saved
        built.smoothswap_component = row
    return built


def describe(name: str, kind: str | None = None) -> Description:
    """A component's row and options, the preset's defaults applied. Errors as `build`."""
    row = CATALOGUE.find(name, kind)
    infos = (
        dataclasses.replace(info, default=row.defaults.get(info.name, info.default))
        for info in row.resolve().Config.infos()
    )
    return Description(row, tuple(infos))


def register(name: str, *, kind: str, summary: str = "", defaults: Mapping[str, Any] | None = None) -> Callable[[T], T]:
    """Class decorator for scripts and notebooks: add the class to the catalogue.

    Packages declare their rows through the hook `smoothswap_components` instead.

    Args:
        name: what `build` will be called with.
        kind: the kind of component.
        summary: one line; the first line of the class's docstring where it is left out.
        defaults: options that differ from the class's own defaults.

    Raises:
        UnknownNameError: the kind does not exist.
        PluginError: the name is taken.
    """

    def add(cls: T) -> T:
        text = summary or (cls.__doc__ or "").strip().partition("\n")[0]
        CATALOGUE.add(
            Component(
                kind=kind,
                name=name,
                target=cls,
                summary=text,
                defaults=dict(defaults or {}),
                provider=cls.__module__,
            )
        )
        return cls

    return add
