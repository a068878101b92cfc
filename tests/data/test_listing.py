"""Listings: what they hold, what a second start looks at, and which changes it sees."""

from __future__ import annotations

import logging
import os
import shutil
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smoothswap.core.errors import ConfigError, InputError
from smoothswap.data import index_file, listing
from smoothswap.data.identity_folder import IdentityFolder
from smoothswap.data.listing import Listing, list_pictures
from smoothswap.data.name_table import NameTable


def age(root: Path) -> None:
    """Let every folder be an hour old, so that its times can be told from those of a later change."""
    for place, _, _ in os.walk(root):
        os.utime(place, (1e9, 1e9))


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three people with pictures, one below another folder; the time of status, which nobody can set, counts as old."""
    monkeypatch.setattr(index_file, "_RECENT", -(2**62))
    monkeypatch.setattr(index_file, "WORTH", 1)
    monkeypatch.setenv("SMOOTHSWAP_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "faces"
    for name in ("a/1.jpg", "a/2.PNG", "b/1.jpg", "b/more/3.webp", "c/9.jpg", "c/notes.txt", ".git/x.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    age(root)
    return root


@pytest.fixture
def scanned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders that were listed."""
    seen: list[str] = []
    scan = listing._scan

    def spy(folder: bytes) -> Any:
        seen.append(Path(os.fsdecode(folder)).name)
        return scan(folder)

    monkeypatch.setattr(listing, "_scan", spy)
    return seen


def paths(found: Listing) -> list[str]:
    owner = np.searchsorted(found.starts, np.arange(len(found.files)), side="right") - 1
    return [f"{found.folders[int(d)]}/{name}" for d, name in zip(owner, found.files, strict=True)]


ALL = ["a/1.jpg", "a/2.PNG", "b/1.jpg", "b/more/3.webp", "c/9.jpg"]


def test_a_second_start_lists_nothing(tree: Path, scanned: list[str]) -> None:
    assert paths(list_pictures(tree, "auto")) == ALL
    assert scanned == ["faces", "a", "b", "more", "c"]
    written = list((tree.parent / "cache" / "indexes").iterdir())
    stamp = written[0].stat().st_mtime_ns
    scanned.clear()
    assert paths(list_pictures(tree, "auto")) == ALL
    assert scanned == []
    assert [(path, path.stat().st_mtime_ns) for path in (tree.parent / "cache" / "indexes").iterdir()] == [
        (written[0], stamp)
    ], "nor does it write"


def change(tree: Path, what: str) -> None:
    if what == "added":
        (tree / "b" / "0.png").touch()
    elif what == "removed":
        (tree / "a" / "2.PNG").unlink()
    elif what == "renamed":
        (tree / "c" / "9.jpg").rename(tree / "c" / "8.jpg")
    elif what == "new person":
        (tree / "aa").mkdir()
        (tree / "aa" / "5.jpg").touch()
    elif what == "person gone":
        shutil.rmtree(tree / "b")
    elif what == "person renamed":
        (tree / "a").rename(tree / "z")
    elif what == "same time":  # the time of content set back, as some copying programs do
        (tree / "b" / "0.png").touch()
        os.utime(tree / "b", (1e9, 1e9))


CHANGES = {
    "added": (["b"], ["a/1.jpg", "a/2.PNG", "b/0.png", "b/1.jpg", "b/more/3.webp", "c/9.jpg"]),
    "removed": (["a"], ["a/1.jpg", "b/1.jpg", "b/more/3.webp", "c/9.jpg"]),
    "renamed": (["c"], ["a/1.jpg", "a/2.PNG", "b/1.jpg", "b/more/3.webp", "c/8.jpg"]),
    "new person": (["faces", "aa"], ["a/1.jpg", "a/2.PNG", "aa/5.jpg", "b/1.jpg", "b/more/3.webp", "c/9.jpg"]),
    "person gone": (["faces"], ["a/1.jpg", "a/2.PNG", "c/9.jpg"]),
    "person renamed": (["faces", "z"], ["b/1.jpg", "b/more/3.webp", "c/9.jpg", "z/1.jpg", "z/2.PNG"]),
    "same time": (["b"], ["a/1.jpg", "a/2.PNG", "b/0.png", "b/1.jpg", "b/more/3.webp", "c/9.jpg"]),
}


@pytest.mark.parametrize("what", CHANGES)
def test_only_what_changed_is_listed_again(tree: Path, scanned: list[str], what: str) -> None:
    list_pictures(tree, "auto")
    change(tree, what)
    scanned.clear()
    found = list_pictures(tree, "auto")
    assert (scanned, paths(found)) == CHANGES[what]
    assert paths(found) == paths(list_pictures(tree, None)), "as without an index"
    scanned.clear()
    assert paths(list_pictures(tree, "auto")) == CHANGES[what][1]
    assert scanned == [], "the changes are in the index now"


