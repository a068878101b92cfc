"""`doctor`: what this installation has, what serves each op here, and what is missing and why."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import platform
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import typer

from smoothswap.cli.console import console, table

LIBRARIES = ("torch", "triton", "numpy", "opencv-python-headless", "pillow", "lightning-fabric", "safetensors")


def add_to(app: typer.Typer) -> None:
    """Register the commands of this file."""
    app.command("doctor")(doctor)


def doctor() -> None:
    """Check this installation: versions, devices, kernels, shipped weights, face detector, plugins.

    For every op and device it says which kernel runs and why not a faster one. Exit code 1 where something that
    `smoothswap swap` needs is missing.
    """
    import smoothswap

    out = console()
    out.print(f"smoothswap {smoothswap.__version__} in {Path(smoothswap.__file__).parent}", soft_wrap=True)
    sections = (("environment", _environment()), ("compiled kernels", _native()))
    for title, facts in sections:
        rows = table(title, "")
        for fact in facts:
            rows.add_row(*fact)
        out.print(rows)
    kernels, notes = _kernels()
    out.print(kernels)
    for note in notes:
        out.print(note, soft_wrap=True)
    needed = [*_weights(), ("face detector yunet", *_landmarker("yunet"))]
    rows = table("for swapping", "state", "where")
    for name, state, where, _ in [*needed, ("optional: dlib68", *_landmarker("dlib68"))]:
        rows.add_row(name, state, where)
    out.print(rows)
    failed = _failed_plugins()
    for line in failed:
        out.print(line, soft_wrap=True)
    if not failed:
        out.print("All plugins loaded; `smoothswap plugins` lists them.")
    if not all(present for *_, present in needed):
        raise typer.Exit(1)


def _environment() -> Iterator[tuple[str, str]]:
    import torch

    yield "python", f"{platform.python_version()} on {platform.platform()}"
    for name in LIBRARIES:
        yield name, _version(name)
    yield "cpu", f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"
    if not torch.cuda.is_available():
        yield "cuda", "no device" if torch.version.cuda else "this PyTorch is built without CUDA"
    for index in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(index)
        yield f"cuda:{index}", f"{facts.name}, {facts.total_memory / 2**30:.0f} GiB, sm_{facts.major}{facts.minor}"
    if torch.backends.mps.is_available():
        yield "mps", "available"


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _native() -> Iterator[tuple[str, str]]:
    from smoothswap.ops import native, native_cuda

    missing = native.missing()
    yield "library", missing or str(native.LIBRARY)
    yield "CUDA library", native_cuda.build() or native_cuda.missing() or "built"
    if importlib.util.find_spec("smoothswap._build") is None:
        return
    facts = importlib.import_module("smoothswap._build")
    for name in ("compiler", "flags", "torch", "date"):
        yield f"built with: {name}", str(getattr(facts, name, "unknown"))


def _kernels() -> tuple[object, list[str]]:
    """The table of ops, and the reasons that stand in several of its rows, each told once below it by its number."""
    from smoothswap.ops import backend

    report = backend.report()
    counts = Counter(reason for row in report for reason in row.why_not.values())
    numbers = {reason: number for number, reason in enumerate((r for r in counts if counts[r] > 1), 1)}
    rows = table("op", "device", "served by", "why not a faster one")
    for row in report:
        reasons = (
            f"{name}: see ({numbers[reason]})" if reason in numbers else f"{name}: {reason}"
            for name, reason in row.why_not.items()
        )
        served = f"{row.backend} ({row.limits})" if row.limits else row.backend
        rows.add_row(row.op, row.device, served, "; ".join(reasons) or "it is the fastest")
    return rows, [f"({number}) {reason}" for reason, number in numbers.items()]


def _weights() -> Iterator[tuple[str, str, str, bool]]:
    from smoothswap.api import MODEL_FILES
    from smoothswap.core.assets import ROOT
    from smoothswap.core.files import file_sha256

    files = [f"faceworld_64/{name}" for name in (*MODEL_FILES, "judge.safetensors")]
    for name in (*files, f"photos_128/{MODEL_FILES[0]}"):
        path = ROOT / name
        if path.is_file():
            size = f"{path.stat().st_size / 2**20:.1f} MiB"
            yield f"shipped {name}", f"file_sha256 {file_sha256(path)}", f"{path} ({size})", True
        else:
            yield f"shipped {name}", "missing: reinstall smoothswap", str(path), False


def _landmarker(name: str) -> tuple[str, str, bool]:
    from smoothswap import api
    from smoothswap.core.errors import SmoothSwapError

    try:
        api.build(name, "landmarker")
    except SmoothSwapError as error:
        return f"missing: {error.what}", error.hint, False
    return "ready", "", True


def _failed_plugins() -> list[str]:
    from smoothswap.cli.components import loaded_plugins

    return [f"plugin {plugin.name!r} was left out: {plugin.error}" for plugin in loaded_plugins() if plugin.error]
