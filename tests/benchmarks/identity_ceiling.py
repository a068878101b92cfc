"""What the best generator could make of an embedder's vectors: FaceWorld's renderer in the generator's place.

    python tests/benchmarks/identity_ceiling.py embedder.safetensors --pairs 48 --seed 77

The factors of the source are read linearly from its vector, those of the target's scene are known, and both are
rendered. What is wrong in the result is what the vector does not tell; a trained generator that comes near these
figures is limited by its embedder, one that is far from them by itself. It is no strict bound: a generator may blur
what it does not know, which PSNR rewards.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import cast

from read_identity import identities, inputs, people, ridge
from torch import Tensor, nn

import smoothswap
from smoothswap.cli.demo_models import load_models
from smoothswap.cli.demo_pairs import draw_pairs
from smoothswap.data.faceworld import Factors, Population, render
from smoothswap.evaluation import swap_report

GROUPS, PEOPLE = 2000, 4  # the world that the guided embedders learned from


class PerfectGenerator(nn.Module):
    """Renders the target's scene with the person that a vector tells.

    Args:
        weights: [D + 1, I], reads the identity factors from z·√D and a one.
        targets: the factors of the targets, in the order in which `forward` is called with their pictures.
    """

    image_size = 64

    def __init__(self, weights: Tensor, targets: Factors) -> None:
        super().__init__()
        self.register_buffer("weights", weights)
        self.identity_dim = len(weights) - 1
        self.targets, self.drawn = targets, 0

    def forward(self, target: Tensor, identity: Tensor) -> Tensor:
        """Pictures [B, 3, 64, 64] of the next B targets, of which only the number is read, and identities [B, D]."""
        scene = self.targets.select(slice(self.drawn, self.drawn + len(target)))
        self.drawn += len(target)
        read = inputs(identity) @ cast(Tensor, self.weights)
        told = Factors(read.float(), scene.expression, scene.pose, scene.light, scene.background)
        return render(told, self.image_size).image


def main() -> None:
    """Print the criteria of a swap report, for pairs of any people and for those of one colouring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("embedder", type=Path, help="file of an embedder for 64 px")
    parser.add_argument("--pairs", type=int, default=48)
    parser.add_argument("--seed", type=int, default=77, help="of the pairs, as for `smoothswap demo`")
    asked = parser.parse_args()
    embedder = smoothswap.load(asked.embedder).eval()
    images, factors = people(Population(groups=GROUPS, people_per_group=PEOPLE))
    weights = ridge(inputs(identities(embedder, images)), factors)
    models = load_models(None)
    for colouring, pairs in (("any", asked.pairs), ("same", (asked.pairs + 1) // 2)):
        source, target = draw_pairs(pairs, asked.seed, colouring)
        report = swap_report(
            PerfectGenerator(weights, target),
            embedder,
            models.judge,
            source,
            target,
            8,
            further_judges=models.further_judges,
            seed=asked.seed,
        )
        print(f"{pairs} pairs, colouring: {colouring}")
        for criterion in report.criteria():
            print(f"  {criterion.says:48} {criterion.value:8.3f} ± {criterion.error:.3f}")


if __name__ == "__main__":
    main()
