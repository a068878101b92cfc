"""How much of FaceWorld's factors can be read linearly from an embedder's vectors, as R² on unseen colourings.

    python tests/benchmarks/read_identity.py embedder.safetensors [another.safetensors …]

A generator can draw of a person what the vector tells. Ridge regression of each factor on z·√D is fitted on one image
each of 2,100 people of the training colourings and judged on 384 people of 64 colourings that no training saw: 1 is
known exactly, 0 no better than the mean.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch
from torch import Tensor

import smoothswap
from smoothswap.data.faceworld import IDENTITY_FACTORS, Factors, Population, render
from smoothswap.evaluation import embed

RIDGE = 0.03  # of the mean square of an entry, which is 1
IMAGE = 500  # number of the image of each person; data sets of moderate size hold smaller ones


def people(population: Population) -> tuple[Tensor, Tensor]:
    """One image [N, 3, 64, 64] and the identity factors [N, I] of each person."""
    factors = Factors.cat([population.picture(person, IMAGE) for person in range(len(population))])
    images = [render(factors.select(slice(at, at + 32))).image for at in range(0, len(factors), 32)]
    return torch.cat(images), factors.identity.double()


@torch.no_grad()
def identities(embedder: torch.nn.Module, images: Tensor) -> Tensor:
    """Unit vectors [N, D] of images."""
    return torch.cat([embed(embedder, images[at : at + 64]) for at in range(0, len(images), 64)])


def inputs(z: Tensor) -> Tensor:
    """z·√D of unit vectors [N, D], with a column of ones: float64 [N, D + 1]."""
    return torch.cat([z.double() * math.sqrt(z.shape[1]), torch.ones(len(z), 1)], 1)


def ridge(x: Tensor, y: Tensor) -> Tensor:
    """Weights [X, I] of the ridge regression of y [N, I] on x [N, X]."""
    return torch.linalg.solve(x.T @ x + RIDGE * len(x) * torch.eye(x.shape[1], dtype=x.dtype), x.T @ y)


def r_squared(weights: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """R² of each factor [I]: how well x [N, X] @ weights [X, I] gives y [N, I]."""
    return 1 - (x @ weights - y).square().mean(0) / y.var(0)


def main() -> None:
    """Print a line a factor, a column an embedder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("embedders", nargs="+", type=Path, help="files of embedders")
    files = parser.parse_args().embedders
    known, factors = people(Population(groups=300, people_per_group=7))
    unseen, unseen_factors = people(Population(split="held_out_groups", groups=64, people_per_group=6))
    columns = []
    for file in files:
        embedder = smoothswap.load(file).eval()
        weights = ridge(inputs(identities(embedder, known)), factors)
        columns.append(r_squared(weights, inputs(identities(embedder, unseen)), unseen_factors))
    print(f"{'':16}", *(f"{file.stem:>12}" for file in files))
    for number, name in enumerate(IDENTITY_FACTORS):
        print(f"{name:16}", *(f"{float(column[number]):12.2f}" for column in columns))


if __name__ == "__main__":
    main()
