import pytest
import torch

import smoothswap
from smoothswap.core.errors import ArgumentError, ConfigError
from smoothswap.core.interfaces import FaceInput

SMALL = {"input_size": 16, "widths": (4, 8), "blocks": (1, 2), "dim": 6, "hidden": 10}
CASES = [
    ("small_resnet", SMALL),
    ("small_resnet", {**SMALL, "pool": "average", "stem_stride": 1, "head": "linear"}),
    ("smooth_resnet50", {"input_size": 32, "dim": 6, "hidden": 10}),
]


def make(name, options):
    torch.manual_seed(0)
    return smoothswap.build(name, kind="embedder", **options)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_declares_and_returns_unit_vectors(name, options):
    embedder = make(name, options).eval()
    size = options["input_size"]
    assert embedder.expects == FaceInput("ffhq", size, (-1.0, 1.0), "rgb")
    assert embedder.dim == 6
    with torch.no_grad():
        z = embedder(torch.rand(1, 3, size, size) * 2 - 1)
    assert z.shape == (1, 6)
    torch.testing.assert_close(z.norm(dim=1), torch.ones(1))


@pytest.mark.parametrize(("name", "options"), CASES[:2])
def test_gradients_reach_every_parameter_and_the_images(name, options):
    embedder = make(name, options)
    images = torch.rand(4, 3, 16, 16, requires_grad=True)
    (embedder(images) * torch.randn(4, 6)).sum().backward()
    assert images.grad.abs().max() > 0
    for key, parameter in embedder.named_parameters():
        assert parameter.grad is not None, key


def test_flatten_sees_where_things_are_and_average_does_not():
    # Tiles that swap places keep the average of features, apart from the seams.
    image = torch.zeros(1, 3, 16, 16)
    image[..., 2:6, 2:6] = 1
    moved = image.roll((8, 8), dims=(2, 3))
    distances = {}
    for pool in ("flatten", "average"):
        embedder = make("small_resnet", {**SMALL, "pool": pool, "head": "plain", "widths": (8, 8)}).eval()
        with torch.no_grad():
            distances[pool] = (embedder(image) - embedder(moved)).norm().item()
    assert distances["flatten"] > 2 * distances["average"]


@pytest.mark.parametrize(("name", "options"), CASES)
def test_errors(name, options):
    embedder, size = make(name, options), options["input_size"]
    with pytest.raises(ArgumentError, match="batch of one image"):
        embedder.train()(torch.zeros(1, 3, size, size))
    with pytest.raises(ArgumentError, match=rf"\[1, 3, 8, 8\].*\[B, 3, {size}, {size}\]"):
        embedder(torch.zeros(1, 3, 8, 8))
    with pytest.raises(ArgumentError, match="uint8"):
        embedder(torch.zeros(2, 3, size, size, dtype=torch.uint8))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"blocks": (1,)}, "differ in length"),
        ({"input_size": 18}, "cannot be reduced 4 times"),
        ({"stem_stride": 3}, "stem_stride"),
        ({"head": "mpl"}, "head"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ConfigError, match=message):
        make("small_resnet", {**SMALL, **options})


def test_sizes_of_the_defaults():
    with torch.device("meta"):
        small = smoothswap.build("small_resnet", kind="embedder")
        large = smoothswap.build("smooth_resnet50", kind="embedder")
    assert sum(p.numel() for p in small.parameters()) == 1_292_032
    trunk = sum(p.numel() for p in large.trunk.parameters())
    assert trunk == 23_508_032  # torchvision's resnet50 without fc
    head = 2048 * 1024 + 1024 + 2 * 1024 + 1024 * 512 + 512 + 2 * 512
    assert sum(p.numel() for p in large.head.parameters()) == head


def test_bf16_autocast_still_gives_unit_vectors():
    embedder = make("small_resnet", SMALL).eval()
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        z = embedder(torch.rand(2, 3, 16, 16))
    assert z.dtype == torch.float32
    torch.testing.assert_close(z.norm(dim=1), torch.ones(2))
