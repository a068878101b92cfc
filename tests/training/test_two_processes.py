"""Two processes: the first measures, both hear when there is enough, and both tell what they could not read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys
from pathlib import Path

import torch
from training.tiny import Colours, SIZE
from smoothswap.core.catalogue import register
from smoothswap.training import EmbedderRecipe, Part, train_embedder
from smoothswap.training.validation import Validation

torch.set_num_threads(1)


@register("test_broken_colours", kind="dataset")
class Broken(Colours):
    def __init__(self, config):
        super().__init__(config)
        self.broken = []

    def __getitem__(self, index):
        if index in (3, 5) and f"picture {index}" not in self.broken:
            self.broken.append(f"picture {index}")
        return super().__getitem__(index)


measured = []


def measure(self, embedder, device, after):
    measured.append(after)
    return {"auc": {16: 0.5, 32: 0.9}.get(after, 0.7)}


Validation.measure = measure
network = {"dim": 8, "widths": (8, 8), "blocks": (1, 1), "flat_channels": 4, "hidden": 16}
recipe = EmbedderRecipe(
    image_size=SIZE, embedder=Part("small_resnet", network), data=Part("test_broken_colours"),
    validation=Part("test_colours"), people_per_batch=4, images_per_person=2, images=400, log_every=16,
    validate_every=16, checkpoint_every=1000, patience=2,
)
out = Path(sys.argv[1])
result = train_embedder(recipe, out, accelerator="cpu", devices=2, progress=False)
again = train_embedder(None, out, resume=True, accelerator="cpu", devices=2, progress=False)
rank = torch.distributed.get_rank()
best = result.best and (result.best.images, result.best.value)
(out / f"told-{rank}.txt").write_text(repr((result.images, result.stopped_early, again.images, best, measured)))
"""


def test_the_first_measures_and_both_stop(tmp_path: Path) -> None:
    script, run = tmp_path / "script.py", tmp_path / "run"
    script.write_text(SCRIPT)
    tests, root = Path(__file__).parents[1], Path(__file__).parents[2]
    paths = os.pathsep.join([str(tests), str(root)])
    done = subprocess.run(
        [sys.executable, str(script), str(run)],
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (run / "told-0.txt").read_text() == repr((64, True, 64, (32, 0.9), [16, 32, 48, 64]))
    assert (run / "told-1.txt").read_text() == repr((64, True, 64, None, []))
    assert (run / "broken.txt").read_text().splitlines() == ["picture 3", "picture 5"]
    assert (run / "embedder-best.safetensors").is_file()
