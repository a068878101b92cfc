"""One round of the game: the gradients of generator and discriminator for one part of a batch.

    L_G = w_adv·L_adv + λ_id·L_id + λ_chg·L_chg        L_D = logistic + lazy R1

The generator runs once and the discriminator twice (real, swapped). Both players' gradients come from that one pass
over the swapped images, so they move at the same time: the generator's is the gradient of its loss with respect to the
images, the discriminator's the gradient of its own with respect to the weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from smoothswap.core.catalogue import build
from smoothswap.core.errors import ConfigError
from smoothswap.modules import weights
from smoothswap.modules.face_input import to_face_input
from smoothswap.training.parts import build_part
from smoothswap.training.perturb import perturb
from smoothswap.training.recipes import SwapperRecipe


class Game:
    """The two players, the frozen embedders that judge the identity, and the losses.

    Args:
        recipe: what to build.
        fabric: the engine.
        embedder_files: embedders; the generator takes the vectors of the first, all of them judge.

    Raises:
        ConfigError, InputError, CheckpointError, UnknownNameError: parts that cannot be had or do not fit together.
    """

    def __init__(self, recipe: SwapperRecipe, fabric: Fabric, embedder_files: list[Path]) -> None:
        self.recipe, self.fabric = recipe, fabric
        memory = torch.channels_last if recipe.channels_last else torch.contiguous_format
        self.embedders = [frozen_embedder(file, fabric.device, memory) for file in embedder_files]
        known = {"image_size": recipe.image_size, "identity_dim": self.embedders[0].dim}
        self.generator: nn.Module = build_part(recipe.generator, "generator", **known)
        self.discriminator: nn.Module = build_part(recipe.discriminator, "discriminator", **known)
        _check_sizes(recipe, self.generator, self.discriminator, self.embedders[0])
        self.generator.to(fabric.device, memory_format=memory)
        self.discriminator.to(fabric.device, memory_format=memory)
        self.adversarial = build("adversarial", "loss")
        self.identity = build("identity", "loss")
        self.change = build("change", "loss")
        self.r1 = build("r1", "loss", gamma=recipe.r1_gamma, every=recipe.r1_every)

    def backward(self, target: Tensor, source: Tensor, *, change_weight: float, with_r1: bool) -> dict[str, Tensor]:
        """Add the gradients of one part of a batch.

        Args:
            target: [B, 3, S, S] in [-1, 1].
            source: [B, 3, S, S] in [-1, 1]; its first `self_pairs` images are replaced by the targets.
            change_weight: λ_chg as it is now.
            with_r1: whether this step has the gradient penalty.

        Returns:
            Scalars for the log, on the device.
        """
        fabric, k = self.fabric, self.recipe.self_pairs
        if k:
            source = torch.cat([target[:k], source[k:]])
        with fabric.autocast():
            with torch.no_grad():
                z_sources = [embed(embedder, source) for embedder in self.embedders]
            swapped = self.generator(target, z_sources[0])
        swapped = swapped.float()

        logits, pull = self._train_discriminator(target, swapped.detach(), with_r1=with_r1)

        with fabric.autocast():
            seen = perturb(swapped, self.recipe.augment_identity)
            z_swaps = [embed(embedder, seen) for embedder in self.embedders]
        identity = torch.stack(
            [self.identity(z, z_source) for z, z_source in zip(z_swaps, z_sources, strict=True)]
        ).mean()
        changed = self.change(swapped[k:], target[k:])
        kept = self.change(swapped[:k], target[:k]) if k else torch.zeros_like(changed)
        part = k / len(target)
        change = (1 - part) * changed + part * self.recipe.self_weight * kept
        loss = self.recipe.identity_weight * identity + change_weight * change
        # The product's gradient with respect to `swapped` is `pull`: the adversarial loss joins without a second pass.
        fabric.backward((loss + (swapped * pull).sum()) / self.recipe.accumulate)

        values = {
            **logits,
            "loss_identity": identity.detach(),
            "loss_change": change.detach(),
            "mse_target": changed.detach(),
            "similarity_source": cosine(z_swaps[0][k:].detach(), z_sources[0][k:]),
        }
        if with_r1:  # a rare step will do for what costs another pass of the embedder
            with torch.no_grad(), fabric.autocast():
                values["similarity_target"] = cosine(z_swaps[0][k:].detach(), embed(self.embedders[0], target[k:]))
        return values

    def _train_discriminator(self, real: Tensor, fake: Tensor, *, with_r1: bool) -> tuple[dict[str, Tensor], Tensor]:
        """Add the discriminator's gradients.

        Returns:
            Numbers for the log, and the gradient of the generator's adversarial loss with respect to `fake`.
        """
        fabric, adversarial = self.fabric, self.adversarial
        fake = fake.requires_grad_()
        real = real.detach().requires_grad_(with_r1)
        with fabric.autocast():
            fake_logits = self.discriminator(fake).float()
            real_logits = self.discriminator(real).float()
        for_generator = adversarial.generator(fake_logits)
        (pull,) = torch.autograd.grad(for_generator, fake, retain_graph=True)
        loss = adversarial.discriminator(real_logits, fake_logits)
        values = {
            "loss_generator": for_generator.detach(),
            "loss_discriminator": loss.detach(),
            "accuracy_real": (real_logits.detach() > 0).float().mean(),
            "accuracy_fake": (fake_logits.detach() < 0).float().mean(),
        }
        if with_r1 and self.recipe.r1_gamma:
            penalty = self.r1(real_logits, real)
            values["loss_r1"] = penalty.detach()
            loss = loss + self.r1.weight * penalty
        weights_of_d = [weight for weight in self.discriminator.parameters() if weight.requires_grad]
        fabric.backward(loss / self.recipe.accumulate, inputs=weights_of_d)
        return values, self.recipe.adversarial_weight * pull


def frozen_embedder(file: Path, device: torch.device, memory: torch.memory_format) -> nn.Module:
    """An embedder that stays as it is: eval mode, no gradients for its weights."""
    embedder: nn.Module = weights.load(file, "cpu")
    if not hasattr(embedder, "expects"):
        raise ConfigError(
            f"{str(file)!r} holds no embedder but {type(embedder).__name__}",
            hint="name the embedder.safetensors of `smoothswap train embedder`",
        )
    embedder.to(device, memory_format=memory)  # type: ignore[call-overload]
    return embedder.eval().requires_grad_(False)


def _check_sizes(recipe: SwapperRecipe, generator: Any, discriminator: Any, embedder: Any) -> None:
    if generator.identity_dim != embedder.dim:
        raise ConfigError(
            f"the generator takes identities of {generator.identity_dim} numbers, the embedder gives {embedder.dim}",
            hint="leave generator.identity_dim to the embedder",
        )
    for name, size in (("generator", generator.image_size), ("discriminator", discriminator.image_size)):
        if size != recipe.image_size:
            raise ConfigError(
                f"the {name} works at {size} px, the recipe at {recipe.image_size} px",
                hint=f"set image_size and leave {name}.image_size to it",
            )


def embed(embedder: Any, images: Tensor) -> Tensor:
    """Identity vectors [B, D] of faces [B, 3, S, S] in [-1, 1], FFHQ crop."""
    z: Tensor = embedder(to_face_input(images, embedder.expects))
    return z.float()


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """Mean cosine of two batches of unit vectors [B, D]."""
    return (a * b).sum(1).mean()
