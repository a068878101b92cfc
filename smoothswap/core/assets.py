"""Files that travel inside this package, and inside packages that it needs."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from smoothswap.core.errors import InputError

ROOT = Path(__file__).resolve().parent.parent / "assets"


def shipped(name: str) -> Path:
    """The path of a shipped file, such as `faceworld_64/generator.safetensors`.

    Raises:
        InputError: the installation does not hold it.
    """
    path = ROOT / name
    if not path.is_file():
        raise InputError(
            f"this installation holds no {name!r}",
            f"looked in: {ROOT}",
            hint="reinstall smoothswap, or name a model folder of your own with --model",
        )
    return path


def model_file(package: str, file: str, *, install: str) -> Path:
    """A data file of an installed package, which is found but not imported.

    Args:
        package: top-level name of the package.
        file: path in it.
        install: what to type to get it.

    Raises:
        InputError: the package or the file is not installed.
    """
    spec = importlib.util.find_spec(package)
    path = Path(spec.origin).parent / file if spec is not None and spec.origin else None
    if path is None or not path.is_file():
        raise InputError(f"the model file {Path(file).name!r} of {package!r} is not installed", hint=install)
    return path
