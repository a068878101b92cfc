"""ResNet-50 (He et al. 2016) in the form V1.5, with torchvision's parameter names."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

EXPANSION = 4
STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))  # inner width, blocks, stride of the first block
FEATURES = STAGES[-1][0] * EXPANSION
REDUCTION = 32


class Bottleneck(nn.Module):
    """1x1, 3x3 with the stride (that is V1.5), 1x1 to four times the width: [B, in, H, W] -> [B, 4·width, H/s, W/s]."""

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        out_channels = EXPANSION * width
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample: nn.Module | None = None
        if stride > 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Transform x [B, in, H, W]."""
        h = F.relu(self.bn1(self.conv1(x)))
        h = F.relu(self.bn2(self.conv2(h)))
        h = self.bn3(self.conv3(h))
        return F.relu(h + (x if self.downsample is None else self.downsample(x)))


class ResNet50Trunk(nn.Module):
    """Images [B, 3, H, W] -> features [B, 2048]; torchvision's `resnet50` without `fc`.

    The sides are divided by 32, rounding up; the mean over what is left makes any size possible.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        channels = 64
        for number, (width, count, stride) in enumerate(STAGES, start=1):
            blocks = [
                Bottleneck(channels if i == 0 else EXPANSION * width, width, stride if i == 0 else 1)
                for i in range(count)
            ]
            self.add_module(f"layer{number}", nn.Sequential(*blocks))
            channels = EXPANSION * width
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Features [B, 2048] of images [B, 3, H, W]."""
        h = F.relu(self.bn1(self.conv1(images)))
        h = F.max_pool2d(h, 3, stride=2, padding=1)
        for number in range(1, len(STAGES) + 1):
            h = self.get_submodule(f"layer{number}")(h)
        return h.mean(dim=(2, 3))
