"""What data sets are read from: tars, folders of identities, indexes, manifests, lists of pairs, stores of vectors."""

from __future__ import annotations

import functools
import io
import json
import os
import socket
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

from fuzz.case import Case, Part
from fuzz.mutation import mutated
from fuzz.photographs import seeds as pictures
from fuzz.trees import VALUES, changed
from hypothesis import strategies as st

import smoothswap
from smoothswap.data.crop_points import MANIFEST
from smoothswap.evaluation.pair_list import read_pairs

_OPTIONS = {"image_size": 8, "split": "all", "min_images": 1}
_NAMES = st.one_of(
    st.sampled_from(["a/1.jpg", "a/2.png", "b/1.jpg", "b/2.tif", "1.jpg", "a/1.cls", "a/1.json", "..", "/a.png",
        "a//b.jpg"]),
    st.sampled_from(["c\\d.jpg", "x" * 300 + ".png", ".hidden/a.jpg", "é/ü.webp", "a b/c d.jpg", "a\nb/1.png",
        "a/b/c/1.jpg"]),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1,
        max_size=5).map(lambda name: f"p/{name}.png"),
)  # fmt: skip


@functools.cache
def _picture(name: str = "colour.jpg") -> bytes:
    return pictures()[name]


def _read_all(kind: str, **options: object) -> None:
    data = smoothswap.build(kind, "dataset", **{**_OPTIONS, **options})
    for number in range(min(len(data), 6)):
        data[number]
    str(getattr(data, "broken", ""))


_JSON = st.one_of(VALUES, st.dictionaries(st.sampled_from(["person", "label", "class", "x"]), VALUES, max_size=2))
_CONTENTS = st.one_of(
    st.sampled_from(["colour.jpg", "grey.png", "deep.tif"]).map(_picture),
    st.binary(max_size=20),
    _JSON.map(lambda tree: json.dumps(tree).encode("utf-8", "replace")),
    st.just(b"person"),
)


@st.composite
def _tar(draw: st.DrawFn) -> bytes:
    file = io.BytesIO()
    form = draw(st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT]))
    with tarfile.open(fileobj=file, mode="w", format=form) as tar:
        for at in range(draw(st.integers(0, 5))):
            usual = f"{'ab'[at % 2]}/{at // 2}.{draw(st.sampled_from(['jpg', 'png', 'cls', 'json', 'JPG', 'tar']))}"
            member = tarfile.TarInfo(draw(st.one_of(st.just(usual), st.just(usual), _NAMES)))
            member.type = draw(
                st.sampled_from(
                    [tarfile.REGTYPE] * 6
                    + [
                        tarfile.SYMTYPE,
                        tarfile.LNKTYPE,
                        tarfile.DIRTYPE,
                        tarfile.FIFOTYPE,
                        tarfile.CONTTYPE,
                        b"S",
                        b"x",
                        b"L",
                        b"Z",
                    ]
                )
            )
            member.linkname = draw(st.sampled_from(["", "a/0.jpg", usual, "../x", "/etc/passwd"]))
            content = draw(_CONTENTS)
            member.size = len(content) if member.isreg() or member.type in b"xLSZ" else 0
            try:
                tar.addfile(member, io.BytesIO(content))
            except (ValueError, UnicodeError, tarfile.TarError):
                continue  # a name that the form cannot hold
    content = file.getvalue()
    return draw(mutated(content)) if draw(st.booleans()) else content


@st.composite
def _shards(draw: st.DrawFn) -> Case:
    files = {f"{n}.tar": draw(_tar()) for n in range(draw(st.integers(1, 2)))}
    pattern = draw(
        st.sampled_from([".", "0.tar", "{0..1}.tar", "*.tar", "{0,1}.tar", "{1..0}.tar", "[0.tar", "{", "no"])
    )
    person = draw(st.sampled_from(["auto", "auto", "cls", "folder", "json:person", "json:x"]))
    index = draw(st.sampled_from([None, "index.npz"]))
    return Case(
        f"webdataset {pattern!r}, person={person}, index={index}",
        lambda: _read_all("webdataset", shards=pattern, person=person, index=index, workers=1),
        files,
    )


def _lay(entries: list[tuple[str, str]]) -> None:
    """Make folders, links, pipes and sockets below `people`, as far as the file system takes their names."""
    for name, kind in entries:
        path = Path("people", name.lstrip("/"))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if kind == "pipe":
                os.mkfifo(path)
            elif kind == "socket":
                with socket.socket(socket.AF_UNIX) as end:
                    end.bind(str(path))
            elif kind == "folder":
                path.mkdir()
            elif kind.startswith("->"):
                path.symlink_to(kind[2:])
            else:
                path.write_bytes(_picture(kind))
        except (OSError, UnicodeError):
            continue


