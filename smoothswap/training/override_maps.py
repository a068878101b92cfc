"""Changes to the parts of a recipe that have names of their own: `losses.truth.weight=10`, `mix.photos.share=0.5`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TypeVar

from smoothswap.core.catalogue import CATALOGUE, available
from smoothswap.core.errors import ConfigError, UnknownNameError, UnknownOptionError
from smoothswap.core.names import did_you_mean
from smoothswap.core.option_text import with_option
from smoothswap.training.parts import option_names, options_of
from smoothswap.training.recipe_parts import Part
from smoothswap.training.recipes import KIND_OF_MAP

P = TypeVar("P", bound=Part)


def change_map(parts: Mapping[str, P], cls: type[P], head: str, tail: str, text: str) -> dict[str, P]:
    """The parts with one change.

    Args:
        parts: those of the recipe by name.
        cls: what a new one is.
        head: the recipe's option, `losses` or `mix`.
        tail: what follows its dot: `NAME` with the text `none` leaves a part out; `NAME.name` exchanges or adds a
            component, `NAME.weight` and the like set what the recipe knows of it, `NAME.OPTION` its own options
            (`NAME.options.OPTION` where the recipe has one of that name). A loss that is not there yet is added by
            any of them, if a component is called like it.
        text: the value.

    Raises:
        UnknownNameError: no such part, component or option.
        ConfigError: a value that does not fit.
    """
    name, dot, option = tail.partition(".")
    if not dot:
        if text.lower() != "none":
            raise ConfigError(f"{head}.{name} has options of its own, it cannot be {text!r}", hint=_how(head, name))
        if name not in parts:
            raise UnknownNameError(
                f"the recipe has no {head}.{name}{did_you_mean(name, parts)}", f"it has: {', '.join(parts) or 'none'}"
            )
        return {key: part for key, part in parts.items() if key != name}
    kind = KIND_OF_MAP[head]
    if option == "name":
        config = options_of(text, kind)
        old = parts.get(name)
        kept = {} if old is None else {key: item for key, item in old.options.items() if key in option_names(config)}
        changed = cls(text) if old is None else dataclasses.replace(old, name=text)
        return {**parts, name: dataclasses.replace(changed, options=kept)}
    part = parts[name] if name in parts else _new(cls, name, kind, head, parts)
    own = {field.name for field in dataclasses.fields(cls)} - {"name", "options"}
    if option in own:
        try:
            return {**parts, name: dataclasses.replace(part, **{option: cls.parse(option, text)})}
        except ConfigError as cause:
            raise ConfigError(f"{head}.{name}.{option} cannot be {text!r}", *cause.facts, hint=cause.hint) from cause
    config = options_of(part.name, kind)
    if option.partition(".")[0] not in {*option_names(config), "options"}:
        known = {"name", *own, *option_names(config)}
        raise UnknownOptionError(
            f"unknown option {option!r} of {head}.{name}{did_you_mean(option, known)}",
            f"options of the recipe: name, {', '.join(sorted(own))}",
            f"options of {part.name}: {', '.join(sorted(option_names(config))) or 'none'}",
        )
    option = option.removeprefix("options.")
    changed_options = with_option(CATALOGUE.find(part.name, kind), part.options, option, text)
    return {**parts, name: dataclasses.replace(part, options=changed_options)}


def _new(cls: type[P], name: str, kind: str, head: str, parts: Mapping[str, P]) -> P:
    known = [row.name for row in available(kind)]
    if name in known:
        return cls(name)
    raise UnknownNameError(
        f"the recipe has no {head}.{name}{did_you_mean(name, [*parts, *known])}",
        f"it has: {', '.join(parts) or 'none'}",
        f"components of kind {kind}: {', '.join(known)}",
        hint=f"name its component first: {head}.{name}.name=…",
    )


def _how(head: str, name: str) -> str:
    return f"write {head}.{name}=none to leave it out" + (f", {head}.{name}.weight=… to weigh it" * (head == "losses"))
