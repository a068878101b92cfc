from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from smoothswap.core.errors import ConfigError, InputError
from smoothswap.data.faceworld import IDENTITY_FACTORS, FaceWorld, write_folder


def write(out: Path, people: int = 3, **options: object) -> int:
    return write_folder(out, people, 2, 8, people_per_group=2, supersample=1, **options)  # type: ignore[arg-type]


def test_pictures_and_factors(tmp_path: Path) -> None:
    assert write(tmp_path / "w", masks=True) == 3
    home = tmp_path / "w" / "person_00002"
    assert sorted(file.name for file in home.iterdir()) == ["0000.png", "0001.png", "factors.json", "masks"]
    assert len(list((home / "masks").iterdir())) == 4
    data = FaceWorld(FaceWorld.Config(image_size=8, supersample=1, groups=2, people_per_group=2, images_per_person=2))
    picture = torch.from_numpy(np.array(Image.open(home / "0001.png"))).permute(2, 0, 1)
    assert (picture.int() - data[5]["image"].int()).abs().max() <= 1
    record = json.loads((home / "factors.json").read_text())
    assert record["group"] == 1
    assert len(record["identity"]) == len(IDENTITY_FACTORS)
    assert record["pose"] == data.factors([4, 5]).pose.tolist()
    assert np.array(record["landmarks"]).shape == (2, 5, 2)


def test_goes_on_where_it_stopped(tmp_path: Path) -> None:
    assert write(tmp_path) == 3
    done = (tmp_path / "person_00000" / "0000.png").stat().st_mtime_ns
    (tmp_path / "person_00001" / "factors.json").unlink()  # as if stopped before the person was done
    assert write(tmp_path) == 1
    assert (tmp_path / "person_00000" / "0000.png").stat().st_mtime_ns == done
    assert write(tmp_path) == 0


def test_errors(tmp_path: Path) -> None:
    write(tmp_path / "w", people=1)
    with pytest.raises(InputError, match="holds a FaceWorld of other options"):
        write(tmp_path / "w", people=1, seed=3)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        write(tmp_path / "file")
    with pytest.raises(ConfigError):
        write(tmp_path / "new", people=0)
    assert not (tmp_path / "new").exists()
