"""iresnet, inception_resnet_v1, torchvision_resnet50: the public architectures, with their crops."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from embedders.transcriptions import State, inception_resnet_v1, iresnet, planted, resnet50
from torch import Tensor, nn

import smoothswap
from smoothswap.core.errors import ArgumentError, CheckpointError
from smoothswap.core.interfaces import FaceInput
from smoothswap.embedders.convert_insightface import insightface_options
from smoothswap.modules.face_input import to_face_input

MEAN, DEVIATION = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


def _resnet50(x: Tensor, state: State) -> Tensor:
    trunk = {name.removeprefix("trunk."): value for name, value in state.items()}
    return resnet50((x - MEAN[:, None, None]) / DEVIATION[:, None, None], trunk)


CASES: dict[str, tuple[dict[str, int], FaceInput, Callable[[Tensor, State], Tensor]]] = {
    "iresnet": (
        {"depth": 18, "dim": 8},
        FaceInput("arcface112", 112, (-1.0, 1.0)),
        lambda x, state: iresnet(x, state, (2, 2, 2, 2)),
    ),
    "inception_resnet_v1": (
        {"dim": 8},
        FaceInput("mtcnn_box", 160, (-127.5 / 128, 127.5 / 128)),
        inception_resnet_v1,
    ),
    "torchvision_resnet50": ({"input_size": 64}, FaceInput("ffhq", 64, (0.0, 1.0)), _resnet50),
}


@pytest.fixture(scope="module", params=list(CASES))
def case(request: pytest.FixtureRequest) -> tuple[str, nn.Module, State]:
    name = request.param
    module = smoothswap.build(name, "embedder", **CASES[name][0]).eval()
    return name, module, planted(module, to_face_input(pictures(6), module.expects))


def pictures(count: int) -> Tensor:
    """Pictures that differ in more than noise: [N, 3, 64, 64] in [-1, 1]."""
    coarse = torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(1)) * 2 - 1
    return F.interpolate(coarse, 64, mode="bicubic").clamp(-1, 1)


def test_against_a_transcription(case: tuple[str, nn.Module, State]) -> None:
    name, module, state = case
    images = to_face_input(pictures(2), module.expects)
    with torch.no_grad():
        expected = F.normalize(CASES[name][2](images, state), dim=1)
        z = module(images)
    assert z.shape == (2, module.dim)
    assert (expected[0] - expected[1]).abs().max() > 0.01, "the planted weights tell pictures apart"
    torch.testing.assert_close(z, expected, atol=2e-5, rtol=0)
    torch.testing.assert_close(z.norm(dim=1), torch.ones(2))


def test_declared_crop(case: tuple[str, nn.Module, State]) -> None:
    name, module, _ = case
    assert module.expects == CASES[name][1]
    grey = to_face_input(torch.full((1, 3, 64, 64), 1.0), module.expects)
    assert grey.shape == (1, 3, module.expects.size, module.expects.size)
    torch.testing.assert_close(grey.max(), torch.tensor(module.expects.value_range[1]))


def test_gradients_reach_the_face(case: tuple[str, nn.Module, State]) -> None:
    _, module, _ = case
    faces = (torch.rand(1, 3, 64, 64) * 2 - 1).requires_grad_()
    z = module(to_face_input(faces, module.expects))
    (gradient,) = torch.autograd.grad((z * torch.linspace(-1, 1, module.dim)).sum(), faces)
    assert gradient.isfinite().all()
    assert gradient[:, :, 24:40, 24:40].abs().max() > 0


def test_errors(case: tuple[str, nn.Module, State]) -> None:
    _, module, _ = case
    size = module.expects.size
    with pytest.raises(ArgumentError, match=rf"\[1, 3, 8, 8\].*\[B, 3, {size}, {size}\]"):
        module(torch.zeros(1, 3, 8, 8))
    with pytest.raises(ArgumentError, match="uint8"):
        module(torch.zeros(2, 3, size, size, dtype=torch.uint8))
    with pytest.raises(ArgumentError, match="batch of one image"):
        module.train()(torch.zeros(1, 3, size, size))
    module.eval()


def iresnet_names(*blocks: int) -> State:
    """What `insightface_options` looks at, of an iResNet with that many blocks in its stages."""
    names = [f"layer{stage}.{i}.prelu.weight" for stage, count in enumerate(blocks, start=1) for i in range(count)]
    return {**dict.fromkeys(names, torch.empty(0)), "fc.bias": torch.empty(16)}


def test_depth_is_read_from_the_names() -> None:
    counts = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 14, 3), 100: (3, 13, 30, 3), 200: (6, 26, 60, 6)}
    for depth, blocks in counts.items():
        assert insightface_options(iresnet_names(*blocks)) == {"depth": depth, "dim": 16}
    assert insightface_options({"layer1.0.conv1.weight": torch.empty(0)}) == {}, "a ResNet of another kind"


def test_sizes_of_the_defaults() -> None:
    # 43.59 M, 23.48 M and 23.51 M are what the originals have with these options.
    with torch.device("meta"):
        counts = {name: sum(p.numel() for p in smoothswap.build(name).parameters()) for name in CASES}
    assert counts == {"iresnet": 43_590_848, "inception_resnet_v1": 23_482_624, "torchvision_resnet50": 23_508_032}


def test_an_incomplete_iresnet_says_which_depths_there_are() -> None:
    with pytest.raises(CheckpointError, match=r"3, 4, 5, 3 blocks[\s\S]*depth 34: 3, 4, 6, 3"):
        insightface_options(iresnet_names(3, 4, 5, 3))
