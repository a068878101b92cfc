"""The error tree: each error is one of ours and one of Python's, and reads as a paragraph."""

from __future__ import annotations

import pytest

from smoothswap.core import errors


def test_message_has_what_facts_and_hint() -> None:
    error = errors.InputError("no face in 'a.jpg'", "tried: yunet", hint="choose another picture")
    assert str(error) == "no face in 'a.jpg'\n  tried: yunet\nchoose another picture"


@pytest.mark.parametrize(
    ("cls", "builtin", "exit_code"),
    [
        (errors.ConfigError, ValueError, 2),
        (errors.UnknownNameError, LookupError, 2),
        (errors.UnknownOptionError, LookupError, 2),
        (errors.UnknownOptionError, errors.ConfigError, 2),
        (errors.InputError, ValueError, 2),
        (errors.NoFaceError, ValueError, 2),
        (errors.CheckpointError, ValueError, 2),
        (errors.ArgumentError, ValueError, 2),
        (errors.BackendError, RuntimeError, 2),
        (errors.PluginError, RuntimeError, 2),
        (errors.WorkError, RuntimeError, 1),
    ],
)
def test_each_is_ours_and_pythons(cls: type[errors.SmoothSwapError], builtin: type, exit_code: int) -> None:
    error = cls("x")
    assert isinstance(error, errors.SmoothSwapError)
    assert isinstance(error, builtin)
    assert error.exit_code == exit_code
    assert str(error) == "x"
