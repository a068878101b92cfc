"""Embedders side by side on people whom none of them was trained on: who is who, and how smooth the way between them.

    python tests/benchmarks/compare_embedders.py runs/supcon-0 runs/arcface-0 … --people FOLDER --held-out 0.15

Each run is a folder of `smoothswap train embedder --data FOLDER`, a file of an embedder, or the name of one that
comes with weights. Runs whose folders differ only in a number at their end (`supcon-0`, `supcon-1`) are put together:
mean and standard deviation over them.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

import smoothswap
from smoothswap.evaluation import gradient_consistency, pairs_of_two_people
from smoothswap.modules import weights
from smoothswap.modules.pretrained import build_pretrained, is_name
from smoothswap.training.batches import faces_at
from smoothswap.training.validation import Validation, embed

CPU = torch.device("cpu")


def main() -> None:
    """Print the table and write every number."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--people", required=True, help="aligned folder with a sub-folder for each person")
    parser.add_argument("--held-out", type=float, default=0.15, help="part of them that the runs held out")
    parser.add_argument("--size", type=int, default=64, help="side of the pictures, pixels")
    parser.add_argument("--pictures", type=int, default=2_000, help="of held-out and of training people")
    parser.add_argument("--pairs", type=int, default=64, help="pairs whose gradients are followed")
    parser.add_argument("--json", type=Path, help="file for every run's figures")
    asked = parser.parse_args()
    found = {run: measure(embedder_of(run), asked) for run in asked.runs}
    kinds: dict[str, list[dict[str, float]]] = defaultdict(list)
    for run, values in found.items():
        kinds[kind_of(run)].append(values)
    figures = list(next(iter(found.values())))
    print(_row("embedder", "runs", *figures))
    print(_row(*["---"] * (2 + len(figures))))
    for kind, own in kinds.items():
        print(_row(kind, str(len(own)), *(_spread([one[name] for one in own]) for name in figures)))
    if asked.json is not None:
        asked.json.write_text(json.dumps(found, indent=2) + "\n", "utf-8")


def kind_of(run: str) -> str:
    """What runs of one kind have in common: their folder, without the number at its end."""
    path = Path(run)
    return re.sub(r"-\d+$", "", str(path.parent if path.suffix else path))


def embedder_of(run: str) -> nn.Module:
    """The last weights of a run, a file's, or those that come with a name."""
    if is_name(run):
        return build_pretrained(run).eval()
    path = Path(run)
    return weights.load(path / "embedder.safetensors" if path.is_dir() else path, CPU).eval()


def measure(embedder: nn.Module, asked: argparse.Namespace) -> dict[str, float]:
    """The figures of a validation, and the consistency of gradients between held-out people."""
    held_out, training = (people(asked, split) for split in ("held_out", "train"))
    values = Validation(held_out, training, asked.pictures, "auc").measure(embedder, CPU, 0)
    first, second = pairs_of_two_people(held_out.labels, asked.pairs, seed=1)
    wanted = embed(embedder, held_out, second.tolist(), CPU)
    consistency = [
        gradient_consistency(embedder, faces_at(held_out, first[rows].tolist()), wanted[rows])
        for rows in parts(asked.pairs)
    ]
    return values | {"gradient_consistency": float(torch.cat(consistency).mean())}


def people(asked: argparse.Namespace, split: str) -> Any:
    """The held-out or the training people of the folder."""
    options = {"folder": asked.people, "image_size": asked.size, "held_out": asked.held_out, "split": split}
    return smoothswap.build("identity_folder", "dataset", **options)


def parts(count: int, size: int = 16) -> Iterator[slice]:
    """Slices of so many pairs."""
    return (slice(at, min(at + size, count)) for at in range(0, count, size))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _spread(values: list[float]) -> str:
    numbers = torch.tensor(values, dtype=torch.float64)
    return f"{numbers.mean():.3f}" + (f" ± {numbers.std():.3f}" if len(values) > 1 else "")


if __name__ == "__main__":
    main()
