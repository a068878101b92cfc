"""Naming the data package must not load what its parts need."""

from __future__ import annotations

import subprocess
import sys


def test_the_package_is_light() -> None:
    code = "import sys, smoothswap.data; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
