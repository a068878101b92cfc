"""What a classification head costs beside the embedder that it trains: time of both, peak memory of the head.

    python tests/benchmarks/profile_heads.py --people 1600 8631 100000 --batch 128 512 --dim 512  # the head, both ways
    python tests/benchmarks/profile_heads.py --embedder smooth_resnet50 --size 112 --pictures 8   # ms per picture

"whole" holds the logits [N, people], "blocks" never does; their ms are of loss and gradients. The embedder's are of
forward and backward pass, without losses. A share is head / (head + embedder) at the same number of pictures.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
import torch.nn.functional as F
from benchmarks.memory import peak_bytes
from torch import nn

from smoothswap import build


def head_calls(head: str, people: int, batch: int, dim: int) -> dict[str, Callable[[], object]]:
    """Loss and gradients of embeddings and centres, with the logits whole and in blocks."""
    torch.manual_seed(0)
    loss = build(head, "loss", people=people, dim=dim)
    z = F.normalize(torch.randn(batch, dim), dim=1).requires_grad_()
    labels = torch.randint(people, (batch,))
    wanted = [z, *loss.parameters()]

    def call(way: Callable[..., torch.Tensor]) -> Callable[[], object]:
        return lambda: torch.autograd.grad(way(z, labels), wanted)

    return {"whole": call(loss.whole), "blocks": call(loss.in_blocks)}


def embedder_call(name: str, size: int, pictures: int) -> Callable[[], object]:
    """Forward and backward pass of an embedder over pictures [pictures, 3, size, size] of noise."""
    torch.manual_seed(0)
    embedder: nn.Module = build(name, input_size=size).train()
    x = torch.rand(pictures, 3, size, size) * 2 - 1
    parameters = [p for p in embedder.parameters() if p.requires_grad]
    return lambda: torch.autograd.grad(embedder(x).square().sum(1).mean(), parameters, allow_unused=True)


def medians(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Milliseconds; the calls take turns, after one of each to warm up."""
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for counted in [False] + [True] * rounds:
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            if counted:
                samples[name].append(1e3 * (time.perf_counter() - began))
    return {name: statistics.median(values) for name, values in samples.items()}


def main() -> None:
    """Measures what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--embedder", help="smooth_resnet50 or small_resnet; without it the head is measured")
    parser.add_argument("--size", type=int, default=112, help="side of the pictures")
    parser.add_argument("--pictures", type=int, default=8)
    parser.add_argument("--head", default="arcface", choices=("arcface", "softmax"))
    parser.add_argument("--people", type=int, nargs="+", default=[1600, 8631, 100_000])
    parser.add_argument("--batch", type=int, nargs="+", default=[128, 512])
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    threads = torch.get_num_threads()
    if asked.embedder:
        call = embedder_call(asked.embedder, asked.size, asked.pictures)
        ms = medians({"step": call}, asked.rounds)["step"]
        title = f"{asked.embedder}, {asked.size} px, {asked.pictures} pictures, {threads} threads"
        print(f"{title}: {ms:.0f} ms, {ms / asked.pictures:.1f} ms a picture")
        return
    for people in asked.people:
        for batch in asked.batch:
            calls = head_calls(asked.head, people, batch, asked.dim)
            ms = medians(calls, asked.rounds)
            peaks = {name: peak_bytes(call, torch.device("cpu")) / 2**20 for name, call in calls.items()}
            said = "; ".join(
                f"{name} {ms[name]:.1f} ms, {ms[name] / batch:.2f} a picture, peak {peaks[name]:.0f} MiB"
                for name in calls
            )
            print(f"{asked.head}, {people} people, batch {batch}, D {asked.dim}, {threads} threads: {said}", flush=True)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    main()
