"""Options of components in the words of a command line, those of a component inside another one as well.

An option may name a component (`injection`) whose own options are a mapping beside it (`injection_options`). Then
`injection_options.epsilon=1e-4` is read as the type that the named component gives to `epsilon`. An
entry of any other option that is a mapping is read as the type of the mapping's values.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from smoothswap.core.catalogue import CATALOGUE
from smoothswap.core.component import Component
from smoothswap.core.config import Options
from smoothswap.core.errors import UnknownNameError


def with_option(row: Component, options: Mapping[str, Any], name: str, text: str) -> dict[str, Any]:
    """The options with one more.

    Args:
        row: the component.
        options: those that differ from its defaults.
        name: an option; `NAME.KEY` for an entry of one that is a mapping. Where another component is named, entries
            that it does not have are left out.
        text: the value.

    Raises:
        UnknownNameError: no such option or component.
        ConfigError: a value that the option cannot have.
    """
    config: type[Options] = row.resolve().Config
    head, dot, key = name.partition(".")
    owners = _owners(config)
    known: dict[str, Any] = {info.name: info.default for info in config.infos()} | {**row.defaults, **options}
    if dot and head not in owners and isinstance(known.get(head), Mapping):
        return {**options, head: {**known[head], key: config.parse(name, text)}}
    if not dot or head not in owners:
        inner = next((mapping for mapping, (owner, _) in owners.items() if owner == head), None)
        if dot and inner is not None:
            raise UnknownNameError(f"{name!r} is no option, {head!r} is a name", hint=f"write {inner}.{key}={text}")
        changed = {**options, name: config.parse(name, text)}
        return changed if inner is None else _kept(changed, inner, CATALOGUE.find(changed[head], owners[inner][1]))
    owner, kind = owners[head]
    value = with_option(CATALOGUE.find(known[owner], kind), known[head], key, text)
    return {**options, head: value}


def as_words(options: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values by the names that `with_option` takes: entries of mappings by dotted name."""
    words: dict[str, Any] = {}
    for name, value in options.items():
        words |= as_words(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return words


def _owners(config: type[Options]) -> dict[str, tuple[str, str]]:
    """The options that are mappings of a component's options: the option that names it, and its kind."""
    named = {field.name: field.metadata.get("options_of") for field in dataclasses.fields(config)}
    return {name: owner for name, owner in named.items() if owner is not None}


def _kept(options: dict[str, Any], mapping: str, row: Component) -> dict[str, Any]:
    """The options without the entries of a mapping that the component which is named now does not have."""
    names = {info.name for info in row.resolve().Config.infos()}
    kept = {key: value for key, value in options.get(mapping, {}).items() if key in names}
    return {**options, mapping: kept} if mapping in options else options
