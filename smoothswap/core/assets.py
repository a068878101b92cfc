"""Files that travel inside the package."""

from __future__ import annotations

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
