"""dlib's face recognition network (King, 2017): a judge of another family, with weights (extra: `landmarks68`).

A residual network of 29 layers, trained by a pairwise hinge loss on about three million photographs; its file comes in
the package `face-recognition-models` (CC0) and runs in dlib (Boost Software License). It gives no gradients.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from smoothswap.core.assets import model_file
from smoothswap.core.config import Options
from smoothswap.core.errors import ArgumentError, InputError
from smoothswap.core.extras import command
from smoothswap.core.files import file_sha256
from smoothswap.core.interfaces import FaceInput
from smoothswap.modules.shapes import check_images

SIZE = 150
DIM = 128
_FILE = "models/dlib_face_recognition_resnet_model_v1.dat"
_INSTALL = command("landmarks68")


class DlibResNet(nn.Module):
    """Faces [B, 3, 150, 150] -> unit vectors [B, 128].

    dlib compares its vectors by Euclidean distance; scaled to unit length, as here, they are compared by the cosine.

    Attributes:
        expects: dlib's face chip, RGB in [0, 255].
        dim: 128.
        has_weights: True.
    """

    has_weights = True

    @dataclass(frozen=True, kw_only=True)
    class Config(Options):
        """`dlib_resnet` has no options."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.dim = DIM
        self.expects = FaceInput("dlib150", SIZE, (0.0, 255.0))
        file = model_file("face_recognition_models", _FILE, install=_INSTALL)
        try:
            dlib: Any = importlib.import_module("dlib")
        except ImportError as cause:
            raise InputError("the embedder 'dlib_resnet' needs dlib", str(cause), hint=_INSTALL) from cause
        self._network = dlib.face_recognition_model_v1(str(file))
        # The weights are dlib's; the file_sha256 of their file [32] stands for them where weights_fingerprint tells one
        # model from another. The buffer's name counts in that and lies in saved files, so it stays.
        digest = bytes.fromhex(file_sha256(file))
        self.register_buffer("weights_sha256", torch.tensor(list(digest), dtype=torch.uint8))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Embed images [B, 3, 150, 150], RGB in [0, 255], rounded to whole grey levels.

        Returns:
            unit vectors [B, 128], on the device of the images.

        Raises:
            ArgumentError: another shape, integers, or images that ask for a gradient, which dlib does not give.
        """
        check_images(images, SIZE)
        if images.requires_grad and torch.is_grad_enabled():
            raise ArgumentError("dlib_resnet gives no gradients", hint="detach the images; train against sface instead")
        chips = images.float().round().clamp(0, 255).permute(0, 2, 3, 1).to("cpu", torch.uint8).numpy()
        rows = [np.array(self._network.compute_face_descriptor(np.ascontiguousarray(chip))) for chip in chips]
        z = torch.from_numpy(np.stack(rows) if rows else np.empty((0, DIM))).to(images.device, torch.float32)
        return nn.functional.normalize(z, dim=1)
