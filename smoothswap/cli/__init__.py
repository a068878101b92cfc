"""The `smoothswap` command. Nothing here imports torch until a command needs it, so that `--help` is quick."""

from __future__ import annotations

from smoothswap.cli.app import app, main

__all__ = ["app", "main"]
