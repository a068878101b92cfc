"""Packs an aligned folder of photographs and an embedder into one small tar, for `make gpu-train` on another machine.

    python tests/benchmarks/pack_photographs.py ALIGNED photographs.tar [--embedder sface] [--size 192] [--quality 92]
    make gpu-train PHOTOGRAPHS=photographs.tar

The crops become JPEGs, and the manifest of `smoothswap align` goes along with the points of each face, so that
what is unpacked is an aligned folder again. The embedder goes in as float16. More than 45 MB are refused.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import torch
from PIL import Image

from smoothswap.core.errors import InputError, SmoothSwapError
from smoothswap.core.files import file_sha256, write_aside
from smoothswap.core.journal import read_rows
from smoothswap.data.crop_points import MANIFEST, crop_points
from smoothswap.data.origin import REPORT, origin_of
from smoothswap.modules import weights
from smoothswap.modules.pretrained import build_pretrained, is_name

FOLDER, EMBEDDER = "photographs", "embedder.safetensors"
NAME = "embedder.txt"  # the embedder's name, where it is one that comes with weights
LARGEST = 45_000_000  # bytes of the tar


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the tar; 0 where all went well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="what `smoothswap align` wrote")
    parser.add_argument("out", type=Path, help="the tar")
    parser.add_argument("--embedder", default="sface", help="file of an embedder, or the name of one with weights")
    parser.add_argument("--size", type=int, default=192, help="largest side of the crops, pixels")
    parser.add_argument("--quality", type=int, default=92, help="of the JPEGs, 1 to 95")
    asked = parser.parse_args(arguments)
    try:
        count = pack(asked.folder, asked.out, asked.embedder, asked.size, asked.quality)
    except SmoothSwapError as reason:
        print(f"error: {reason}", file=sys.stderr)
        return 1
    print(f"{count:,} photographs, {asked.out.stat().st_size / 1e6:.1f} MB: {asked.out}", file=sys.stderr)
    return 0


def pack(folder: Path, out: Path, embedder: str, size: int, quality: int) -> int:
    """Write the tar whole or not at all; how many photographs it has.

    Raises:
        InputError: nothing aligned in the folder, no such embedder, or a tar of more than 45 MB.
    """
    points = {name: own for name, own in crop_points(folder).items() if (folder / name).is_file()}
    if not points:
        raise InputError(f"{str(folder)!r} has no {MANIFEST} with points", hint=f"smoothswap align PHOTOS {folder}")
    known = {crop["file"]: crop for row in read_rows(folder / MANIFEST) for crop in row.get("crops") or ()}
    lines = [json.dumps({"settings": {"packed": size}})]
    with write_aside(out) as aside, tarfile.open(aside, "w") as tar:
        for name in sorted(points):
            packed = str(PurePosixPath(name).with_suffix(".jpg"))
            _add(tar, f"{FOLDER}/{packed}", _jpeg(folder / name, size, quality))
            lines.append(json.dumps({"source": name, "stamp": [0, 0], "crops": [{**known[name], "file": packed}]}))
        _add(tar, f"{FOLDER}/{MANIFEST}", ("\n".join(lines) + "\n").encode())
        origin = origin_of(folder)
        _add(
            tar,
            f"{FOLDER}/{REPORT}",
            json.dumps({"folder": origin["folder"], "origin_file_sha256": origin["file_sha256"]}).encode(),
        )
        _add(tar, EMBEDDER, _embedder(embedder))
        _add(tar, NAME, embedder.encode() if is_name(embedder) else b"")
        if (needed := tar.offset) > LARGEST:
            raise InputError(
                f"the tar would have {needed / 1e6:.1f} MB, at most {LARGEST / 1e6:.0f} are carried",
                hint="choose a smaller --size or --quality, or a folder with fewer photographs",
            )
    return len(points)


def unpack(tar: Path, run: Path) -> tuple[Path, Path]:
    """Put the photographs and the embedder of a tar into a run's folder; where they lie there.

    Raises:
        InputError: it is no such tar, or the run has the photographs of another one.
    """
    folder, embedder, mark = run / FOLDER, run / f"packed-{EMBEDDER}", run / f"{FOLDER}.sha256"
    try:
        if mark.is_file():
            if mark.read_text("utf-8") != file_sha256(tar):
                raise InputError(f"{str(run)!r} has the photographs of another tar", hint="name another run folder")
            return folder, embedder
        with tempfile.TemporaryDirectory(dir=run) as aside, tarfile.open(tar) as opened:
            opened.extractall(aside, filter="data")
            (Path(aside) / EMBEDDER).rename(embedder)
            (Path(aside) / NAME).rename(run / NAME)
            (Path(aside) / FOLDER).rename(folder)
        mark.write_text(file_sha256(tar), "utf-8")
    except (OSError, EOFError, tarfile.TarError) as cause:
        raise InputError(
            f"{str(tar)!r} cannot be unpacked", str(cause), hint="make it with tests/benchmarks/pack_photographs.py"
        ) from cause
    return folder, embedder


def packed_embedder(run: Path) -> str:
    """The name of the embedder that came in a tar, where it is one that comes with weights; else empty."""
    return (run / NAME).read_text("utf-8") if (run / NAME).is_file() else ""


def _jpeg(file: Path, size: int, quality: int) -> bytes:
    try:
        with Image.open(file) as image:
            small = image.convert("RGB")
    except OSError as cause:
        raise InputError(f"{str(file)!r} cannot be read", str(cause), hint="remove it, or align it again") from cause
    small.thumbnail((size, size), Image.Resampling.LANCZOS)
    made = io.BytesIO()
    small.save(made, "JPEG", quality=quality)
    return made.getvalue()


def _embedder(embedder: str) -> bytes:
    built = build_pretrained(embedder) if is_name(embedder) else weights.load(Path(embedder), torch.device("cpu"))
    with tempfile.TemporaryDirectory() as aside:
        return weights.save(built, Path(aside) / EMBEDDER, dtype=torch.float16).read_bytes()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


if __name__ == "__main__":
    sys.exit(main())
