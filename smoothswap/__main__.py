"""`python -m smoothswap` is the `smoothswap` command."""

from __future__ import annotations

from smoothswap.cli import main

if __name__ == "__main__":
    main()
