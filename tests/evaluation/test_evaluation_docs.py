from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

import smoothswap

PAGE = Path(__file__).resolve().parents[2] / "docs" / "evaluation.md"


def test_the_examples_of_the_page_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) == 3
    options = {"base_channels": 4, "channel_multipliers": (1,), "blocks_per_level": 1, "attention_resolutions": ()}
    names = {
        "generator": smoothswap.build("smooth_unet", image_size=16, identity_dim=8, **options),
        "embedder": smoothswap.build("small_resnet", input_size=16, dim=8),
        "judge": smoothswap.build("small_resnet", input_size=16, dim=8),
        "z": torch.randn(12, 8),
        "labels": torch.arange(12) // 2,
        "groups": torch.arange(12) // 4,
        "gallery": torch.randn(20, 8),
    }
    for block in blocks:
        exec(block.replace('"), 64, seed', '"), 2, seed'), names)
    assert len(names["report"]) == 2
    assert (tmp_path / "report.json").is_file()
    assert "similarity to the source" in capsys.readouterr().out
