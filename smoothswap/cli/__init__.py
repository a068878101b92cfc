"""The `smoothswap` command. Nothing here imports torch until a command needs it, so that `--help` is quick."""

from __future__ import annotations

# ruff: noqa: E402  (one sentence about what is missing comes before the imports that would fail)
from smoothswap.core.extras import require

require("cli")

from smoothswap.cli.app import app, main

__all__ = ["app", "main"]
