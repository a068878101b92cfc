"""Builds the native kernels with CMake and Ninja where everything for it is found, and nothing where not.

pip builds in an environment of its own, without the torch of the one that it installs into. That one's headers are
used all the same; CMake, Ninja and pybind11 are fetched for the build where there are a compiler and a torch.

SMOOTHSWAP_NATIVE=0 builds nothing; SMOOTHSWAP_NATIVE=1 makes a failed build an error. SMOOTHSWAP_CUDA=0 leaves out the
CUDA kernels, which are built where nvcc is found; SMOOTHSWAP_CUDA=1 makes their absence an error. All else is in
pyproject.toml and, for sources and flags, in CMakeLists.txt.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import setuptools
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent.resolve()
OPS = Path("smoothswap/ops")
HOME = {"_native": OPS, "_native_cuda": OPS, "_build": Path("smoothswap")}  # where each library belongs


OLDEST = 77  # of setuptools; an older one answers pyproject.toml's licence with a page of its schema

TOOLS = ["cmake>=3.24", "ninja", "pybind11>=2.13"]


def say(line):
    """Writes a line, past pip, which hides the output of a build that succeeds, where there is a terminal."""
    print(f"smoothswap: {line}", file=sys.stderr, flush=True)
    if not sys.stderr.isatty():
        try:
            with Path("/dev/tty").open("w") as terminal:
                terminal.write(f"smoothswap: {line}\n")
        except OSError:
            pass


def torch_flags():
    """What Python has to be called with to find torch: nothing, or past pip's build environment; None without torch."""
    if importlib.util.find_spec("torch") is not None:
        return ""
    look = [
        sys.executable,
        "-E",
        "-c",
        "import importlib.util, sys; sys.exit(importlib.util.find_spec('torch') is None)",
    ]
    return "-E" if subprocess.run(look, check=False, cwd=tempfile.gettempdir()).returncode == 0 else None


def missing_machine():
    """What the native build lacks that pip cannot fetch for it, or None."""
    if os.environ.get("SMOOTHSWAP_NATIVE") == "0":
        return "SMOOTHSWAP_NATIVE=0"
    if not any(shutil.which(name) for name in (os.environ.get("CXX") or "c++", "g++", "clang++")):
        return "no C++ compiler found"
    if torch_flags() is None:
        return "no torch found; install torch first, then smoothswap again"
    return None


def missing():
    """What the native build lacks, or None."""
    if (reason := missing_machine()) is not None:
        return reason
    for tool in ("cmake", "ninja"):
        if find(tool) is None:
            return f"no {tool} found; pip install {tool}"
    return None


def find(tool):
    """Path of a program, looked for beside this Python first."""
    return shutil.which(tool, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")


class Native(build_ext):
    """Runs CMake and puts the libraries into the package: the wheel's copy, or in an editable install the source's."""

    def run(self):
        try:
            self.compile()
        except (OSError, subprocess.CalledProcessError) as error:
            if "1" in (os.environ.get("SMOOTHSWAP_NATIVE"), os.environ.get("SMOOTHSWAP_CUDA")):
                raise
            say(f"native kernels not built ({error}); the PyTorch versions serve every op")

    def compile(self):
        base = ROOT if self.inplace else Path(self.build_lib).resolve()
        with tempfile.TemporaryDirectory(prefix="smoothswap-") as build:
            configure = [find("cmake"), "-S", ROOT, "-B", build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release"]
            configure += [f"-DCMAKE_MAKE_PROGRAM={find('ninja')}", f"-DPython_EXECUTABLE={sys.executable}"]
            configure += [f"-DTORCH_PYTHON_FLAGS={torch_flags()}"]
            configure += ["-DSMOOTHSWAP_CUDA=OFF"] if os.environ.get("SMOOTHSWAP_CUDA") == "0" else []
            try:
                subprocess.run(configure, check=True)
            except subprocess.CalledProcessError:
                if os.environ.get("SMOOTHSWAP_CUDA") in ("0", "1"):
                    raise
                # An nvcc that does not fit this compiler must not cost the other kernels.
                subprocess.run([*configure, "--fresh", "-DSMOOTHSWAP_CUDA=OFF"], check=True)
            subprocess.run([find("cmake"), "--build", build], check=True)
            self.compile_cuda(Path(build))
            for library in Path(build).glob("*.so"):
                folder = base / HOME[library.name.split(".")[0]]
                folder.mkdir(parents=True, exist_ok=True)
                # Aside and renamed: a process that has the old library loaded keeps it.
                shutil.copy2(library, folder / f".{library.name}.new")
                (folder / f".{library.name}.new").replace(folder / library.name)
        say(f"native kernels built into {base / 'smoothswap'}")

    def compile_cuda(self, build):
        """Builds the CUDA kernels, apart from the others, which stay where these fail."""
        wanted = os.environ.get("SMOOTHSWAP_CUDA")
        try:
            if wanted == "0":
                return
            if not list(build.glob("CMakeFiles/*/CMakeCUDACompiler.cmake")):
                raise FileNotFoundError("no nvcc found")
            subprocess.run([find("cmake"), "--build", build, "--target", "_native_cuda"], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            if wanted == "1":
                raise
            say(f"CUDA kernels not built ({error}); on a GPU the PyTorch versions serve every op")

    def get_outputs(self):
        return []

    def get_output_mapping(self):
        return {}


if int(setuptools.__version__.partition(".")[0]) < OLDEST:
    sys.exit(
        f"smoothswap: setuptools {setuptools.__version__} is too old to build it: {OLDEST} or later is needed\n"
        f"pip install 'setuptools>={OLDEST}', or leave out --no-build-isolation"
    )
if "egg_info" in sys.argv[1:] and missing_machine() is None:
    # pip asks what the build needs. Anywhere else setuptools would install these itself.
    setup(setup_requires=[tool for tool in TOOLS if importlib.util.find_spec(tool.partition(">")[0]) is None])
elif (reason := missing()) is None:
    # One extension, without sources, makes setuptools call the command and mark the wheel as platform dependent.
    setup(ext_modules=[Extension("smoothswap.ops._native", sources=[])], cmdclass={"build_ext": Native})
else:
    if any(command.startswith(("build", "bdist", "editable", "develop", "install")) for command in sys.argv[1:]):
        say(f"native kernels not built: {reason}")
    setup()
