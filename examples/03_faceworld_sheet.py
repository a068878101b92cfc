"""FaceWorld: a sheet of source, target and true swap, written to faceworld.png.

Run: python examples/03_faceworld_sheet.py [FILE]
"""

import sys

import torch
from PIL import Image

from smoothswap.data.faceworld import Population, render, swap_pairs, true_swap

SIZE, PAIRS = 96, 4

population = Population(seed=1, groups=4, people_per_group=2)
source, target = swap_pairs(population, count=PAIRS, seed=0)

# The true swap: who the source is, and everything else of the target. No real data set can show it.
rows = [render(factors, size=SIZE).image for factors in (source, target, true_swap(source, target))]

sheet = torch.stack(rows)  # [3, PAIRS, 3, S, S] in [-1, 1]
sheet = sheet.permute(0, 3, 1, 4, 2).reshape(3 * SIZE, PAIRS * SIZE, 3)
out = sys.argv[1] if len(sys.argv) > 1 else "faceworld.png"
Image.fromarray(((sheet + 1) * 127.5).round().clamp(0, 255).byte().numpy()).save(out)
print(f"wrote {out}: above the sources, then the targets, below the true swaps")
