"""ResNet for small images, with shortcuts of option A or B.

He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, section 4.2, https://arxiv.org/abs/1512.03385
Reference: favorxin/AHSG-HT-pruning-with-KD, models/resnet.py (option A with the new channels behind the others: `end`), and
akamaster/pytorch_resnet_cifar10, resnet.py (half of them before: `both`); names and shapes of the two are the same.
Departs: the final pooling is global, so any image size works.
"""

from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

Shortcut = Literal["end", "both", "projection"]
WIDTHS = (16, 32, 64)
DEPTHS = (8, 14, 20, 32, 44, 56, 110)
WIDER = ((8, 2), (20, 2), (20, 4), (32, 2))  # depth, times the width


class OptionA(nn.Module):
    """Every second pixel, and zeros for the channels that the next stage adds."""

    def __init__(self, added: int, *, before: int) -> None:
        super().__init__()
        self.zeros = before, added - before

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C + added, ceil(H / 2), ceil(W / 2))."""
        return functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, *self.zeros))


class BasicBlock(nn.Module):
    """conv1-bn1-ReLU-conv2-bn2, added to the shortcut, ReLU."""

    def __init__(self, inputs: int, width: int, stride: int, shortcut: Shortcut) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 and shortcut == "projection":
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, width, 1, stride, bias=False), nn.BatchNorm2d(width))
        elif stride != 1:
            added = width - inputs
            self.shortcut = OptionA(added, before=added // 2 if shortcut == "both" else 0)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) -> (B, C_out, H / stride, W / stride)."""
        out = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.shortcut(x) + self.bn2(self.conv2(out)))


class ResNet(nn.Module):
    """ResNet of depth 6n + 2: a 3x3 stem and three stages of n basic blocks; every layer may be some times as wide.

    shortcut: where a stage adds channels. hidden: widths of linear layers, without activation, before the last one.
    """

    def __init__(
        self,
        depth: int,
        num_classes: int,
        in_channels: int,
        *,
        widened: int = 1,
        shortcut: Shortcut = "end",
        hidden: tuple[int, ...] = (),
    ) -> None:
        super().__init__()
        if shortcut not in ("end", "both", "projection"):
            msg = f"shortcut must be end, both or projection, got {shortcut!r}"
            raise ValueError(msg)
        widths = [widened * width for width in WIDTHS]
        self.conv1 = nn.Conv2d(in_channels, widths[0], 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        before = widths[0]
        for stage, width in enumerate(widths, 1):
            first = BasicBlock(before, width, 1 if stage == 1 else 2, shortcut)
            rest = (BasicBlock(width, width, 1, shortcut) for _ in range((depth - 2) // 6 - 1))
            self.add_module(f"layer{stage}", nn.Sequential(first, *rest))
            before = width
        layers = [nn.Linear(*sizes) for sizes in pairwise((before, *hidden, num_classes))]
        self.classifier = nn.Sequential(*layers) if hidden else layers[0]

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W), any size from 4x4 -> logits (B, num_classes)."""
        x = functional.relu(self.bn1(self.conv1(images)))
        for stage in (1, 2, 3):
            x = self.get_submodule(f"layer{stage}")(x)
        logits: Tensor = self.classifier(x.mean((2, 3)))
        return logits


BUILDERS: Mapping[str, Callable[..., ResNet]] = {
    **{f"resnet{depth}": partial(ResNet, depth) for depth in DEPTHS},
    **{f"resnet{depth}x{factor}": partial(ResNet, depth, widened=factor) for depth, factor in WIDER},
}
