"""How well an embedder that was trained elsewhere tells FaceWorld's held-out people apart: a figure for docs/models.md.

    python tests/benchmarks/judge_faceworld.py sface --size 256

NAME is built with its defaults, or loaded where it is a file. Two AUCs over all pairs of pictures: of anybody, and of
people who share colouring and hair, whom only shape tells apart.
"""

from __future__ import annotations

import argparse
import time

import torch

import smoothswap
from smoothswap.evaluation import pair_scores, tar_at_far, verification_auc
from smoothswap.modules.face_input import to_face_input

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("name", help="an embedder's name, or a model file")
    parser.add_argument("--size", type=int, default=256, help="side of the pictures, pixels")
    parser.add_argument("--groups", type=int, default=32)
    arguments = parser.parse_args()
    embedder = (smoothswap.load if arguments.name.endswith(".safetensors") else smoothswap.build)(arguments.name).eval()
    world = smoothswap.build(
        "faceworld", split="held_out_people", groups=arguments.groups, people_per_group=4, images_per_person=6,
        image_size=arguments.size,
    )  # fmt: skip
    vectors, seconds = [], 0.0
    with torch.inference_mode():
        for i in range(len(world)):
            face = world[i]["image"][None].float() / 127.5 - 1
            start = time.perf_counter()
            vectors.append(embedder(to_face_input(face, embedder.expects)))
            seconds += time.perf_counter() - start
    z = torch.cat(vectors)
    same, different = pair_scores(z, world.labels)
    print(
        f"{len(z)} pictures of {world.people} people, {arguments.size} px, {1000 * seconds / len(z):.1f} ms a picture"
    )
    print(f"cosine: {same.mean():.3f} of one person, {different.mean():.3f} of two")
    shape = verification_auc(z, world.labels, torch.as_tensor(world.groups)[world.labels])
    print(f"AUC {verification_auc(z, world.labels):.4f}, of one colouring {shape:.3f}")
    print(f"TAR at FAR 1e-3: {tar_at_far(same, different, 1e-3):.3f}")
