"""`python -m smoothswap` is the `smoothswap` command."""

from __future__ import annotations

import sys
from typing import NoReturn

from smoothswap.core.errors import MissingExtraError


def main() -> NoReturn:
    """Run the command line, or say what its installation lacks."""
    try:
        from smoothswap import cli
    except MissingExtraError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    cli.main()


if __name__ == "__main__":
    main()
