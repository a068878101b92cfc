"""Two processes: the first measures, both hear when there is enough, and both tell what they could not read.

A swapper's step on two is that on one, also where only some of the pictures have a truth.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import torch

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


SWAPPER_STEP = """
import sys
from pathlib import Path

import torch
from training.tiny import DATA, SIZE, TRUE_SWAPS
from smoothswap.training import DataShare, LossTerm, Part, SwapperRecipe
from smoothswap.training.device import make_fabric, seed_step
from smoothswap.training.optimizers import average_gradients
from smoothswap.training.swapper import SwapperWork

torch.set_num_threads(1)
unet = {"base_channels": 8, "channel_multipliers": (1, 1), "blocks_per_level": 1, "attention_resolutions": ()}
losses = {name: LossTerm(name, weight=2.0) for name in ("truth", "change", "identity", "adversarial")}
recipe = SwapperRecipe(
    image_size=SIZE, generator=Part("smooth_unet", unet), data=DATA, losses=losses, batch_size=8, self_pairs=0,
    discriminator=Part("stylegan2", {"channel_base": 128, "channel_max": 8, "stddev_features": 0}),
    mix={"true": DataShare(TRUE_SWAPS.name, share=0.5)},
)
folder, devices = Path(sys.argv[1]), int(sys.argv[2])
fabric = make_fabric("cpu", devices, "32-true", 60)
work = SwapperWork(recipe, fabric, folder / "f.safetensors")
seed_step(0, 0, 0)
with torch.no_grad():  # away from the identity map, where most gradients vanish
    for weight in work.generator.parameters():
        weight.add_(0.05 * torch.randn_like(weight))
work.gan.backward(work.data.next(), images=0, with_r1=True)
gradients = {}
for name, optimizer in work._optimizers().items():
    average_gradients(fabric, optimizer)
    network = work.generator if name.startswith("generator") else work.discriminator
    gradients |= {f"{name}.{key}": weight.grad for key, weight in network.named_parameters()}
if fabric.global_rank == 0:
    torch.save(gradients, folder / f"gradients-{devices}.pt")
"""


def start(folder: Path, text: str, *words: object) -> None:
    """Run a program in a process of its own, which starts the second one itself."""
    script = folder / "script.py"
    script.write_text(text)
    tests, root = Path(__file__).parents[1], Path(__file__).parents[2]
    paths = os.pathsep.join([str(tests), str(root)])
    done = subprocess.run(
        [sys.executable, str(script), *map(str, words)],
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_first_measures_and_both_stop(tmp_path: Path) -> None:
    run = tmp_path / "run"
    start(tmp_path, SCRIPT, run)
    assert (run / "told-0.txt").read_text() == repr((64, True, 64, (32, 0.9), [16, 32, 48, 64]))
    assert (run / "told-1.txt").read_text() == repr((64, True, 64, None, []))
    assert (run / "broken.txt").read_text().splitlines() == ["picture 3", "picture 5"]
    assert (run / "embedder-best.safetensors").is_file()


def test_a_mixed_step_with_truth_is_that_of_one_process(tmp_path: Path, embedder_file: Path) -> None:
    for devices in (1, 2):
        start(tmp_path, SWAPPER_STEP, embedder_file.parent, devices)
    one, two = (torch.load(embedder_file.parent / f"gradients-{devices}.pt") for devices in (1, 2))
    assert one.keys() == two.keys()
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=2e-3, atol=1e-5, msg=name)
