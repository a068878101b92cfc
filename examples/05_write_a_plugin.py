"""Components of one's own: registered in a script, and as a package that only needs to be installed.

The package is written to a temporary folder, installed beside it with pip, and found through its entry point.
Run: python examples/05_write_a_plugin.py
"""

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

import smoothswap
from smoothswap.core.config import Options, option

# In a script or notebook: one decorator.


@smoothswap.register("brightness", kind="loss", summary="squared difference of mean brightness")
class BrightnessLoss(nn.Module):
    """Squared difference of the mean brightness of two batches."""

    @dataclass(frozen=True, kw_only=True)
    class Config(Options):
        """Options of BrightnessLoss."""

        weight: float = option(1.0, "factor on the result", at_least=0)

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Images a, b [B, 3, H, W] → scalar."""
        return self.config.weight * (a.mean() - b.mean()).square()


loss = smoothswap.build("brightness", weight=2.0)
print(f"brightness: {loss(torch.ones(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)).item()} (2 · (1 - 0)² = 2)")

# As a package: a class, a hook that names it, an entry point that names the hook's module.

PYPROJECT = """
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "smoothswap-colour"
version = "0.1.0"

[project.entry-points.smoothswap]
colour = "smoothswap_colour"

[tool.setuptools]
py-modules = ["smoothswap_colour"]
"""

MODULE = '''
"""A plugin for smoothswap: the loss `colour`."""

from dataclasses import dataclass

import smoothswap
from smoothswap.core.component import Component
from smoothswap.core.config import Options, option


@smoothswap.hookimpl
def smoothswap_components():
    return [Component(kind="loss", name="colour", target="smoothswap_colour:ColourLoss", summary="mean colours")]


class ColourLoss:
    """Squared difference of the mean colours."""

    @dataclass(frozen=True, kw_only=True)
    class Config(Options):
        weight: float = option(1.0, "factor on the result", at_least=0)

    def __init__(self, config):
        self.config = config

    def __call__(self, a, b):
        return self.config.weight * (a.mean((2, 3)) - b.mean((2, 3))).square().mean()
'''

SHOW = """
import smoothswap
for plugin in smoothswap.load_plugins():
    print(f"{plugin.name} {plugin.version}: {len(plugin.components)} components, error: {plugin.error}")
print(smoothswap.build("colour", weight=3.0).config)
"""

with tempfile.TemporaryDirectory() as folder:
    package, site = Path(folder, "package"), Path(folder, "site")
    package.mkdir()
    (package / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    (package / "smoothswap_colour.py").write_text(MODULE, encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", str(site), str(package)], check=True)
    # Entry points are read once a process, so a new one shows what a user sees after installing.
    show = f"import sys; sys.path.insert(0, {str(site)!r})\n{SHOW}"
    subprocess.run([sys.executable, "-c", show], check=True)
