"""Every error that smoothswap raises on purpose: one tree, and one shape of message.

The first line says what is wrong and with which value, indented lines give the facts, the last line says what to do.
Each class also derives from the built-in exception that a caller would expect to catch.
"""

from __future__ import annotations


class SmoothSwapError(Exception):
    """Root of the tree.

    Args:
        what: what is wrong, naming the value.
        facts: lines that help to see why; they are printed indented.
        hint: what to type or do next.
    """

    exit_code = 2

    def __init__(self, what: str, *facts: str, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.facts = facts
        self.hint = hint

    def __str__(self) -> str:
        lines = [self.what, *(f"  {fact}" for fact in self.facts)]
        if self.hint:
            lines.append(self.hint)
        return "\n".join(lines)


class ConfigError(SmoothSwapError, ValueError):
    """An option or a recipe has a value that it cannot have."""


class UnknownNameError(SmoothSwapError, LookupError):
    """A name that no component, option, recipe or plugin has."""


class UnknownOptionError(UnknownNameError, ConfigError):
    """An option that a component or a recipe does not have: an unknown name, and no way to configure it."""


class InputError(SmoothSwapError, ValueError):
    """A picture, folder or file of the user's that cannot be used."""


class NoFaceError(InputError):
    """A picture in which the face that was asked for is not found."""


class CheckpointError(SmoothSwapError, ValueError):
    """A weights or checkpoint file that is damaged or belongs to another model."""


class ArgumentError(SmoothSwapError, ValueError):
    """A tensor argument with the wrong shape, dtype, device or value."""


class NotFiniteError(ArgumentError):
    """A tensor argument that holds NaN or infinite values, found where the values were looked at."""


class MissingExtraError(SmoothSwapError, ImportError):
    """A package that only an extra of smoothswap brings."""


class BackendError(SmoothSwapError, RuntimeError):
    """A kernel backend that was asked for and cannot run."""


class DerivativeError(SmoothSwapError, NotImplementedError):
    """A derivative, or another transform, that an op does not have."""


class PluginError(SmoothSwapError, RuntimeError):
    """A plugin that could not be loaded, or two that claim the same name."""


class WorkError(SmoothSwapError, RuntimeError):
    """Something failed while working: a full disk, a worker that died, a training that diverged."""

    exit_code = 1