def test_a_folder_that_changed_a_moment_ago_is_not_trusted(
    tree: Path, scanned: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_file, "_RECENT", 2**60)
    list_pictures(tree, "auto")
    scanned.clear()
    list_pictures(tree, "auto")
    assert len(scanned) == 5, "another change could have the same time"


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "other", "misfit"])
def test_a_damaged_index_is_made_anew_and_said_so(
    tree: Path, damage: str, caplog: pytest.LogCaptureFixture, scanned: list[str]
) -> None:
    path = tree.parent / "index.npz"
    list_pictures(tree, str(path))
    whole = path.read_bytes()
    if damage == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif damage == "flipped":
        place = whole.index(b"1.jpg2.PNG")
        path.write_bytes(whole[:place] + b"7" + whole[place + 1 :])
    elif damage == "empty":
        path.write_bytes(b"")
    else:
        with np.load(path) as file:
            arrays = dict(file)
        changes = {"head": np.array("shards 1")} if damage == "other" else {"starts": arrays["starts"][:-1]}
        np.savez(path, **{**arrays, **changes})
    scanned.clear()
    with caplog.at_level(logging.WARNING):
        assert paths(list_pictures(tree, str(path))) == ALL
    assert len(scanned) == 5
    assert "is made anew" in caplog.text
    scanned.clear()
    list_pictures(tree, str(path))
    assert scanned == []


def test_a_file_that_is_no_index_is_never_written_over(tree: Path) -> None:
    photograph = tree / "a" / "1.jpg"
    photograph.write_bytes(b"\xff\xd8\xff")
    with pytest.raises(ConfigError, match=r"1.jpg': it is a file of another kind"):
        list_pictures(tree, str(photograph))
    assert photograph.read_bytes() == b"\xff\xd8\xff"
    with pytest.raises(ConfigError, match="Is a directory"):
        list_pictures(tree, str(tree))


def test_a_place_that_cannot_be_written_does_not_matter(tree: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert paths(list_pictures(tree, "/proc/nowhere/index.npz")) == ALL
    assert "no index is kept" in caplog.text


def test_none_keeps_nothing_and_few_are_not_worth_it(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    list_pictures(tree, None)
    monkeypatch.setattr(index_file, "WORTH", 1_000)
    list_pictures(tree, "auto")
    assert not (tree.parent / "cache").exists()
    list_pictures(tree, str(tree.parent / "new" / "index.npz"))
    assert (tree.parent / "new" / "index.npz").is_file(), "a named one is always kept"


def test_names_that_are_no_text(tree: Path) -> None:
    (Path(os.fsdecode(os.fsencode(tree) + b"/a/\xff\xfe.jpg"))).touch()
    list_pictures(tree, "auto")
    found = list_pictures(tree, "auto")
    name = found.files[2]
    assert os.fsencode(name) == b"\xff\xfe.jpg"
    assert (tree / "a" / name).exists()


def test_a_folder_that_may_not_be_read(tree: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    scan = listing._scan

    def refuse(folder: bytes) -> Any:
        if folder.endswith(b"/b"):
            raise PermissionError(13, "Permission denied")
        return scan(folder)

    monkeypatch.setattr(listing, "_scan", refuse)
    with caplog.at_level(logging.WARNING):
        assert paths(list_pictures(tree, "auto")) == ["a/1.jpg", "a/2.PNG", "c/9.jpg"]
    assert "cannot be read: b; Permission denied" in caplog.text
    monkeypatch.setattr(listing, "_scan", scan)
    assert paths(list_pictures(tree, "auto")) == ALL, "tried again at the next start"
    monkeypatch.setattr(listing, "_scan", lambda folder: refuse(b"/b"))
    with pytest.raises(InputError, match="cannot read the folder"):
        list_pictures(tree, None)


def test_what_workers_are_given_does_not_grow(tmp_path: Path) -> None:
    sizes = []
    for count in (20, 2_000):
        for person in ("a", "b"):
            (tmp_path / str(count) / person).mkdir(parents=True)
            for i in range(count):
                (tmp_path / str(count) / person / f"{i:06}.jpg").touch()
        config = IdentityFolder.Config(folder=str(tmp_path / str(count)), held_out=0.0, mirror=True, index=None)
        sizes.append(len(bytes(ForkingPickler.dumps(IdentityFolder(config)))))
    assert abs(sizes[1] - sizes[0]) < 100


def test_a_table_of_names() -> None:
    table = NameTable.of([b"abc", b"", b"de"])
    assert list(table) == ["abc", "", "de"]
    assert table == ["abc", "", "de"]
    assert table[-1] == "de"
    assert table[1:] == ["", "de"]
    assert len(NameTable.of([])) == 0
    with pytest.raises(IndexError):
        table[3]
    with pytest.raises(ValueError, match="do not fit"):
        NameTable(np.zeros(4, np.uint8), np.array([0, 3, 2, 4]))


def test_what_is_no_picture_is_counted_also_from_an_index(tree: Path, scanned: list[str], caplog: Any) -> None:
    for name in ("a/x.HEIC", "a/y.heic", "b/more/raw.cr2", "b/report.json", "manifest.jsonl", "b/none", ".git/z.cr2"):
        (tree / name).touch()
    age(tree)
    counts = {".heic": 2, ".cr2": 1, "": 1, ".txt": 1}
    assert dict(list_pictures(tree, "auto").left_out) == counts
    scanned.clear()
    assert dict(list_pictures(tree, "auto").left_out) == counts
    assert scanned == []
    (tree / "b" / "more" / "raw.cr2").unlink()
    assert dict(list_pictures(tree, "auto").left_out) == {".heic": 2, "": 1, ".txt": 1}
    with caplog.at_level(logging.WARNING):
        data = IdentityFolder(IdentityFolder.Config(folder=str(tree), held_out=0.0, min_images=1))
    assert dict(data.left_out) == {".heic": 2, "": 1, ".txt": 1}
    assert "4 files that are no pictures: 2 × .heic, 1 × without a suffix, 1 × .txt" in caplog.text
