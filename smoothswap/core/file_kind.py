"""What a file is by its first bytes, for the error where it is not what its name says."""

from __future__ import annotations

import zipfile
from pathlib import Path

from smoothswap.core.errors import CheckpointError

_READ = 1024  # bytes

_BEGINNINGS = (
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"GGUF", "a GGUF file"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"BZh", "a bzip2 archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"%PDF", "a PDF document"),
    (b"\x1aE\xdf\xa3", "a video (Matroska or WebM)"),
    (b"FLV\x01", "a video (Flash)"),
    (b"\x00\x00\x01\xba", "a video (MPEG)"),
    (b"OggS", "a video or sound file (Ogg)"),
    (b"0&\xb2u\x8ef\xcf\x11", "a video (Windows Media)"),
)
# Brands of ISO media files that are pictures: their container is also that of videos.
_STILL = (b"avif", b"avis", b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1", b"crx ")

_FETCH = "the file is damaged or incomplete: fetch it again"
_NAME = "name a file of weights; `smoothswap convert` makes one of weights from elsewhere"
_SUFFIXES = (".safetensors", ".pth", ".pt", ".tar", ".bin", ".ckpt", ".onnx")
_TORCH = "`smoothswap convert` reads state dicts of torch.save; name them .pth"
_HINTS = {
    "a Git LFS pointer": "fetch the file itself with `git lfs pull`",
    "an HTML page": "download the file itself, not the page that shows it",
    "an XML document": "download the file itself; this is often what a file server answers instead",
    "a safetensors file": "give it the suffix .safetensors",
    "a pickle": _TORCH,
    "a zip archive as torch.save": _TORCH,
    "a zip archive that is cut short": _FETCH,
    "an empty file": _FETCH,
    "a zip archive of": "unpack it",
    "a tar archive": "unpack it",
    "a gzip archive": "unpack it",
}
# What a file of the form may be, so that it is damaged and not misnamed.
_OWN = {"safetensors": ("a safetensors",), "a file of torch.save": ("a pickle", "a zip archive as torch.save")}


def unreadable(path: Path | str, form: str, cause: BaseException) -> CheckpointError:
    """The error for a file of weights that cannot be read; it says what the file is instead, where that can be told.

    Args:
        path: the file.
        form: what it was read as, such as `safetensors`.
        cause: what the reader said.
    """
    kind = file_kind(path)
    said = str(cause).strip().partition("\n")[0][:200] or type(cause).__name__
    what = f"{str(path)!r} cannot be read as {form}" + (f": it is {kind}" if kind else "")
    other = kind is not None and not kind.startswith(_OWN.get(form, ()))  # misnamed, not damaged
    hint = next((hint for start, hint in _HINTS.items() if other and str(kind).startswith(start)), "")
    if not hint:
        hint = _NAME if other or Path(path).suffix.lower() not in _SUFFIXES else _FETCH
    return CheckpointError(what, said, hint=hint)


def is_safetensors(path: Path | str) -> bool:
    """Whether a file is named as a safetensors file, or begins as one."""
    return Path(path).suffix.lower() == ".safetensors" or file_kind(path) == "a safetensors file"


def file_kind(path: Path | str) -> str | None:
    """What a file is, such as `an HTML page`; None where its first bytes do not show it, or it cannot be opened."""
    path = Path(path)
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(_READ)
    except OSError:
        return None
    return _archive(path) if start.startswith(b"PK\x03\x04") else kind_of(start, size)


def kind_of(start: bytes, size: int) -> str | None:
    """What a file of `size` bytes is that starts so, as `file_kind` says it."""
    if not start:
        return "an empty file"
    if start.startswith(b"version https://git-lfs.github.com/spec/"):
        return f"a Git LFS pointer of {size} bytes, not the file itself"
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head")):
        return "an HTML page"
    if text.startswith(b"<?xml"):
        return "an XML document"
    if start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "a pickle"
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= size - 8:
        return "a safetensors file"
    if start[4:8] == b"ftyp":
        return None if start[8:12] in _STILL else "a video (MP4 or QuickTime)"
    if start[:4] == b"RIFF" and start[8:12] == b"AVI ":
        return "a video (AVI)"
    if start[257:262] == b"ustar":
        return "a tar archive"
    return next((words for beginning, words in _BEGINNINGS if start.startswith(beginning)), None)


def _archive(path: Path) -> str:
    """What a zip archive is, as far as the names in it tell."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return "a zip archive that is cut short or damaged"
    if any("/code/" in name for name in names):
        return "a zip archive with code (TorchScript)"
    if any(name.endswith("/data.pkl") for name in names):
        return "a zip archive as torch.save writes it"
    if names and all(name.endswith(".npy") for name in names):
        return "a zip archive of NumPy arrays (.npz)"
    return f"a zip archive of {len(names)} files"
