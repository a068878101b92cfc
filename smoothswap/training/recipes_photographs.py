"""Named recipes that learn from photographs."""

from __future__ import annotations

from dataclasses import replace

from smoothswap.training.recipe_parts import DataShare, LossTerm, Part
from smoothswap.training.recipes import SwapperRecipe

SCALE = 0.75
"""Of FFHQ's crop: hair and background need no pixels that the face could have."""


def swapper_photos_64() -> SwapperRecipe:
    """A generator for photographs: `--data FOLDER --embedder sface`, a folder that `smoothswap align` wrote.

    Of every sixteen pairs seven are photographs with someone else's face pasted in, whose true swap is the photograph;
    seven are photographs of two people, which nobody knows the true swap of; two are rendered, with hair and heads that
    change. What rewards a copy of the target, `change` and pairs of one person, has no place here: where it comes first
    the generator learns to leave photographs as they are, and stays there.
    """
    return SwapperRecipe(
        name="photos_64",
        image_size=64,
        generator=Part("smooth_unet_64_blend", {"crop_scale": SCALE}),
        discriminator=Part("stylegan2_64", {"channel_base": 2048}),
        data=Part("faceworld_swaps", {"groups": 1000, "people_per_group": 4, "pictures_per_person": 4, "workers": 2}),
        validation=Part(
            "faceworld_swaps",
            {"split": "held_out_people", "groups": 32, "people_per_group": 4, "pictures_per_person": 2, "workers": 2},
        ),
        mix={
            "photos": DataShare("image_folder", {"mirror": True, "held_out": 0.0}, share=0.4375),
            "pasted": DataShare("pasted_faces", {"mirror": True, "held_out": 0.0}, share=0.4375),
        },
        images=40_000,
        batch_size=16,
        optimizer="muon",
        learning_rate=1.5e-3,
        betas=(0.0, 0.99),
        discriminator_learning_rate=4e-3,
        r1_gamma=0.1,
        losses={
            "truth": LossTerm("truth", weight=10.0),
            "features": LossTerm("features"),
            "identity": LossTerm("identity", weight=4.0),
            "adversarial": LossTerm("adversarial", weight=0.5),
        },
        augment_identity=0.5,
        channels_last=True,
        warmup_images=1_600,
        decay_floor=0.02,
        ema_half_life=2_000,
        log_every=2_000,
        validate_every=10_000,
        checkpoint_every=10_000,
        copy_alarm_after=20_000,
    )


def swapper_photos_128() -> SwapperRecipe:
    """The same at 128 px, without rendered heads: `--data FOLDER --embedder sface`.

    In patches of four pixels the generator costs little more than that of 64 px. Faces are reshaped, identities blended
    and jittered, since there are few people; the embedders see the swap blurred, since they like dots and grids. The
    discriminator looks through a frozen network: one that starts from nothing needs far more photographs to find what
    is wrong. A second embedder helps, such as `--set identity_embedders=faceres.safetensors`.
    """
    held_out = {"mirror": True, "held_out": 0.05}
    pasted = {**held_out, "finer": 1, "tone": 0.3, "candidates": 6, "reshaping": 0.06}
    return replace(
        swapper_photos_64(),
        name="photos_128",
        image_size=128,
        generator=Part("smooth_unet_64_blend", {"patch": 4, "chroma_patch": 8, "crop_scale": SCALE}),
        discriminator=Part("projected"),
        discriminator_learning_rate=2e-3,
        data=Part("pasted_faces", pasted),
        validation=None,  # what the folder holds out, once there is one
        mix={"photos": DataShare("image_folder", held_out, share=0.4375)},
        losses={
            "truth": LossTerm("truth", weight=10.0),
            "features": LossTerm("features"),
            "identity": LossTerm("identity", {"enough": 0.65}, weight=3.0),
            "adversarial": LossTerm("adversarial", weight=4.0),
            "grid": LossTerm("grid", {"patch": 4}, weight=300.0),
        },
        augment_targets=0.25,
        blend_identities=0.5,
        blur_identity=1.4,
        jitter_identities=0.5,
        images=60_000,
    )
