"""Options of components and recipes: frozen keyword-only dataclasses that check themselves.

A component nests its options as `Config`:

    @dataclass(frozen=True, kw_only=True)
    class Config(Options):
        image_size: int = option(256, "side of the images, pixels", at_least=8)

Types and ranges are checked when the object is made, so a wrong value never gets further than its constructor.
"""

from __future__ import annotations

import dataclasses
import math
import re
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from smoothswap.core.errors import ConfigError, UnknownOptionError
from smoothswap.core.names import did_you_mean
from smoothswap.core.scalars import plain

_MISSING = dataclasses.MISSING


@dataclasses.dataclass(frozen=True)
class OptionInfo:
    """One option, as `describe` shows it.

    Args:
        name: the keyword.
        type: its type, as written in the class.
        default: the default, or `dataclasses.MISSING` where the option must be given.
        help: one line, with the unit.
        limits: the allowed range or choices in words, empty where everything of the type is allowed.
    """

    name: str
    type: str
    default: Any
    help: str
    limits: str

    @property
    def required(self) -> bool:
        """Whether the option has no default."""
        return self.default is _MISSING


def option(
    default: Any = _MISSING,
    help: str = "",
    *,
    choices: Sequence[Any] | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
    above: float | None = None,
    below: float | None = None,
    options_of: tuple[str, str] | None = None,
) -> Any:
    """Declare an option of an `Options` class.

    Args:
        default: the default; left out, the option must be given. Mappings and lists are copied for each object.
        help: one line for `smoothswap describe`, with the unit.
        choices: the allowed values.
        at_least: smallest allowed number, inclusive; for tuples it holds for each entry.
        at_most: largest allowed number, inclusive.
        above: the number must be greater than this.
        below: the number must be less than this.
        options_of: of a mapping: the option that names the component whose options these are, and that one's kind.
    """
    limits = {"at_least": at_least, "at_most": at_most, "above": above, "below": below}
    metadata = {
        "help": help,
        "choices": None if choices is None else tuple(choices),
        "limits": limits,
        "options_of": options_of,
    }
    if isinstance(default, dict):
        frozen = dict(default)
        return dataclasses.field(default_factory=lambda: dict(frozen), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Base of every `Config`: checks types and ranges when made.

    Raises:
        ConfigError: on construction, naming the option, its value and what is allowed.
    """

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(type(self))
        for field in dataclasses.fields(self):
            value = _fit(getattr(self, field.name), hints[field.name])
            if value is _WRONG:
                raise ConfigError(
                    f"option {field.name!r} of {_owner(type(self))} cannot be {getattr(self, field.name)!r}",
                    f"{field.name}: {_type_name(hints[field.name])} — {field.metadata.get('help', '')}",
                )
            object.__setattr__(self, field.name, value)
            _check_limits(type(self), field, value)

    @classmethod
    def make(cls, values: Mapping[str, Any]) -> Self:
        """Build from a mapping of keyword options.

        Raises:
            UnknownOptionError: an option that this class does not have.
            ConfigError: a missing option, or a value that does not fit.
        """
        fields = {field.name: field for field in dataclasses.fields(cls)}
        for name in values:
            if name not in fields:
                raise _unknown(cls, name, fields)
        for info in cls.infos():
            if info.required and info.name not in values:
                raise ConfigError(
                    f"option {info.name!r} of {_owner(cls)} must be given",
                    f"{info.name}: {info.type} — {info.help}",
                )
        return cls(**values)

    @classmethod
    def parse(cls, name: str, text: str) -> Any:
        """Turn the text of option `name` from a command line into its value: `1,2,2` for tuples, `none` for None.

        `NAME.KEY` is one entry of an option that is a mapping; its value has the type of the mapping's values.
        """
        hints = typing.get_type_hints(cls)
        head, dot, _ = name.partition(".")
        if dot and is_mapping(hints.get(head)):
            hints[name] = typing.get_args(hints[head])[1]
        if name not in hints:
            raise _unknown(cls, name, hints)
        try:
            return _parse(text, hints[name])
        except ValueError as cause:
            raise ConfigError(
                f"option {name!r} of {_owner(cls)} cannot be {text!r}",
                f"{name}: {_type_name(hints[name])}",
                hint=f"give one entry: {name}.KEY=VALUE" if is_mapping(hints[name]) else "",
            ) from cause

    @classmethod
    def infos(cls) -> tuple[OptionInfo, ...]:
        """The options in order of declaration, as `describe` shows them."""
        hints = typing.get_type_hints(cls)
        rows = []
        for field in dataclasses.fields(cls):
            default = field.default
            if field.default_factory is not _MISSING:
                default = field.default_factory()
            rows.append(
                OptionInfo(
                    field.name,
                    _type_name(hints[field.name]),
                    default,
                    field.metadata.get("help", ""),
                    _limits_text(field.metadata),
                )
            )
        return tuple(rows)

    def to_dict(self) -> dict[str, Any]:
        """The options as plain values that JSON can hold (tuples become lists)."""
        return {field.name: _plain(getattr(self, field.name)) for field in dataclasses.fields(self)}


def is_mapping(hint: Any) -> bool:
    """Whether a type is `Mapping[K, V]`."""
    origin = typing.get_origin(hint)
    return isinstance(origin, type) and issubclass(origin, Mapping)


_PATHS = re.compile(r"(?<!['\w])(?:[a-z_]\w*\.)+([A-Z]\w*)")  # of classes, before their names


class _Wrong:
    pass


_WRONG = _Wrong()


def _owner(cls: type) -> str:
    return cls.__qualname__.split("<locals>.")[-1].removesuffix(".Config")


def _unknown(cls: type, name: object, known: Iterable[str]) -> UnknownOptionError:
    return UnknownOptionError(
        f"unknown option {name!r} of {_owner(cls)}{did_you_mean(name, known)}",
        f"options: {', '.join(known) or 'none'}",
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Options):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return plain(value)


def _fit(value: Any, hint: Any) -> Any:
    """The value as the type wants it (an int where a float is meant, a list where a tuple is), or _WRONG."""
    value = plain(value)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        if type(None) in args and isinstance(value, str) and value.lower() == "none":
            return None  # the word that the help has for it; as a path it would make a file of that name
        fitted = (_fit(value, arg) for arg in args)
        return next((item for item in fitted if item is not _WRONG), _WRONG)
    if origin is typing.Literal:
        return value if value in args else _WRONG
    if origin is tuple:
        return _fit_tuple(value, args)
    if is_mapping(hint):
        return {key: plain(item) for key, item in value.items()} if isinstance(value, Mapping) else _WRONG
    if hint is float:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        try:
            return float(value) if number and math.isfinite(value) else _WRONG
        except OverflowError:  # a whole number beyond all floats
            return _WRONG
    if hint is int:
        return value if isinstance(value, int) and not isinstance(value, bool) else _WRONG
    if hint is type(None):
        return value if value is None else _WRONG
    kind = origin or hint
    if isinstance(kind, type):
        return value if isinstance(value, kind) else _WRONG
    return value


def _fit_tuple(value: Any, args: tuple[Any, ...]) -> Any:
    if not isinstance(value, (tuple, list)):
        return _WRONG
    wanted = [args[0]] * len(value) if len(args) == 2 and args[1] is Ellipsis else list(args)
    if len(wanted) != len(value):
        return _WRONG
    fitted = tuple(_fit(item, arg) for item, arg in zip(value, wanted, strict=True))
    return _WRONG if any(item is _WRONG for item in fitted) else fitted


def _parse(text: str, hint: Any) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if type(None) in args and text.lower() in ("none", ""):
            return None
        return _parse(text, next(arg for arg in args if arg is not type(None)))
    if origin is typing.Literal:
        return next((choice for choice in args if str(choice) == text), text)
    if origin is tuple:
        return tuple(_parse(part.strip(), args[0]) for part in text.strip("()[]").split(",") if part.strip())
    if hint is bool:
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if text.lower() not in words:
            raise ValueError(text)
        return words[text.lower()]
    if hint in (int, float):
        return hint(text)
    if hint in (str, Any):
        return text
    raise ValueError(text)


def _type_name(hint: Any) -> str:
    if isinstance(hint, type) and typing.get_origin(hint) is None:
        return "None" if hint is type(None) else _owner(hint)
    text = _PATHS.sub(r"\1", str(hint)).replace("NoneType", "None")
    return text.replace("Literal[", "one of [")


def _limits_text(metadata: Mapping[str, Any]) -> str:
    if metadata.get("choices") is not None:
        return "one of " + ", ".join(str(choice) for choice in metadata["choices"])
    words = {"at_least": "≥", "at_most": "≤", "above": ">", "below": "<"}
    limits = metadata.get("limits", {})
    return ", ".join(f"{words[name]} {limit:g}" for name, limit in limits.items() if limit is not None)


def _check_limits(cls: type, field: dataclasses.Field[Any], value: Any) -> None:
    if value is None:
        return
    choices, limits = field.metadata.get("choices"), field.metadata.get("limits", {})
    for item in value if isinstance(value, tuple) else (value,):
        wrong = choices is not None and item not in choices
        if isinstance(item, (int, float)) and not wrong:
            tests = {
                "at_least": lambda x, limit: x >= limit,
                "at_most": lambda x, limit: x <= limit,
                "above": lambda x, limit: x > limit,
                "below": lambda x, limit: x < limit,
            }
            wrong = any(limit is not None and not tests[name](item, limit) for name, limit in limits.items())
        if wrong:
            near = did_you_mean(item, choices) if choices and isinstance(item, str) else ""
            raise ConfigError(
                f"option {field.name!r} of {_owner(cls)} cannot be {value!r}{near}",
                f"allowed: {_limits_text(field.metadata)}",
                f"{field.name}: {field.metadata.get('help', '')}",
            )
