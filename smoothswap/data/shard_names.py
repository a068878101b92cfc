"""Which files a pattern of shards means."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from pathlib import Path

from smoothswap.core.errors import InputError
from smoothswap.core.files import as_path

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_GLOB = re.compile(r"[*?\[]")
_MOST, _DIGITS = 1_000_000, 18  # files of a pattern, and digits of a number in it


def shard_files(pattern: str) -> list[Path]:
    """The tar files that a pattern names, in its order.

    Args:
        pattern: a folder (all `.tar` files in it), a file, or a path with `{000..127}`, `{a,b}`, `*`, `?`, `[…]`.

    Raises:
        InputError: there is no such file, or some of those that the braces name are missing, or a shard is compressed.
    """
    names = [str(as_path(name, "the shards")) for name in expand_braces(pattern)]
    files: list[Path] = []
    for name in names:
        if Path(name).is_dir():
            files += sorted(Path(name).glob("*.tar"))
        elif _GLOB.search(name) and not Path(name).exists():
            files += sorted(map(Path, glob.glob(name)))  # noqa: PTH207 (absolute patterns)
        else:
            files.append(Path(name))
    missing = [str(path) for path in files if not path.is_file()]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(files)} shards of {pattern!r} are missing",
            *missing[:3],
            hint="check the path, or name only the shards that are there",
        )
    if not files:
        raise InputError(f"there are no shards {pattern!r}", hint="name .tar files, such as data-{0000..0127}.tar")
    packed = next((path for path in files if path.suffix in (".gz", ".tgz", ".zst", ".bz2", ".xz")), None)
    if packed:
        raise InputError(
            f"the shard {str(packed)!r} is compressed",
            "pictures cannot be picked out of a compressed file",
            hint=f"unpack it to a .tar file first, such as by `gunzip {packed.name}`",
        )
    return files


def expand_braces(pattern: str) -> list[str]:
    """`a{0..2}` → `a0`, `a1`, `a2`, and `{x,y}` → `x`, `y`, as shells do; leading zeros stay.

    Raises:
        InputError: more than a million names.
    """
    found = _BRACES.search(pattern)
    if found is None:
        return [pattern]
    numbers = _RANGE.fullmatch(found[1])
    if numbers and max(map(len, numbers.groups())) > _DIGITS:
        raise _too_many(pattern)
    choices: Sequence[str | int] = found[1].split(",")
    width = 0
    if numbers:
        first, last, width = int(numbers[1]), int(numbers[2]), len(numbers[1]) if numbers[1][0] == "0" else 0
        step = 1 if last >= first else -1
        choices = range(first, last + step, step)
    head, rests = pattern[: found.start()], expand_braces(pattern[found.end() :])
    if len(choices) * len(rests) > _MOST:
        raise _too_many(pattern)
    return [
        f"{head}{choice:0{width}}{rest}" if numbers else f"{head}{choice}{rest}" for choice in choices for rest in rests
    ]


def _too_many(pattern: str) -> InputError:
    return InputError(
        f"the braces of {pattern[:200]!r} name more than {_MOST:,} files",
        hint="check their numbers, or name the folder",
    )
