"""webdataset: tars of every dialect, who is shown, splits, damage, and the index."""

from __future__ import annotations

import io
import json
import logging
import tarfile
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import smoothswap
from smoothswap.core.errors import ConfigError, InputError
from smoothswap.data import index_file, shard_listing
from smoothswap.data.identity_folder import IdentityFolder
from smoothswap.data.loader import Loader
from smoothswap.data.sampler import PKSampler
from smoothswap.data.shard_names import expand_braces
from smoothswap.data.webdataset import WebDataset


def picture(value: int) -> bytes:
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[:, :8] = value
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "png")
    return data.getvalue()


def tar(path: Path, members: list[tuple[str, bytes]], form: int = tarfile.USTAR_FORMAT) -> Path:
    with tarfile.open(path, "w", format=form) as file:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return path


def shards(root: Path) -> str:
    """Pictures 1 … 12 of three people, mixed over three shards, told by `.cls`."""
    for shard in range(3):
        members = []
        for i in range(shard, 12, 3):
            members += [(f"{i:06}.png", picture(i + 1)), (f"{i:06}.cls", f"{i // 4}\n".encode())]
        tar(root / f"d-{shard:03}.tar", members)
    return str(root / "d-{000..002}.tar")


def data(pattern: str, **options: object) -> WebDataset:
    values = {"shards": pattern, "image_size": 16, "held_out": 0.0} | options
    return WebDataset(WebDataset.Config.make(values))


def values(dataset: Any) -> list[tuple[int, int]]:
    return [(item["person"], int(item["image"].max())) for item in map(dataset.__getitem__, range(len(dataset)))]


