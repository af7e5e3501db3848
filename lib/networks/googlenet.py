"""GoogLeNet for 32x32 images.

Szegedy et al., "Going Deeper with Convolutions", CVPR 2015, table 1, https://arxiv.org/abs/1409.4842
Reference: Osilly/KDFS, model/student/GoogLeNet.py (a 3x3 stem of 192 filters, batch norm behind every convolution, two 3x3
convolutions instead of one 5x5, no auxiliary heads).
Departs: the final pooling is global, so any image size from 4x4 works.
"""

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

STEM = 192
# By module, the filters of its branches: 1x1; before 3x3, 3x3; before the double 3x3, each of the two; behind the pooling.
INCEPTIONS: Mapping[str, tuple[int, int, int, int, int, int]] = {
    "a3": (64, 96, 128, 16, 32, 32),
    "b3": (128, 128, 192, 32, 96, 64),
    "a4": (192, 96, 208, 16, 48, 64),
    "b4": (160, 112, 224, 24, 64, 64),
    "c4": (128, 128, 256, 24, 64, 64),
    "d4": (112, 144, 288, 32, 64, 64),
    "e4": (256, 160, 320, 32, 128, 128),
    "a5": (256, 160, 320, 32, 128, 128),
    "b5": (384, 192, 384, 48, 128, 128),
}
POOLED = ("b3", "e4")  # modules with a pooling behind them


def unit(inputs: int, outputs: int, kernel: int) -> list[nn.Module]:
    """Convolution, batch norm, ReLU."""
    return [nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2), nn.BatchNorm2d(outputs), nn.ReLU()]


class Inception(nn.Module):
    """Four branches, one behind the other."""

    def __init__(self, inputs: int, one: int, before3: int, three: int, before5: int, five: int, pooled: int) -> None:
        super().__init__()
        self.branch1 = nn.Sequential(*unit(inputs, one, 1))
        self.branch2 = nn.Sequential(*unit(inputs, before3, 1), *unit(before3, three, 3))
        self.branch3 = nn.Sequential(*unit(inputs, before5, 1), *unit(before5, five, 3), *unit(five, five, 3))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, 1), *unit(inputs, pooled, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H, W)."""
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class GoogLeNet(nn.Module):
    """A stem, nine inception modules with two poolings between them, and one linear layer."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.stem, width = nn.Sequential(*unit(in_channels, STEM, 3)), STEM
        for name, sizes in INCEPTIONS.items():
            self.add_module(name, Inception(width, *sizes))
            one, _, three, _, five, pooled = sizes
            width = one + three + five + pooled
        self.classifier = nn.Linear(width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) -> logits (B, num_classes)."""
        x = self.stem(images)
        for name in INCEPTIONS:
            x = self.get_submodule(name)(x)
            if name in POOLED:
                x = functional.max_pool2d(x, 3, 2, 1)
        logits: Tensor = self.classifier(x.mean((2, 3)))
        return logits


BUILDERS: Mapping[str, Callable[..., GoogLeNet]] = {"googlenet": partial(GoogLeNet)}
