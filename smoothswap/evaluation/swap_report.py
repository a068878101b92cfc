"""Swap pairs of FaceWorld and measure the swaps against the true ones: what makes a `SwapReport`."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import cast

import torch
from torch import Tensor, nn

from smoothswap.core.errors import ArgumentError
from smoothswap.core.face_crop import FFHQ, FaceCrop, declared_face_crop
from smoothswap.core.interfaces import Embedder, Generator
from smoothswap.core.scalars import takes_numpy_scalars
from smoothswap.data.faceworld import Factors
from smoothswap.evaluation.criteria import number
from smoothswap.evaluation.estimates import mean
from smoothswap.evaluation.measured import Likeness, Measured, measure
from smoothswap.evaluation.protocol import Protocol, component_name
from smoothswap.evaluation.report import ANSWERS, SwapReport
from smoothswap.evaluation.scene import Scene, draw_scene
from smoothswap.evaluation.thresholds import CHANCE, Thresholds
from smoothswap.modules.face_input import to_face_input
from smoothswap.modules.outputs import check_swapped
from smoothswap.modules.weights import weights_fingerprint


@takes_numpy_scalars
def swap_report(
    generator: nn.Module,
    embedder: nn.Module,
    judge: nn.Module,
    source: Factors,
    target: Factors,
    batch_size: int = 16,
    *,
    further_judges: Mapping[str, nn.Module] | None = None,
    supersample: int = 2,
    split: str = "",
    seed: int | None = None,
    watch: Callable[[Scene, Tensor], None] | None = None,
) -> SwapReport:
    """Swap pairs of FaceWorld and measure the result against the true swaps.

    Everything runs on the device of the factors, where the models must be as well; they are used in eval mode and left
    as they were.

    Args:
        generator: the model to judge.
        embedder: the embedder that it was trained with.
        judge: an embedder that had no part in its training; with the same one the report carries a warning.
        source: factors of N pictures, the people to put in.
        target: factors of N pictures to put them into.
        batch_size: pairs at once.
        further_judges: embedders of other kinds that judge identity too, by the name that the report gives them. Each
            adds a criterion.
        supersample: subpixels per pixel side of the pictures.
        split: where the pairs come from, in words, for the protocol.
        seed: seed of the pairs, for the protocol.
        watch: called after each batch with its scene and the swapped pictures [B, 3, S, S].

    Raises:
        ArgumentError: no pairs, or different numbers of sources and targets.
    """
    count = len(source)
    if count == 0 or count != len(target):
        raise ArgumentError(f"swaps need as many targets as sources, and at least one: {count} and {len(target)}")
    if batch_size < 1:
        raise ArgumentError(f"batch_size must be at least 1, got {batch_size}")
    size, crop = cast(Generator, generator).image_size, declared_face_crop(generator)
    further = dict(further_judges or {})
    parts: dict[str, list[Measured]] = {answer: [] for answer in ANSWERS}
    seconds = 0.0
    with torch.inference_mode(), _evaluating(generator, embedder, judge, *further.values()):
        for start in range(0, count, batch_size):
            batch = slice(start, start + batch_size)
            scene = draw_scene(source.select(batch), target.select(batch), size, supersample, crop)
            began = _now(scene.target)
            made = generator(scene.target, embed(embedder, scene.source, crop))
            swapped = check_swapped(made, scene.target, generator).clamp(-1, 1)
            seconds += _now(swapped) - began
            answers = dict(zip(ANSWERS, (swapped, scene.target, scene.source, scene.truth), strict=True))
            likeness = _likeness(judge, answers, crop)
            others = {name: _likeness(other, answers, crop) for name, other in further.items()}
            for answer, pictures in answers.items():
                by = {name: told[answer] for name, told in others.items()}
                parts[answer].append(measure(scene, pictures, likeness[answer], by))
            if watch is not None:
                watch(scene, swapped)
    protocol = Protocol(
        judge=component_name(judge),
        judge_weights_fingerprint=weights_fingerprint(judge),
        generator=component_name(generator),
        generator_weights_fingerprint=weights_fingerprint(generator),
        embedder=component_name(embedder),
        embedder_weights_fingerprint=weights_fingerprint(embedder),
        pairs=count,
        split=split,
        seed=seed,
        size=size,
        supersample=supersample,
        crop=str(crop),
        further_judges_weights_fingerprint={name: weights_fingerprint(other) for name, other in further.items()},
    )
    measured = {answer: Measured.cat(parts[answer]) for answer in ANSWERS}
    warnings = _warnings(protocol, measured["true_swap"])
    return SwapReport(**measured, protocol=protocol, seconds=seconds, warnings=warnings)


def embed(embedder: nn.Module, images: Tensor, crop: FaceCrop = FFHQ) -> Tensor:
    """Identity vectors [B, D] of images [B, 3, H, W] (RGB, [-1, 1]) that show this crop, as `embedder` expects them."""
    return cast(Embedder, embedder)(to_face_input(images, cast(Embedder, embedder).expects, crop))


def _likeness(judge: nn.Module, answers: dict[str, Tensor], crop: FaceCrop) -> dict[str, Likeness]:
    """Whom the pictures of each answer [B, 3, S, S] show, by one judge."""
    z = {answer: embed(judge, pictures, crop) for answer, pictures in answers.items()}
    return {answer: Likeness.of(z[answer], z["copy_source"], z["copy_target"]) for answer in answers}


def _warnings(protocol: Protocol, true_swap: Measured) -> tuple[str, ...]:
    limits = Thresholds()
    first = (protocol.judge, protocol.judge_weights_fingerprint, true_swap.likeness, limits.nearest_rate)
    digests = protocol.further_judges_weights_fingerprint
    further = ((name, digest, true_swap.further[name], CHANCE) for name, digest in digests.items())
    found = []
    for name, digest, likeness, limit in (first, *further):
        if digest == protocol.embedder_weights_fingerprint:
            found.append(
                f"the judge ({name}, {digest[:12]}) is the embedder that trained the generator: its similarities only "
                "show that the generator fools it"
            )
        rate = mean(likeness.nearer)
        if rate < limit:
            found.append(
                f"the judge {name} finds only {number(rate, '%')} of the true swaps nearer to their source than to "
                f"their target: on these pairs no swap can be expected to reach its limit of {number(limit, '%')}"
            )
    if protocol.judge_weights_fingerprint in protocol.further_judges_weights_fingerprint.values():
        found.append(f"a further judge has the weights of the judge ({protocol.judge}): it gives no second opinion")
    return tuple(found)


@contextlib.contextmanager
def _evaluating(*modules: nn.Module) -> Iterator[None]:
    """All modules in eval mode; afterwards each submodule is as it was."""
    training = {part: part.training for module in modules for part in module.modules()}
    for module in modules:
        module.eval()
    try:
        yield
    finally:
        for part, mode in training.items():
            part.training = mode


def _now(after: Tensor) -> float:
    """Seconds on a clock, once the work on `after`'s device is done."""
    if after.is_cuda:
        torch.cuda.synchronize(after.device)
    return time.perf_counter()
