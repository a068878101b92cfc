"""Lists of image pairs that show one person or two: LFW's `pairs.txt` and plain columns of paths."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from smoothswap.core.errors import InputError
from smoothswap.core.file_kind import file_kind
from smoothswap.core.files import as_path
from smoothswap.core.picture_files import SUFFIXES

FOLDS = 10
_VECTORS = "name a list of pairs; smoothswap.evaluation.verify measures vectors that `smoothswap embed` wrote"
_SAME = {"1": True, "0": False}


@dataclass(frozen=True, kw_only=True)
class ImagePair:
    """Two images, and whether they show one person.

    Attributes:
        first: path of an image below the images' folder, with `/`.
        second: the other one.
        same: whether both show one person.
        fold: part of the cross-validation that the pair belongs to, from 0.
    """

    first: str
    second: str
    same: bool
    fold: int


@dataclass(frozen=True, kw_only=True)
class PairList:
    """The pairs of a list whose images exist.

    Attributes:
        layout: `lfw` (with folds of its own) or `columns`.
        pairs: the pairs, in the list's order.
        listed: number of pairs in the list.
        missing: images that the list names and the folder does not have.
    """

    layout: str
    pairs: tuple[ImagePair, ...]
    listed: int
    missing: tuple[str, ...]

    @property
    def images(self) -> list[str]:
        """All images of the pairs, each once, sorted."""
        return sorted({name for pair in self.pairs for name in (pair.first, pair.second)})


def read_pairs(path: Path | str, folder: Path | str, *, missing_limit: float = 0.01) -> PairList:
    """Read a list of image pairs.

    Two layouts are known:

    - LFW's: a first line with the number of folds and of pairs of each kind in a fold (`10 300`), or with the latter
      alone; then `name n m` for two images of one person and `name n other m` for two people. Image n of a person is
      `name/name_000n.jpg`, or with another suffix of a picture.
    - Columns: `path path 1` for one person, `path path 0` for two people, separated by tabs, commas or spaces. Without
      a third column the images' folders are the people. Empty lines and those that begin with `#` are passed over.

    A list without folds of its own gets ten: pair i of each kind is in fold i mod 10.

    Args:
        path: the list, UTF-8; names of files that are no UTF-8 stand in it as their bytes.
        folder: the images.
        missing_limit: share of the pairs, 0 to 1, that may name missing images. These pairs are left out.

    Raises:
        InputError: no such list or folder, a line that is no pair, too many pairs with missing images, or pairs of
            one kind in fewer than two folds.
    """
    path, folder = as_path(path, "the list of pairs"), as_path(folder, "the folder")
    if not folder.is_dir():
        raise InputError(f"there is no folder {str(folder)!r}", hint="name the folder with the images of the list")
    lines = _lines(path)
    layout, pairs = _lfw_pairs(path, lines, folder) or ("columns", _column_pairs(path, lines))
    if not pairs:
        raise InputError(f"{str(path)!r} lists no pairs", hint="one pair a line: path, path, and 1 or 0")
    names = {name for pair in pairs for name in (pair.first, pair.second)}
    missing = sorted(name for name in names if not os.path.isfile(folder / name))  # noqa: PTH113 (takes any name)
    gone = set(missing)
    kept = tuple(pair for pair in pairs if pair.first not in gone and pair.second not in gone)
    _check(path, folder, pairs, kept, missing, missing_limit)
    return PairList(layout=layout, pairs=kept, listed=len(pairs), missing=tuple(missing))


def _lines(path: Path) -> list[tuple[int, str]]:
    """The lines that are not empty and no comments, with their numbers from 1."""
    try:
        text = path.read_text("utf-8-sig", errors="surrogateescape")
    except OSError as cause:
        raise InputError(f"cannot read the list of pairs {str(path)!r}", cause.strerror or str(cause)) from cause
    if "\0" in text:
        kind = file_kind(path)
        hint = _VECTORS if kind and ".npz" in kind else "name a list of pairs; a text is saved as UTF-8"
        fact = f"it is {kind}" if kind else "it holds null characters"
        raise InputError(f"{str(path)!r} is no list of pairs, which is text", fact, hint=hint)
    stripped = ((number, line.strip()) for number, line in enumerate(text.splitlines(), 1))
    return [(number, line) for number, line in stripped if line and not line.startswith("#")]


def _lfw_pairs(path: Path, lines: list[tuple[int, str]], folder: Path) -> tuple[str, list[ImagePair]] | None:
    """The pairs of LFW's layout, or None where the first line is not of that layout."""
    if not lines or not re.fullmatch(r"\d+(\s+\d+)?", lines[0][1]):
        return None
    numbers = [int(word) for word in lines[0][1].split()]
    of_a_kind = numbers[-1]
    folds = numbers[0] if len(numbers) == 2 else 0
    pairs: list[ImagePair] = []
    suffixes: dict[str, str] = {}
    for number, line in lines[1:]:
        words = line.split("\t") if "\t" in line else line.split()
        if len(words) == 3:
            words = [words[0], words[1], words[0], words[2]]
        if len(words) != 4 or not (words[1].isdecimal() and words[3].isdecimal()):
            raise InputError(
                f"{path.name}, line {number}: {line!r} is no pair of LFW", hint="name n m, or name n other m"
            )
        first, second = (_lfw_path(folder, words[at], int(words[at + 1]), suffixes) for at in (0, 2))
        pairs.append(ImagePair(first=first, second=second, same=words[0] == words[2], fold=0))
    if folds and len(pairs) != 2 * folds * of_a_kind:
        raise InputError(
            f"{path.name} announces {folds} folds of {of_a_kind} pairs of each kind and lists {len(pairs)} pairs",
            hint="the list is cut off, or its first line is wrong",
        )
    if folds > 1:
        return "lfw", [_in_fold(pair, at // (2 * of_a_kind)) for at, pair in enumerate(pairs)]
    return "lfw", _dealt(pairs)


def _lfw_path(folder: Path, name: str, number: int, suffixes: dict[str, str]) -> str:
    """The image's path; the suffix of a person's first image that is found holds for all of that person."""
    stem = f"{name}/{name}_{number:04d}"
    if name not in suffixes:
        found = (suffix for suffix in SUFFIXES if os.path.isfile(folder / (stem + suffix)))  # noqa: PTH113
        suffixes[name] = next(found, SUFFIXES[0])
    return stem + suffixes[name]


def _column_pairs(path: Path, lines: list[tuple[int, str]]) -> list[ImagePair]:
    pairs = []
    for number, line in lines:
        words = _words(line)
        if len(words) == 3 and words[2] in _SAME:
            same = _SAME[words[2]]
        elif len(words) == 2:
            people = [word.rpartition("/")[0] for word in words]
            if not all(people):
                raise InputError(
                    f"{path.name}, line {number}: it is not known whether {line!r} shows one person",
                    hint="add a third column, 1 for one person and 0 for two, or name images in folders of people",
                )
            same = people[0] == people[1]
        else:
            raise InputError(
                f"{path.name}, line {number}: {line!r} is no pair",
                hint="path, path, and 1 (one person) or 0 (two people), separated by tabs, commas or spaces",
            )
        pairs.append(ImagePair(first=words[0], second=words[1], same=same, fold=0))
    return _dealt(pairs)


def _words(line: str) -> list[str]:
    separator = next((mark for mark in "\t," if mark in line), None)
    return [word.strip().replace("\\", "/").removeprefix("./") for word in line.split(separator)]


def _dealt(pairs: Sequence[ImagePair]) -> list[ImagePair]:
    """Pair i of each kind in fold i mod 10."""
    seen = {True: 0, False: 0}
    dealt = []
    for pair in pairs:
        dealt.append(_in_fold(pair, seen[pair.same] % FOLDS))
        seen[pair.same] += 1
    return dealt


def _in_fold(pair: ImagePair, fold: int) -> ImagePair:
    return ImagePair(first=pair.first, second=pair.second, same=pair.same, fold=fold)


def _check(
    path: Path,
    folder: Path,
    pairs: Sequence[ImagePair],
    kept: Sequence[ImagePair],
    missing: Sequence[str],
    limit: float,
) -> None:
    if not 0 <= limit <= 1:
        raise InputError(f"the limit of missing images cannot be {limit:g}", hint="give a share of the pairs, 0 to 1")
    left_out = len(pairs) - len(kept)
    if left_out > limit * len(pairs):
        shown = ", ".join(missing[:5]) + (", …" if len(missing) > 5 else "")
        raise InputError(
            f"{left_out} of {len(pairs)} pairs name images that {str(folder)!r} does not have",
            f"{len(missing)} missing: {shown}",
            f"allowed: {limit:.1%} of the pairs",
            hint="name another folder, or raise the limit with --missing-limit",
        )
    for same, what in ((True, "of one person"), (False, "of two people")):
        folds = {pair.fold for pair in kept if pair.same is same}
        if len(folds) < 2:
            count = sum(pair.same is same for pair in kept)
            raise InputError(
                f"{path.name} has {count} pairs {what}, too few for a cross-validation", hint=f"list {FOLDS} or more"
            )
