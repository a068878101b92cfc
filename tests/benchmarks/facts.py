"""What a result says about where it was measured, and the file it goes to; the host's name is no part of it."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[2]
# glibc reads these when a process starts: memory that is freed stays with the process, its pages already mapped.
WARM = {"MALLOC_MMAP_THRESHOLD_": "4294967296", "MALLOC_TRIM_THRESHOLD_": "8589934592"}


def facts(device: str) -> dict[str, Any]:
    """Device, versions, commit, allocator and date, as this process sees them."""
    found: dict[str, Any] = {
        "device": device,
        "machine": _gpu() if device == "cuda" else _cpu(),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "commit": _commit(),
        "allocator": "device" if device == "cuda" else allocator(os.environ),
        "threads": torch.get_num_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "triton": _version("triton"),
        "pytorch-metric-learning": _version("pytorch-metric-learning"),
    }
    if device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        found |= {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version(), "driver": _driver()}
        found |= {"memory_gib": round(properties.total_memory / 2**30), "sm": f"{properties.major}{properties.minor}"}
    return found


def allocator(environment: Mapping[str, str]) -> str:
    """Which of the two allocators an environment gives a process on the CPU."""
    return "warm" if all(environment.get(name) == value for name, value in WARM.items()) else "default"


def file_name(found: Mapping[str, Any]) -> str:
    """DATE-MACHINE-ALLOCATOR.json; a GPU's has no allocator."""
    parts = [found["date"], re.sub(r"[^a-z0-9]+", "-", found["machine"].lower()).strip("-")]
    return "-".join(parts + ([found["allocator"]] if found["device"] == "cpu" else [])) + ".json"


def write(path: Path, found: Mapping[str, Any], rows_file: Path, **more: Any) -> dict[str, Any]:
    """Puts the facts and the rows that there are so far into one file; gives what it wrote."""
    lines = rows_file.read_text(encoding="utf-8").splitlines() if rows_file.exists() else []
    result = {"facts": dict(found), **more, "rows": [json.loads(line) for line in lines]}
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = ",\n  ".join(json.dumps(row, ensure_ascii=False) for row in result["rows"])
    head = json.dumps({key: value for key, value in result.items() if key != "rows"}, indent=1, ensure_ascii=False)
    aside = path.with_suffix(".json.new")
    aside.write_text(f'{head[:-2]},\n "rows": [\n  {rows}\n ]\n}}\n', encoding="utf-8")
    aside.replace(path)
    return result


def _cpu() -> str:
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists() and (found := re.search(r"model name\s*:\s*(.+)", info.read_text(encoding="utf-8"))):
        name = found[1].strip()
    name = re.sub(r"\((R|TM)\)", "", name)
    return f"{len(os.sched_getaffinity(0))} cores of {name}"


def _gpu() -> str:
    return torch.cuda.get_device_name(0)


def _driver() -> str:
    return _said("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")


def _commit() -> str:
    said = _said("git", "-C", str(ROOT), "rev-parse", "--short=12", "HEAD")
    changed = _said("git", "-C", str(ROOT), "status", "--porcelain", "--untracked-files=no", "--", "smoothswap", "csrc")
    return f"{said} with changes" if changed not in ("", "unknown") else said


def _said(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
