"""MobileNetV2 for 32x32 images: torchvision's, with fewer strides.

Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018, table 2, https://arxiv.org/abs/1801.04381
Reference: Osilly/KDFS, model/student/MobileNetV2.py, for ImageNet: that is `mobilenet_v2`, torchvision's as it stands. The
strides for small images are those of kuangliu/pytorch-cifar, models/mobilenetv2.py.
Departs: no dropout.
"""

from collections.abc import Callable, Mapping

from torch import nn

# Expansion, width, blocks, stride of the first block: the second stage keeps its size here.
STAGES = [[1, 16, 1, 1], [6, 24, 2, 1], [6, 32, 3, 2], [6, 64, 4, 2], [6, 96, 3, 1], [6, 160, 3, 2], [6, 320, 1, 1]]


def small(num_classes: int, in_channels: int) -> nn.Module:
    """The network, with a stem of stride 1."""
    from torchvision.models import MobileNetV2

    network: nn.Module = MobileNetV2(num_classes=num_classes, inverted_residual_setting=STAGES, dropout=0.0)
    stem = network.get_submodule("features.0")
    stem.register_module("0", nn.Conv2d(in_channels, 32, 3, 1, 1, bias=False))
    return network


BUILDERS: Mapping[str, Callable[..., nn.Module]] = {"mobilenet_v2_cifar": small}
