"""DenseNet for 32x32 images, without bottlenecks and without compression.

Huang, Liu, van der Maaten, Weinberger, "Densely Connected Convolutional Networks", CVPR 2017, section 4,
https://arxiv.org/abs/1608.06993
Reference: Osilly/KDFS, model/student/DenseNet.py (depth 40, growth rate 12, a stem of 24 filters).
Departs: the final pooling is global, so any image size from 4x4 works, and a batch of one image too.
"""

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional


class DenseLayer(nn.Module):
    """BN-ReLU-3x3 convolution, put behind what it read."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(inputs)
        self.conv = nn.Conv2d(inputs, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C + growth, H, W)."""
        return torch.cat([x, self.conv(functional.relu(self.bn(x)))], 1)


class Transition(nn.Module):
    """BN-ReLU-1x1 convolution, then the mean of each 2x2 pixels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(width)
        self.conv = nn.Conv2d(width, width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H / 2, W / 2)."""
        return functional.avg_pool2d(self.conv(functional.relu(self.bn(x))), 2)


class DenseNet(nn.Module):
    """Three dense blocks of (depth - 4) / 3 layers, with transitions between them."""

    def __init__(self, depth: int, num_classes: int, in_channels: int, *, growth: int = 12) -> None:
        super().__init__()
        width = 2 * growth
        self.conv1 = nn.Conv2d(in_channels, width, 3, padding=1, bias=False)
        for block in (1, 2, 3):
            layers = [DenseLayer(width + growth * place, growth) for place in range((depth - 4) // 3)]
            width += growth * len(layers)
            self.add_module(f"block{block}", nn.Sequential(*layers))
            self.add_module(f"transition{block}", Transition(width) if block < 3 else nn.Identity())
        self.bn = nn.BatchNorm2d(width)
        self.classifier = nn.Linear(width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) -> logits (B, num_classes)."""
        x = self.conv1(images)
        for block in (1, 2, 3):
            x = self.get_submodule(f"transition{block}")(self.get_submodule(f"block{block}")(x))
        logits: Tensor = self.classifier(functional.relu(self.bn(x)).mean((2, 3)))
        return logits


BUILDERS: Mapping[str, Callable[..., DenseNet]] = {"densenet40": partial(DenseNet, 40)}
