"""Checks of the tensors that users hand to a model, with errors that name the shape and what was expected."""

from __future__ import annotations

import torch

from smoothswap.core.errors import ArgumentError


def check_images(images: torch.Tensor, size: int, name: str = "images", channels: int = 3) -> None:
    """Raise ArgumentError unless `images` is a floating point tensor [B, channels, size, size]."""
    expected = f"[B, {channels}, {size}, {size}]"
    if images.dim() != 4 or tuple(images.shape[1:]) != (channels, size, size):
        raise ArgumentError(
            f"{name} has the shape {list(images.shape)}, but {expected} is expected",
            hint="Resize the images, or build the model with another image size.",
        )
    _check_floating(images, name)


def check_vectors(vectors: torch.Tensor, dim: int, batch: int, name: str = "identity") -> None:
    """Raise ArgumentError unless `vectors` is a floating point tensor [batch, dim]."""
    if tuple(vectors.shape) != (batch, dim):
        raise ArgumentError(
            f"{name} has the shape {list(vectors.shape)}, but [{batch}, {dim}] is expected",
            hint="One vector for each image, from an embedder whose `dim` is the generator's `identity_dim`.",
        )
    _check_floating(vectors, name)


def check_features(features: torch.Tensor, channels: int, name: str = "features") -> None:
    """Raise ArgumentError unless `features` is a tensor [B, channels, H, W]."""
    if features.dim() != 4 or features.shape[1] != channels:
        raise ArgumentError(f"{name} has the shape {list(features.shape)}, but [B, {channels}, H, W] is expected")


def _check_floating(values: torch.Tensor, name: str) -> None:
    if not values.is_floating_point():
        raise ArgumentError(
            f"{name} is of dtype {values.dtype}, but a floating point tensor is expected",
            hint="Pictures of 0..255 become floats by `images.float() / 127.5 - 1`.",
        )
