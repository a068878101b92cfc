"""The CUDA kernels compiled as C++ (tests/native/emulation), so that tests run them where there is no GPU."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

ROOT = Path(__file__).parents[1]
_FLAGS = ["-std=c++20", "-O1", "-fPIC", "-fvisibility=hidden", "-DSMOOTHSWAP_EMULATED", "-Wno-unknown-pragmas"]
_FLAGS += [
    "-DTORCH_TARGET_VERSION=0x020a000000000000",
    f"-D_GLIBCXX_USE_CXX11_ABI={int(torch._C._GLIBCXX_USE_CXX11_ABI)}",
]


def sources() -> list[Path]:
    """The kernels and their bindings."""
    return [
        path
        for path in sorted((ROOT / "csrc/cuda").iterdir())
        if path.suffix in (".cu", ".cpp") and path.stem != "build"
    ]


@functools.cache
def library() -> Path | None:
    """Compiles the library where these sources were not compiled before; None where there is no compiler."""
    compiler = next(filter(None, map(shutil.which, ("c++", "g++"))), None)
    if compiler is None:
        return None
    content = hashlib.sha256("\0".join([*_FLAGS, torch.__version__, compiler]).encode())
    for path in sorted(
        [*ROOT.glob("csrc/cuda/*"), *ROOT.glob("csrc/common/*.h"), *ROOT.glob("tests/native/emulation/*")]
    ):
        content.update(path.name.encode() + path.read_bytes())
    folder = Path(tempfile.gettempdir()) / f"smoothswap-emulation-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    result = folder / f"{content.hexdigest()[:16]}.so"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the processes of one session compile once
        if not result.exists():
            for old in folder.glob("*.so"):
                old.unlink()
            _compile(compiler, result)
    return result


def _compile(compiler: str, result: Path) -> None:
    torch_root = Path(torch.__file__).parent
    with tempfile.TemporaryDirectory() as build:
        include = [f"-I{ROOT / 'tests/native/emulation'}", "-isystem", str(torch_root / "include")]

        def run(source: Path) -> str:
            target = f"{build}/{source.name}.o"
            subprocess.run([compiler, *_FLAGS, *include, "-x", "c++", "-c", str(source), "-o", target], check=True)
            return target

        with ThreadPoolExecutor(2) as pool:
            objects = list(pool.map(run, sources()))
        linked = f"{build}/emulated.so"
        libraries = [f"-L{torch_root / 'lib'}", "-ltorch_cpu", "-lc10"]
        subprocess.run([compiler, "-shared", "-o", linked, *objects, *libraries], check=True)
        shutil.move(linked, result)
