"""THIRD_PARTY.md names every package that pyproject.toml asks for, and everything those bring along."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _needs(requirements: list[str]) -> set[str]:
    """The requirements and, as far as they are installed, what they need themselves."""
    names: set[str] = set()
    open_ = [Requirement(text) for text in requirements]
    while open_:
        requirement = open_.pop()
        if requirement.marker and not any(
            requirement.marker.evaluate({"extra": extra}) for extra in ("", *requirement.extras)
        ):
            continue
        name = _plain(requirement.name)
        if name in names:
            continue
        names.add(name)
        try:
            below = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        for text in below:
            need = Requirement(text)
            extras = requirement.extras or {""}
            if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in extras):
                need.marker = None
                open_.append(need)
    return names


def test_every_dependency_has_its_licence_named() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [*project["dependencies"], *(text for extra in project["optional-dependencies"].values() for text in extra)]
    text = _plain((ROOT / "THIRD_PARTY.md").read_text(encoding="utf-8"))
    # CUDA builds of torch bring a changing set of NVIDIA packages, named there as a group.
    unnamed = {name for name in _needs(asked) if name not in text and not name.startswith(("nvidia-", "cuda-"))}
    assert not unnamed