@st.composite
def _folder(draw: st.DrawFn) -> Case:
    kinds = ["colour.jpg"] * 4 + [
        "grey.png",
        "pipe",
        "socket",
        "folder",
        "->.",
        "->..",
        "->no",
        "->1.jpg",
        "->/dev/zero",
        "->/proc/self",
    ]
    entries = [(f"{'ab'[n % 2]}/{n}.jpg", "colour.jpg") for n in range(draw(st.integers(0, 4)))]
    entries += draw(st.lists(st.tuples(_NAMES, st.sampled_from(kinds)), max_size=5))
    kind = draw(st.sampled_from(["identity_folder", "image_folder", "same_person", "pasted_faces"]))
    options = {"image_size": 8} if kind == "pasted_faces" else {}
    rows = [json.dumps({"settings": {}})]
    rows += [json.dumps(draw(changed(_ROW))) for _ in range(draw(st.integers(0, 3)))]
    manifest = draw(st.booleans())

    def call() -> None:
        _lay(entries)
        if manifest and Path("people").is_dir():
            Path("people", MANIFEST).write_text("\n".join(rows), "utf-8", "replace")
        own = {
            key: value
            for key, value in {**_OPTIONS, **options}.items()
            if kind in ("identity_folder", "webdataset") or key != "min_images"
        }
        data = smoothswap.build(kind, "dataset", folder="people", **own)
        for number in range(min(len(data), 6)):
            data[number]

    return Case(f"{kind} of {entries}, manifest={manifest and rows}", call)


_ROW = {
    "source": "a/0.jpg",
    "stamp": [1, 2],
    "crops": [{"file": "a/0.jpg", "box": [0, 0, 1, 1], "score": 0.9, "side": 20, "points": [[0.3, 0.4], [0.7, 0.4],
        [0.5, 0.6], [0.4, 0.8], [0.6, 0.8]]}],
    "failure": "",
}  # fmt: skip


def _people() -> Mapping[str, bytes]:
    return {f"people/{who}/{number}.jpg": _picture() for who in "ab" for number in (1, 2)}


@functools.cache
def indexes() -> Mapping[str, bytes]:
    """The index of a folder, and of a tar."""
    before, folder = Path.cwd(), Path(tempfile.mkdtemp())
    os.chdir(folder)
    try:
        _write(_people())
        with tarfile.open("0.tar", "w") as tar:
            tar.add("people/a", "a")
            tar.add("people/b", "b")
        _read_all("identity_folder", folder="people", index="folder.npz")
        _read_all("webdataset", shards="0.tar", index="shards.npz", workers=1)
        return {name: Path(name).read_bytes() for name in ("folder.npz", "shards.npz", "0.tar")}
    finally:
        os.chdir(before)


def _write(files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(content)


@st.composite
def _index(draw: st.DrawFn) -> Case:
    import numpy as np

    name = draw(st.sampled_from(["folder.npz", "shards.npz"]))
    content = indexes()[name]
    if draw(st.booleans()):
        with np.load(io.BytesIO(content)) as loaded:
            arrays = dict(loaded)
        key = draw(st.sampled_from(sorted(arrays)))
        array = arrays[key]
        way = draw(st.sampled_from(["gone", "text", "shorter", "float", "numbers", "shape"]))
        if way == "gone":
            del arrays[key]
        else:
            arrays[key] = {
                "text": np.array(["x"]),
                "shorter": array.reshape(-1)[:-1],
                "float": np.full(array.shape, np.nan),
                "numbers": np.full(array.shape, draw(st.sampled_from([0, 1, 255, -1, 2**40, 2**63 - 1])), np.int64),
                "shape": array.reshape(1, -1, 1),
            }[way]
        file = io.BytesIO()
        np.savez(file, **arrays)
        content = file.getvalue()
    else:
        content = draw(mutated(content))
    options = {"folder": "people"} if name == "folder.npz" else {"shards": "0.tar", "workers": 1}
    kind = "identity_folder" if name == "folder.npz" else "webdataset"

    def call() -> None:
        if kind == "identity_folder":
            for path in ("people/a", "people/b", "people"):
                os.utime(path, ns=(1, 1))
        _read_all(kind, index=name, **options)

    return Case(f"{kind} with a damaged index", call, {**_people(), "0.tar": indexes()["0.tar"], name: content})


_WORDS = st.one_of(
    st.sampled_from(["a/1.jpg", "a/2.jpg", "b/1.jpg", "b/2.jpg", "a", "b", "1", "2", "0", "-1", "10", "9" * 5000,
        "/etc/passwd", "../x", "x" * 300, "é", "٣", "#", "./a/1.jpg", "a\\1.jpg", "{}", "\0"]),
    st.text(max_size=4),
)  # fmt: skip


@st.composite
def _pairs(draw: st.DrawFn) -> Case:
    usual = ["a/1.jpg a/2.jpg 1", "a/1.jpg b/1.jpg 0", "b/1.jpg b/2.jpg 1", "b/2.jpg a/1.jpg 0"] * 3
    lfw = ["2 1", "a\t1\t2", "a\t1\tb\t1", "b\t1\t2", "b\t2\ta\t2"]
    lines = list(draw(st.sampled_from([usual, lfw, []])))
    for _ in range(draw(st.integers(0, 4))):
        mark = draw(st.sampled_from([" ", "\t", ",", "  "]))
        lines.insert(draw(st.integers(0, len(lines))), mark.join(draw(st.lists(_WORDS, max_size=5))))
    content = draw(st.sampled_from(["\n", "\r\n", "\r"])).join(lines).encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 3)) == 0:
        content = draw(mutated(content or b"\0"))
    limit = draw(st.sampled_from([0.0, 0.5, 1.0]))
    files = {**{name.removeprefix("people/"): data for name, data in _people().items()}, "pairs.txt": content}
    return Case(
        f"pairs {content[:2000]!r}, limit {limit}", lambda: read_pairs("pairs.txt", ".", missing_limit=limit), files
    )


PART = Part(
    "data_sets",
    "tars, folders with odd names, links and pipes, indexes, manifests and lists of pairs",
    st.one_of(_shards(), _folder(), _index(), _pairs()),
    indexes,
)
