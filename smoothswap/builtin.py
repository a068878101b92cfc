"""The components that ship, declared through the same hook that plugins use."""

from __future__ import annotations

from typing import Any

from smoothswap.core.component import Component
from smoothswap.core.extras import needed
from smoothswap.core.hookspecs import hookimpl

_PHOTOS = needed("photos")
_FROZEN_FEATURES = needed("frozen-features")


def _row(kind: str, name: str, target: str, summary: str, *, needs: str = "", **defaults: Any) -> Component:
    target = f"smoothswap.{target}"
    return Component(kind=kind, name=name, target=target, summary=summary, defaults=defaults, needs=needs)


_COMPONENTS = (
    _row(
        "embedder",
        "smooth_resnet50",
        "embedders.smooth_resnet50:SmoothResNet50",
        "the paper's embedder: ResNet-50, MLP head",
    ),
    _row("embedder", "small_resnet", "embedders.small_resnet:SmallResNet", "a small residual network for 64 px faces"),
    _row("embedder", "iresnet", "embedders.iresnet:IResNet", "insightface's iResNet (ArcFace), weights by `convert`"),
    _row(
        "embedder",
        "inception_resnet_v1",
        "embedders.inception_resnet_v1:InceptionResnetV1",
        "facenet-pytorch's network, weights by `convert`",
    ),
    _row(
        "embedder",
        "torchvision_resnet50",
        "embedders.torchvision_resnet50:TorchvisionResNet50",
        "pooled features of torchvision's ResNet-50, weights by `convert`",
    ),
    _row(
        "embedder",
        "sface",
        "embedders.sface:SFace",
        "SFace, pretrained on photographs: a judge out of the box",
        needs=_PHOTOS,
    ),
    _row("embedder", "faceres", "embedders.faceres:FaceRes", "MobileNet of VGGFace2's people, weights by `convert`"),
    _row(
        "embedder",
        "dlib_resnet",
        "embedders.dlib_resnet:DlibResNet",
        "dlib's network, pretrained: a judge of another family, without gradients",
        needs=needed("landmarks68"),
    ),
    _row("generator", "smooth_unet", "generators.smooth_unet:SmoothUnet", "NCSN++ U-Net that takes an identity vector"),
    _row(
        "generator",
        "smooth_unet_64",
        "generators.smooth_unet:SmoothUnet",
        "smooth_unet for 64 px, small enough for a CPU",
        image_size=64,
        block="ddpm",
        resample_with_convolution=False,
        base_channels=16,
        channel_multipliers=(1, 3, 6, 8),
        blocks_per_level=1,
        attention_resolutions=(8,),
        identity_dim=256,
    ),
    _row(
        "generator",
        "smooth_unet_64_blend",
        "generators.smooth_unet:SmoothUnet",
        "smooth_unet for 64 px that draws a face and blends it in, in patches of 2 px",
        image_size=64,
        patch=2,
        output="blend",
        injection="adagn",
        scene_dim=256,
        block="ddpm",
        resample_with_convolution=False,
        base_channels=48,
        channel_multipliers=(1, 2, 3),
        blocks_per_level=1,
        attention_resolutions=(8,),
        identity_dim=256,
    ),
    _row(
        "discriminator",
        "stylegan2",
        "discriminators.stylegan2:StyleGAN2Discriminator",
        "StyleGAN2's residual discriminator",
    ),
    _row(
        "discriminator",
        "stylegan2_64",
        "discriminators.stylegan2:StyleGAN2Discriminator",
        "stylegan2 for 64 px, small enough for a CPU",
        image_size=64,
        channel_base=1024,
        channel_max=128,
    ),
    _row(
        "discriminator",
        "projected",
        "discriminators.projected:ProjectedDiscriminator",
        "small heads on a frozen ImageNet network",
        needs=_FROZEN_FEATURES,
    ),
    _row(
        "injection",
        "add",
        "modules.injections.add:AddInjection",
        "adds a projection of the identity, as NCSN++ adds time",
    ),
    _row("injection", "adain", "modules.injections.adain:AdaINInjection", "adaptive instance normalisation"),
    _row("injection", "adagn", "modules.injections.adagn:AdaGNInjection", "adaptive group normalisation"),
    _row(
        "injection", "modulated", "modules.injections.modulated:ModulatedInjection", "StyleGAN2's modulated convolution"
    ),
    _row("loss", "supcon", "losses.supcon:SupConLoss", "supervised contrastive loss: a smooth identity space"),
    _row(
        "loss",
        "supcon_attributes",
        "losses.supcon_attributes:SupConAttributesLoss",
        "supcon and a linear readout of what the data set knows of each person",
    ),
    _row("loss", "arcface", "losses.arcface:ArcFaceLoss", "additive angular margin over the training people"),
    _row("loss", "softmax", "losses.softmax:SoftmaxLoss", "plain classification of the training people"),
    _row("loss", "triplet", "losses.triplet:TripletLoss", "anchor nearer to its person than to others, by a margin"),
    _row("loss", "r1", "losses.r1:R1Loss", "gradient penalty on real pictures, applied lazily"),
    _row("swap_loss", "adversarial", "losses.adversarial:AdversarialLoss", "non-saturating logistic loss"),
    _row("swap_loss", "identity", "losses.identity:IdentityLoss", "λ_id: one minus the cosine to the source"),
    _row("swap_loss", "change", "losses.change:ChangeLoss", "λ_chg: mean squared difference to the target picture"),
    _row("swap_loss", "grid", "losses.grid:GridLoss", "how visible the patches of a generator are"),
    _row("swap_loss", "truth", "losses.truth:TruthLoss", "difference to the true swap, where the data knows it"),
    _row(
        "swap_loss",
        "features",
        "losses.features:FeaturesLoss",
        "difference to the true swap in the features of a frozen network",
        needs=_FROZEN_FEATURES,
    ),
    _row("dataset", "faceworld", "data.faceworld.dataset:FaceWorld", "rendered heads whose true swap is known"),
    _row(
        "dataset",
        "faceworld_swaps",
        "data.faceworld.swaps:FaceWorldSwaps",
        "rendered pairs with their true swap: target, source, truth and masks",
    ),
    _row(
        "dataset",
        "image_folder",
        "data.image_folder:ImageFolder",
        "a folder of faces, each its own person (FFHQ)",
        needs=_PHOTOS,
    ),
    _row(
        "dataset",
        "identity_folder",
        "data.identity_folder:IdentityFolder",
        "a folder with one sub-folder a person (VGGFace2)",
        needs=_PHOTOS,
    ),
    _row(
        "dataset",
        "same_person",
        "data.same_person:SamePersonPairs",
        "identity_folder as pairs of one person, whose true swap is the target",
        needs=_PHOTOS,
    ),
    _row(
        "dataset",
        "pasted_faces",
        "data.pasted_faces:PastedFaces",
        "aligned photographs with someone else's face pasted in, whose true swap is the photograph",
        needs=_PHOTOS,
    ),
    _row(
        "dataset",
        "webdataset",
        "data.webdataset:WebDataset",
        "sharded WebDataset tars of known people, read at random",
        needs=_PHOTOS,
    ),
    _row("landmarker", "yunet", "pipeline.detect:YuNet", "finds faces and five points, any size", needs=_PHOTOS),
    _row(
        "landmarker",
        "dlib68",
        "pipeline.dlib68:Dlib68",
        "68 points by dlib",
        needs=needed("photos", "landmarks68"),
    ),
    _row(
        "marker",
        "iptc",
        "pipeline.mark:IptcMarker",
        "IPTC digital source type, tool and weights in the picture's XMP",
        needs=_PHOTOS,
    ),
)


@hookimpl
def smoothswap_components() -> tuple[Component, ...]:
    """The table above."""
    return _COMPONENTS
