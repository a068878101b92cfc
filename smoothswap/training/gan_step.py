"""One adversarial step: the gradients of generator and discriminator for one part of a batch.

    L_G = Σ weight · loss over the recipe's losses        L_D = logistic + lazy R1

The generator runs once and the discriminator twice (real, swapped). Both gradients come from that one pass over the
swapped images, so both networks move at the same time: the generator's is the gradient of its losses with respect to
the images, the discriminator's the gradient of its own with respect to the weights. Without a loss that needs logits
there is no discriminator, and while such a loss has no weight yet the discriminator rests.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import Tensor, nn

from smoothswap.core.catalogue import build
from smoothswap.core.errors import ConfigError
from smoothswap.core.face_crop import FFHQ, FaceCrop, declared_face_crop
from smoothswap.evaluation import embed as identities
from smoothswap.evaluation import slerp
from smoothswap.losses.adversarial import AdversarialLoss
from smoothswap.losses.swap_batch import Need, SwapBatch
from smoothswap.modules import weights
from smoothswap.modules.face_input import window_within
from smoothswap.modules.outputs import check_logits, check_swapped, check_vectors
from smoothswap.training.augment_targets import augment_targets
from smoothswap.training.loss_terms import BuiltLoss, LossTerms
from smoothswap.training.parts import build_part
from smoothswap.training.perturb import blur, perturb
from smoothswap.training.recipes import SwapperRecipe
from smoothswap.training.swap_inputs import SwapInputs


class GanStep:
    """Generator, discriminator, the frozen embedders that judge the identity, and the losses.

    Args:
        recipe: what to build.
        fabric: the engine.
        embedder_files: embedders; the generator takes the vectors of the first, all of them judge.
        has: what the data sets know beside pictures: "truth", "masks".

    Attributes:
        judges: which needs of losses the embedders meet.
        crop: the part of a face that the generator works on.
        discriminator: None where no loss needs its logits.

    Raises:
        ConfigError, InputError, CheckpointError, UnknownNameError: parts that cannot be built or do not fit together.
    """

    def __init__(self, recipe: SwapperRecipe, fabric: Fabric, embedder_files: list[Path], has: set[Need]) -> None:
        self.recipe, self.fabric = recipe, fabric
        memory = torch.channels_last if recipe.channels_last else torch.contiguous_format
        self.embedders = [frozen_embedder(file, fabric.device, memory) for file in embedder_files]
        self.judges: set[Need] = {"identity"} if len(self.embedders) == 1 else {"identity", "second_embedder"}
        self.losses = LossTerms(recipe.losses, has | self.judges, fabric.device)
        known = {"image_size": recipe.image_size, "identity_dim": self.embedders[0].dim}
        self.generator: nn.Module = build_part(recipe.generator, "generator", **known)
        _check_generator(recipe, self.generator, self.embedders[0])
        self.crop = declared_face_crop(self.generator)
        for embedder in self.embedders:
            window_within(self.crop, embedder.expects)  # type: ignore[arg-type]  # refuses what it cannot see
        self.generator.to(fabric.device, memory_format=memory)
        self.discriminator: nn.Module | None = None
        if self.losses.ever("logits"):
            self.discriminator = build_part(recipe.discriminator, "discriminator", **known)
            _check_size(recipe, "discriminator", self.discriminator)
            self.discriminator.to(fabric.device, memory_format=memory)  # type: ignore[call-overload]
        self.adversarial: AdversarialLoss = build("adversarial", "swap_loss")
        self.r1 = build("r1", "loss", gamma=recipe.r1_gamma, every=recipe.r1_every)

    def backward(self, inputs: SwapInputs, *, images: int, with_r1: bool) -> dict[str, Tensor]:
        """Add the gradients of one part of a batch.

        Args:
            inputs: B pairs; the source of the first `self_pairs` is replaced by their target.
            images: images seen before this step; they decide the weights of the losses.
            with_r1: whether this step has the gradient penalty.

        Returns:
            Scalars for the log, on the device.
        """
        fabric, k = self.fabric, self.recipe.self_pairs
        inputs = augment_targets(inputs, self.recipe.augment_targets)
        real = inputs.real()
        inputs = inputs.with_self_pairs(k)
        target = inputs.target
        active = self.losses.active(images)
        with fabric.autocast():
            with torch.no_grad():
                z_source = [embed(embedder, inputs.source, self.crop) for embedder in self.embedders]
                if self.recipe.blend_identities:
                    free = ~inputs.knows
                    free[:k] = False
                    z_source = blend_identities(z_source, free, self.recipe.blend_identities)
                given = jitter_identities(z_source[0], self.recipe.jitter_identities)
            swapped = check_swapped(self.generator(target, given), target, self.generator)
        swapped = swapped.float()
        batch = SwapBatch(
            swapped=swapped,
            target=target,
            source=inputs.source,
            self_pair=torch.arange(len(target), device=target.device) < k,
            z_source=tuple(z_source),
            truth=inputs.truth,
            face=inputs.face,
            head=inputs.head,
        )
        judged = with_r1 or any("identity" in loss.needs or "second_embedder" in loss.needs for loss, _ in active)
        if judged:  # elsewhere the embedders' passes would only serve the log
            batch = replace(batch, z_swapped=tuple(self._judge(swapped)))

        values: dict[str, Tensor] = {}
        total = torch.zeros((), device=swapped.device, dtype=torch.float32)
        by_logits = [(loss, weight) for loss, weight in active if "logits" in loss.needs]
        if by_logits:
            numbers, gradients = self._train_discriminator(batch, by_logits, real, inputs.knows, with_r1=with_r1)
            values |= numbers
            # The gradient of each product is the one that is known already: no second pass of the discriminator.
            for tensor, gradient in zip((swapped, *batch.z_swapped), gradients, strict=True):
                if gradient is not None:
                    total = total + (tensor * gradient).sum()
        for loss, weight in active:
            if "logits" not in loss.needs:
                value = loss(batch, inputs.knows)
                values[f"loss_{loss.name}"] = value.detach()
                total = total + weight * value
        fabric.backward(total / self.recipe.accumulate)
        return values | self._numbers(batch, k, with_r1=with_r1)

    def _judge(self, swapped: Tensor) -> list[Tensor]:
        with self.fabric.autocast():
            seen = blur(perturb(swapped, self.recipe.augment_identity), self.recipe.blur_identity)
            return [embed(embedder, seen, self.crop) for embedder in self.embedders]

    def _numbers(self, batch: SwapBatch, k: int, *, with_r1: bool) -> dict[str, Tensor]:
        """What the health panel asks for, of the pairs of two people."""
        swapped, target = batch.swapped.detach()[k:], batch.target[k:]
        values = {"mse_target": (swapped - target).square().mean()}
        if batch.z_swapped:
            values["similarity_source"] = cosine(batch.z_swapped[0][k:].detach(), batch.z_source[0][k:])
        if with_r1:  # a rare step will do for what costs another pass of the embedder
            with torch.no_grad(), self.fabric.autocast():
                z_target = embed(self.embedders[0], target, self.crop)
            values["similarity_target"] = cosine(batch.z_swapped[0][k:].detach(), z_target)
        return values

    def _train_discriminator(
        self, batch: SwapBatch, losses: list[tuple[BuiltLoss, float]], real: Tensor, knows: Tensor, *, with_r1: bool
    ) -> tuple[dict[str, Tensor], tuple[Tensor | None, ...]]:
        """Add the discriminator's gradients.

        Returns:
            Numbers for the log, and the gradients of the losses that need logits with respect to the swapped pictures
            and to each embedder's vectors of them; None where they do not depend on them.
        """
        fabric, discriminator = self.fabric, cast(nn.Module, self.discriminator)
        fake = batch.swapped.detach().requires_grad_()
        real = real.detach().requires_grad_(with_r1)
        with fabric.autocast():
            fake_logits = check_logits(discriminator(fake), fake, discriminator).float()
            real_logits = check_logits(discriminator(real), real, discriminator).float()
        vectors = tuple(z.detach().requires_grad_() for z in batch.z_swapped)
        seen = replace(batch, swapped=fake, z_swapped=vectors, logits=fake_logits)
        each = {loss.name: loss(seen, knows) for loss, _ in losses}
        summed = torch.stack([weight * each[loss.name] for loss, weight in losses]).sum()
        gradients = torch.autograd.grad(summed, (fake, *vectors), retain_graph=True, allow_unused=True)
        loss = self.adversarial.discriminator(real_logits, fake_logits)
        values = {f"loss_{name}": value.detach() for name, value in each.items()} | {
            "loss_discriminator": loss.detach(),
            "accuracy_real": (real_logits.detach() > 0).float().mean(),
            "accuracy_fake": (fake_logits.detach() < 0).float().mean(),
        }
        if with_r1 and self.recipe.r1_gamma:
            penalty = self.r1(real_logits, real)
            values["loss_r1"] = penalty.detach()
            loss = loss + self.r1.weight * penalty
        trained = [weight for weight in discriminator.parameters() if weight.requires_grad]
        fabric.backward(loss / self.recipe.accumulate, inputs=trained)
        return values, gradients


def frozen_embedder(file: Path, device: torch.device, memory: torch.memory_format) -> nn.Module:
    """An embedder that stays as it is: eval mode, no gradients for its weights."""
    embedder: nn.Module = weights.load(file, "cpu", kind="embedder")
    if not hasattr(embedder, "expects"):
        raise ConfigError(
            f"the embedder {type(embedder).__name__} in {str(file)!r} does not declare its crop",
            hint="it needs the attribute `expects`, a smoothswap.core.interfaces.FaceInput",
        )
    embedder.to(device, memory_format=memory)  # type: ignore[call-overload]
    return embedder.eval().requires_grad_(False)


def _check_generator(recipe: SwapperRecipe, generator: Any, embedder: Any) -> None:
    if generator.identity_dim != embedder.dim:
        raise ConfigError(
            f"the generator takes identities of {generator.identity_dim} numbers, the embedder gives {embedder.dim}",
            hint="leave generator.identity_dim to the embedder",
        )
    _check_size(recipe, "generator", generator)


def _check_size(recipe: SwapperRecipe, name: str, network: Any) -> None:
    if network.image_size != recipe.image_size:
        raise ConfigError(
            f"the {name} works at {network.image_size} px, the recipe at {recipe.image_size} px",
            hint=f"set image_size and leave {name}.image_size to it",
        )


def embed(embedder: Any, images: Tensor, crop: FaceCrop = FFHQ) -> Tensor:
    """Identity vectors [B, D] of faces [B, 3, S, S] in [-1, 1] that show this crop."""
    return check_vectors(identities(embedder, images, crop), images, embedder).float()


def jitter_identities(z: Tensor, length: float) -> Tensor:
    """Unit vectors z [B, D], each moved in a direction by chance, by about this length, and brought to unit length."""
    if length == 0:
        return z
    return F.normalize(z + torch.randn_like(z) * (length / z.shape[1] ** 0.5), dim=1)


def blend_identities(z: list[Tensor], free: Tensor, share: float) -> list[Tensor]:
    """Replace some identities by ones between two people, of whom no picture is needed.

    A generator that knows few people learns from these what lies between them.

    Args:
        z: unit vectors [B, D] by each embedder.
        free: bool [B] on the CPU, identities that may be replaced, and whose people are used.
        share: of these that are.

    Returns:
        The same, where a share of the free ones lies on the great circle to the next free one, at a random place.
    """
    rows = free.nonzero().flatten()
    drawn, place = torch.rand(len(rows), dtype=torch.float32) < share, torch.rand(len(rows), 1, dtype=torch.float32)
    if len(rows) < 2 or not bool(drawn.any()):
        return z
    made = []
    for own in z:
        blended = own.clone()
        blended[rows[drawn]] = slerp(own[rows], own[rows.roll(1)], place)[drawn, 0].to(own)
        made.append(blended)
    return made


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """Mean cosine of two batches of unit vectors [B, D]."""
    return (a * b).sum(1).mean()