def test_people_are_put_together_from_all_shards(tmp_path: Path) -> None:
    found = data(shards(tmp_path))
    assert found.names == ["0", "1", "2"]
    assert found.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert {(i // 4, i + 1) for i in range(12)} == set(values(found))
    assert found.path(0) == tmp_path / "d-000.tar" / "000000.png"
    assert found.files[1] == "d-000.tar/000003.png"


def test_patterns(tmp_path: Path) -> None:
    pattern = shards(tmp_path)
    for other in (str(tmp_path), str(tmp_path / "d-*.tar"), str(tmp_path / "d-{000,001,002}.tar")):
        assert values(data(other)) == values(data(pattern))
    assert expand_braces("a{8..11}{x,y}") == [f"a{i}{c}" for i in range(8, 12) for c in "xy"]
    assert expand_braces("{007..010}") == ["007", "008", "009", "010"]
    with pytest.raises(InputError, match=r"(?s)2 of 5 shards of .* are missing.*d-003.tar"):
        data(str(tmp_path / "d-{000..004}.tar"))
    with pytest.raises(InputError, match="there are no shards"):
        data(str(tmp_path / "e-*.tar"))
    (tmp_path / "x.tar.gz").touch()
    with pytest.raises(InputError, match=r"x.tar.gz' is compressed"):
        data(str(tmp_path / "x.tar.gz"))


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_dialect_and_long_names(tmp_path: Path, form: int) -> None:
    depth = ["person" * 12 if form == tarfile.USTAR_FORMAT else "person" * 60, "é" * 20]
    members = []
    for person in "ab":
        for i in range(3):
            members.append((f"./{person}{depth[0]}/{depth[1]}{i}.jpg.png", picture(i + 10 * ord(person) - 960)))
    path = tar(tmp_path / "x.tar", members, form)
    with path.open("ab") as file:
        file.write(b"anything may follow the end mark")
    found = data(str(path), person="folder")
    assert found.names == ["a" + depth[0], "b" + depth[0]]
    assert [value for _, value in values(found)] == [10, 11, 12, 20, 21, 22]
    assert found.damaged == {}
    assert found.files[0].endswith(f"{depth[1]}0.jpg.png")


def test_a_size_in_base_256_and_in_a_pax_header(tmp_path: Path) -> None:
    path = tar(tmp_path / "x.tar", [(f"{p}/{i}.png", picture(9)) for p in "ab" for i in range(2)])
    content = bytearray(path.read_bytes())
    size = int(content[124:136].strip(b"\0 "), 8)
    content[124:136] = b"\x80" + size.to_bytes(11, "big")
    content[148:156] = b" " * 8
    content[148:156] = b"%06o\0 " % sum(content[:512])
    path.write_bytes(content)
    assert len(data(str(path))) == 4
    with tarfile.open(tmp_path / "y.tar", "w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "all"}) as file:
        for p in "ab":
            for i in range(2):
                info = tarfile.TarInfo(f"{p}/{i}.png")
                info.size = len(picture(3))
                info.pax_headers = {"size": str(info.size), "comment": "a = b\n"}
                file.addfile(info, io.BytesIO(picture(3)))
    assert {value for _, value in values(data(str(tmp_path / "y.tar")))} == {3}


def told(root: Path, what: str) -> str:
    members = []
    for p in range(2):
        for i in range(2):
            key = f"who{p}/{i}" if what == "folder" else f"{p}{i}"
            members.append((key + ".PNG", picture(9)))
            if what == "cls":
                members.append((key + ".cls", b"who%d" % p))
            if what == "json":
                members.append((key + ".json", json.dumps({"age": 30, "identity": f"who{p}", "id": p}).encode()))
    members.append(("9.png", picture(1)))
    return str(tar(root / "x.tar", members))


@pytest.mark.parametrize("what", ["cls", "json", "folder"])
def test_who_is_shown_is_found_out(tmp_path: Path, what: str) -> None:
    found = data(told(tmp_path, what))
    assert found.names == ["who0", "who1"]
    assert found.nobody == 1


def test_who_is_shown_can_be_said(tmp_path: Path) -> None:
    path = told(tmp_path, "json")
    assert data(path, person="json:id").names == ["0", "1"]
    with pytest.raises(InputError, match=r"(?s)too few people: 1 .*told by: json:age"):
        data(path, person="json:age")
    with pytest.raises(InputError, match=r"(?s)too few people: 0 .*samples of nobody: 5"):
        data(path, person="json:name")
    with pytest.raises(ConfigError, match="'person' of WebDataset cannot be 'name'"):
        data(path, person="name")
    bare = tar(tmp_path / "y.tar", [("1.png", picture(1)), ("1.json", b'{"age": 3}')])
    with pytest.raises(InputError, match=r"(?s)does not say whom it shows: '1'.*keys of its .json: age"):
        data(str(bare))
    with pytest.raises(InputError, match="hold no pictures"):
        data(str(tar(tmp_path / "z.tar", [("1.txt", b"")])))


def test_split_and_options_are_those_of_a_folder(tmp_path: Path) -> None:
    members = []
    for p in range(30):
        (tmp_path / "faces" / f"n{p:03}").mkdir(parents=True)
        for i in range(2 + p % 2):
            (tmp_path / "faces" / f"n{p:03}" / f"{i}.png").write_bytes(picture(5 * p + i))
            members.append((f"n{p:03}/{i}.png", picture(5 * p + i)))
    path = tar(tmp_path / "x.tar", members)
    for split in ("train", "held_out"):
        options = {"split": split, "held_out": 0.3, "min_images": 3, "mirror": True, "image_size": 16}
        folder = IdentityFolder(IdentityFolder.Config.make({"folder": str(tmp_path / "faces"), **options}))
        packed = data(str(path), **options)
        assert (packed.names, packed.dropped) == (folder.names, folder.dropped)
        assert torch.equal(packed.labels, folder.labels)
        assert all(torch.equal(packed[i]["image"], folder[i]["image"]) for i in range(len(folder)))


@pytest.mark.parametrize("where", ["content", "header", "end", "garbage", "checksum", "size"])
def test_a_damaged_shard_gives_what_lies_before_the_damage(tmp_path: Path, where: str, caplog: Any) -> None:
    members = [(f"{p}/{i}.png", picture(20)) for p in "ab" for i in range(3)]
    path = tar(tmp_path / "x.tar", members)
    whole = path.read_bytes()
    step = 512 + -(-len(picture(20)) // 512) * 512
    if where == "garbage":
        path.write_bytes(whole[: 5 * step] + b"\x07" * 2000)
    elif where in ("checksum", "size"):
        header = bytearray(whole[5 * step :][:512])
        if where == "checksum":
            header[148:156] = b"0089990\0"
        else:  # a negative size must not lead back
            header[124:136] = b"-0000007000\0"
            header[148:156] = b"%06o\0 " % (sum(header[:148]) + 8 * 32 + sum(header[156:]))
        path.write_bytes(whole[: 5 * step] + header + whole[5 * step + 512 :])
    else:
        path.write_bytes(whole[: 5 * step + {"content": 530, "header": 100, "end": 0}[where]])
    with caplog.at_level(logging.WARNING):
        found = data(str(path))
    assert len(found) == 5
    assert {value for _, value in values(found)} == {20}
    assert list(found.damaged) == found.broken == [path]
    assert "left out the rest of a shard" in caplog.text


def test_broken_pictures_are_as_in_folders(tmp_path: Path) -> None:
    members = [
        (f"{p}/{i}.png", b"" if (p, i) == ("b", 1) else picture(10 * i + ord(p))) for p in "abc" for i in range(3)
    ]
    found = data(str(tar(tmp_path / "x.tar", members)))
    loader = Loader(found, PKSampler(found.labels, 3, 3), workers=2)
    for _ in range(3):
        labels = next(loader)["person"].view(3, 3)
        assert labels.eq(labels[:, :1]).all()
    loader.close()
    assert found.broken == [tmp_path / "x.tar" / "b" / "1.png"]


def test_only_changed_shards_are_listed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_file, "_RECENT", -(2**62))
    pattern, index = shards(tmp_path), str(tmp_path / "index.npz")
    listed: list[str] = []
    read = shard_listing.read_shard
    monkeypatch.setattr(
        shard_listing, "read_shard", lambda path, person: listed.append(path.name) or read(path, person)
    )
    first = values(data(pattern, index=index))
    assert len(listed) == 3
    assert values(data(pattern, index=index)) == first
    assert len(listed) == 3
    tar(tmp_path / "d-001.tar", [("zz.png", picture(99)), ("zz.cls", b"2")])
    changed = values(data(pattern, index=index))
    assert listed[3:] == ["d-001.tar"]
    assert changed == values(data(pattern, index=None))
    assert (2, 99) in changed
    listed.clear()
    assert values(data(str(tmp_path / "d-{002,000}.tar"), index=index)) == values(
        data(str(tmp_path / "d-{002,000}.tar"), index=None)
    )
    assert listed == ["d-002.tar", "d-000.tar"], "only without the index"
    listed.clear()
    with pytest.raises(InputError, match="too few people: 0"):
        data(str(tmp_path / "d-{002,000}.tar"), index=index, person="folder")
    assert len(listed) == 2, "people told in another way"


def test_a_shard_that_is_cut_off_later(tmp_path: Path) -> None:
    pattern = shards(tmp_path)
    found = data(pattern)
    (tmp_path / "d-002.tar").write_bytes(b"")
    assert {value for _, value in values(found)} <= set(range(1, 13))
    assert {path.parent.name for path in found.broken} == {"d-002.tar"}


def test_listing_in_processes_gives_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pattern = shards(tmp_path)
    alone = values(data(pattern, index=None))
    monkeypatch.setattr(shard_listing, "_LARGE", 0)
    assert values(data(pattern, index=None, workers=2)) == alone


def test_many_shards_are_not_all_open_at_once(tmp_path: Path) -> None:
    for shard in range(70):
        tar(tmp_path / f"{shard:02}.tar", [(f"{shard % 2}/{shard}.png", picture(shard + 1))])
    found = data(str(tmp_path))
    assert sorted(value for _, value in values(found)) == list(range(1, 71))
    assert len(found.store._handles) == 64


def test_what_workers_are_given_does_not_grow(tmp_path: Path) -> None:
    sizes = []
    for count in (10, 500):
        path = tar(tmp_path / f"{count:03}.tar", [(f"{p}/{i}.png", b"") for p in "ab" for i in range(count)])
        sizes.append(len(bytes(ForkingPickler.dumps(data(str(path), index=None)))))
    assert abs(sizes[1] - sizes[0]) < 100


def test_is_a_component(tmp_path: Path) -> None:
    found = smoothswap.build("webdataset", shards=shards(tmp_path), image_size=32, split="all")
    assert found[0]["image"].shape == (3, 32, 32)


def linked(path: Path, form: int, *, long: str = "") -> Path:
    """Two people; the second picture of each is a link to the first, or to one of another sample."""
    with tarfile.open(path, "w", format=form) as file:
        for name, content in [("a/1.png", picture(10)), (f"b/{long}1.png", picture(20)), ("b/sub/3.png", picture(30))]:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
        for name, kind, to in [
            ("a/2.png", tarfile.LNKTYPE, f"b/{long}1.png"),
            ("b/2.png", tarfile.SYMTYPE, f"{long}1.png"),
            ("b/4.png", tarfile.SYMTYPE, "../a/1.png"),
            ("b/5.png", tarfile.SYMTYPE, "/somewhere/else.png"),
            ("b/6.png", tarfile.LNKTYPE, "b/gone.png"),
        ]:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, to
            file.addfile(info)
    return path


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("long", ["", "n" * 120])
def test_links_are_the_member_they_lead_to(tmp_path: Path, form: int, long: str) -> None:
    if long and form == tarfile.USTAR_FORMAT:
        pytest.skip("this dialect has no such names")
    dataset = data(str(linked(tmp_path / "d.tar", form, long=long)), person="folder")
    assert sorted(values(dataset)) == [(0, 10), (0, 20), (1, 10), (1, 20), (1, 20)]
    assert dict(dataset.left_out) == {".png (a link that leads out of the file, or a sparse file)": 2}


@pytest.mark.parametrize("ending", ["png.gz", "heic", "JPG.zst", "txt"])
def test_members_that_are_no_pictures_are_counted(tmp_path: Path, ending: str, caplog: Any) -> None:
    members = [(f"{i:06}.png", picture(i + 1)) for i in range(4)]
    facts = [(f"{i:06}.cls", f"{i // 2}".encode()) for i in range(6)]
    other = [(f"{i:06}.{ending}", b"packed") for i in range(4, 6)]
    tar(tmp_path / "d.tar", sorted([*members, *facts, *other, ("README", b"read me")]))
    index = str(tmp_path / "index.npz")
    for _ in range(2):  # by the shards, then by the index
        with caplog.at_level(logging.WARNING):
            dataset = data(str(tmp_path / "d.tar"), index=index)
        assert dict(dataset.left_out) == {f".{ending.lower()}": 2, ".cls": 2, "": 1}
    assert f"5 files that are no pictures: 2 × .cls, 2 × .{ending.lower()}, 1 × without a suffix" in caplog.text
    assert len(dataset) == 4


@pytest.mark.parametrize(
    "pattern", ["{0..999999999}.tar", "{9999999..0}", "{0..9999}/{0..9999}.tar", "{0..%s}" % ("9" * 5000)]
)
def test_braces_that_name_too_many(pattern: str) -> None:
    with pytest.raises(InputError, match="name more than 1,000,000 files"):
        expand_braces(pattern)


def test_braces_as_shells_expand_them() -> None:
    assert expand_braces("a{08..11}b{x,y}") == [f"a{n}b{c}" for n in ("08", "09", "10", "11") for c in "xy"]
    assert expand_braces("{2..0}") == ["2", "1", "0"]
    assert expand_braces("{a}{") == ["a{"]
