"""A component as a row: what it is called, what kind it is, where its class lives, who provides it."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from smoothswap.core.config import OptionInfo, Options
from smoothswap.core.errors import MissingExtraError, PluginError
from smoothswap.core.extras import hint
from smoothswap.core.foreign_code import foreign_code

KINDS = (
    "embedder",
    "generator",
    "discriminator",
    "loss",
    "swap_loss",
    "injection",
    "dataset",
    "landmarker",
    "marker",
)


@dataclass(frozen=True, kw_only=True)
class Component:
    """One row of the catalogue.

    Args:
        kind: one of `KINDS`.
        name: what `build` is called with; unique within its kind.
        target: the class, or where it is as `"package.module:Class"` (imported only when built or described).
        summary: one line for `smoothswap list`.
        defaults: options that differ from the class's own defaults; a row with other defaults is a preset.
        provider: the distribution or module that declares the row; filled in where the row is registered.
        needs: what must be installed or brought before it can be built with these defaults, and how, in a few words
            after "needs"; empty where the provider alone is enough. Building it without raises an error that says so.
    """

    kind: str
    name: str
    target: str | type[Any]
    summary: str
    defaults: Mapping[str, Any] = field(default_factory=dict)
    provider: str = ""
    needs: str = ""

    @property
    def where(self) -> str:
        """The target as `package.module:Class`."""
        if isinstance(self.target, str):
            return self.target
        return f"{self.target.__module__}:{self.target.__qualname__}"

    def resolve(self) -> type[Any]:
        """Import the class.

        Raises:
            MissingExtraError: an extra of smoothswap is not installed.
            PluginError: the module cannot be imported, or holds no such class with a nested `Config`.
        """
        cls = self._import() if isinstance(self.target, str) else self.target
        if not (isinstance(getattr(cls, "Config", None), type) and issubclass(cls.Config, Options)):
            raise PluginError(
                f"{self.kind} {self.name!r} has no Config",
                f"class: {self.where} (from {self.provider})",
                hint="nest a frozen keyword-only dataclass `Config(smoothswap.core.config.Options)` in the class",
            )
        return cls

    def _import(self) -> type[Any]:
        module, _, attribute = str(self.target).partition(":")
        # What ships prints nothing, and may take the seconds in which torch is loaded.
        own = module.partition(".")[0] == __name__.partition(".")[0]
        try:
            with contextlib.nullcontext() if own else foreign_code(f"importing {module}"):
                cls = getattr(importlib.import_module(module), attribute)
        except MissingExtraError:
            raise
        except (ImportError, AttributeError, PluginError) as cause:
            raise PluginError(
                f"{self.kind} {self.name!r} cannot be imported",
                f"target: {self.where} (from {self.provider})",
                str(cause),
                hint=hint(cause) or (self.needs and f"{self.name} needs {self.needs}"),
            ) from cause
        if not isinstance(cls, type):
            raise PluginError(f"{self.kind} {self.name!r} is no class", f"target: {self.where} (from {self.provider})")
        return cls


@dataclass(frozen=True)
class Description:
    """A component with its options, as `smoothswap describe` prints them (presets' defaults applied)."""

    component: Component
    options: tuple[OptionInfo, ...]
