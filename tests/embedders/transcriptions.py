"""The public architectures once more, as plain functions of a state dict: what the modules are compared with."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

State = dict[str, Tensor]


def planted(module: torch.nn.Module, images: Tensor) -> State:
    """Give a module random weights and the statistics of `images` [B, 3, S, S], and return its state dict.

    The convolutions are so weak that the variances are small: then the epsilons of the norms show.
    """
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in module.named_parameters():
            drawn = torch.randn(value.shape, generator=generator)
            if value.ndim > 1:
                drawn *= 0.1 / value[0].numel() ** 0.5
            elif name.endswith("weight"):
                drawn = drawn.abs() * 0.3 + 0.3
            value.copy_(drawn)
        norms = [part for part in module.modules() if isinstance(part, torch.nn.modules.batchnorm._BatchNorm)]
        for norm in norms:
            norm.momentum = 1.0
        module.train()(images)
        module.eval()
    return {name: value.clone() for name, value in module.state_dict().items()}


def _norm(x: Tensor, state: State, name: str, eps: float) -> Tensor:
    get = (state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
    return F.batch_norm(x, *get, training=False, eps=eps)


def iresnet(x: Tensor, state: State, blocks: tuple[int, ...]) -> Tensor:
    """arcface_torch's iResNet: images [B, 3, 112, 112] -> features [B, D], not of unit length."""
    eps = 1e-5
    h = F.prelu(_norm(F.conv2d(x, state["conv1.weight"], padding=1), state, "bn1", eps), state["prelu.weight"])
    for layer, count in enumerate(blocks, start=1):
        for i in range(count):
            name, stride = f"layer{layer}.{i}", 2 if i == 0 else 1
            y = F.conv2d(_norm(h, state, f"{name}.bn1", eps), state[f"{name}.conv1.weight"], padding=1)
            y = F.prelu(_norm(y, state, f"{name}.bn2", eps), state[f"{name}.prelu.weight"])
            y = _norm(F.conv2d(y, state[f"{name}.conv2.weight"], stride=stride, padding=1), state, f"{name}.bn3", eps)
            if i == 0:
                h = F.conv2d(h, state[f"{name}.downsample.0.weight"], stride=2)
                h = _norm(h, state, f"{name}.downsample.1", eps)
            h = h + y
    h = F.linear(_norm(h, state, "bn2", eps).flatten(1), state["fc.weight"], state["fc.bias"])
    return _norm(h, state, "features", eps)


def inception_resnet_v1(x: Tensor, state: State) -> Tensor:
    """facenet-pytorch's InceptionResnetV1: images [B, 3, 160, 160] -> features [B, D], not of unit length."""

    def conv(x: Tensor, name: str, stride: int = 1, padding: int | tuple[int, int] = 0) -> Tensor:
        y = F.conv2d(x, state[f"{name}.conv.weight"], stride=stride, padding=padding)
        return F.relu(_norm(y, state, f"{name}.bn", 1e-3))

    def residual(x: Tensor, name: str, parts: list[Tensor], scale: float) -> Tensor:
        return x + scale * F.conv2d(torch.cat(parts, 1), state[f"{name}.conv2d.weight"], state[f"{name}.conv2d.bias"])

    def names(part: str, count: int) -> Iterator[str]:
        return (f"{part}.{i}" for i in range(count))

    h = conv(conv(conv(x, "conv2d_1a", 2), "conv2d_2a"), "conv2d_2b", padding=1)
    h = conv(conv(conv(F.max_pool2d(h, 3, 2), "conv2d_3b"), "conv2d_4a"), "conv2d_4b", 2)
    for name in names("repeat_1", 5):
        one = conv(h, f"{name}.branch0")
        two = conv(conv(h, f"{name}.branch1.0"), f"{name}.branch1.1", padding=1)
        three = conv(conv(h, f"{name}.branch2.0"), f"{name}.branch2.1", padding=1)
        three = conv(three, f"{name}.branch2.2", padding=1)
        h = F.relu(residual(h, name, [one, two, three], 0.17))
    two = conv(conv(h, "mixed_6a.branch1.0"), "mixed_6a.branch1.1", padding=1)
    h = torch.cat([conv(h, "mixed_6a.branch0", 2), conv(two, "mixed_6a.branch1.2", 2), F.max_pool2d(h, 3, 2)], 1)
    for name in names("repeat_2", 10):
        two = conv(conv(h, f"{name}.branch1.0"), f"{name}.branch1.1", padding=(0, 3))
        h = F.relu(residual(h, name, [conv(h, f"{name}.branch0"), conv(two, f"{name}.branch1.2", padding=(3, 0))], 0.1))
    three = conv(conv(h, "mixed_7a.branch2.0"), "mixed_7a.branch2.1", padding=1)
    parts = [conv(conv(h, f"mixed_7a.branch{i}.0"), f"mixed_7a.branch{i}.1", 2) for i in range(2)]
    h = torch.cat([*parts, conv(three, "mixed_7a.branch2.2", 2), F.max_pool2d(h, 3, 2)], 1)
    for name in (*names("repeat_3", 5), "block8"):
        two = conv(conv(h, f"{name}.branch1.0"), f"{name}.branch1.1", padding=(0, 1))
        parts = [conv(h, f"{name}.branch0"), conv(two, f"{name}.branch1.2", padding=(1, 0))]
        h = residual(h, name, parts, 1.0 if name == "block8" else 0.2)
        h = h if name == "block8" else F.relu(h)
    h = F.linear(F.adaptive_avg_pool2d(h, 1).flatten(1), state["last_linear.weight"])
    return _norm(h, state, "last_bn", 1e-3)


def resnet50(x: Tensor, state: State) -> Tensor:
    """torchvision's resnet50 without its classifier: normalised images [B, 3, S, S] -> features [B, 2048]."""
    eps = 1e-5
    h = F.relu(_norm(F.conv2d(x, state["conv1.weight"], stride=2, padding=3), state, "bn1", eps))
    h = F.max_pool2d(h, 3, 2, padding=1)
    for layer, count in enumerate((3, 4, 6, 3), start=1):
        for i in range(count):
            name, stride = f"layer{layer}.{i}", 2 if i == 0 and layer > 1 else 1
            y = F.relu(_norm(F.conv2d(h, state[f"{name}.conv1.weight"]), state, f"{name}.bn1", eps))
            y = F.conv2d(y, state[f"{name}.conv2.weight"], stride=stride, padding=1)
            y = F.relu(_norm(y, state, f"{name}.bn2", eps))
            y = _norm(F.conv2d(y, state[f"{name}.conv3.weight"]), state, f"{name}.bn3", eps)
            if i == 0:
                h = F.conv2d(h, state[f"{name}.downsample.0.weight"], stride=stride)
                h = _norm(h, state, f"{name}.downsample.1", eps)
            h = F.relu(h + y)
    return h.mean((2, 3))
