"""Builders of networks that are small enough to prune by every method in a test: one for each way channels hang together."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torchvision.models import DenseNet, GoogLeNet, MobileNetV2, RegNet, ShuffleNetV2, resnet50
from torchvision.models.googlenet import BasicConv2d, Inception, InceptionAux
from torchvision.models.regnet import BlockParams
from torchvision.ops import Conv2dNormActivation

from lib.networks.builders import allow

NARROWER = 8  # times, a GoogLeNet whose filters are few


def one_convolution(num_classes: int, in_channels: int, eps: float = 1e-5) -> nn.Module:
    """A convolution of as many filters as there are classes, its batch norm, and a head that passes every channel on."""
    head = nn.Conv2d(num_classes, num_classes, 1, bias=False)
    nn.init.dirac_(head.weight)
    network = nn.Sequential()
    network.add_module("conv1", nn.Conv2d(in_channels, num_classes, 3, padding=1, bias=False))
    network.add_module("bn1", nn.BatchNorm2d(num_classes, eps=eps, momentum=1.0))
    network.add_module("head", head)
    return network


def plain(num_classes: int, in_channels: int) -> nn.Module:
    """A chain without batch norms, 2x2 pixels of whose last channels each go into a hidden linear layer."""
    layers: list[nn.Module] = []
    for width in (12, 16, 20):
        layers += [nn.Conv2d(in_channels, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        in_channels = width
    head = [nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * width, 24), nn.ReLU(), nn.Dropout()]
    return nn.Sequential(*layers, *head, nn.Linear(24, num_classes))


def chain(num_classes: int, in_channels: int) -> nn.Module:
    """A VGG that is narrow: convolutions with biases and batch norms, and a hidden linear layer with dropout."""
    layers: list[nn.Module] = []
    for width in (8, 16, 24, 24, 32):
        layers += [nn.Conv2d(in_channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2)]
        in_channels = width
    head = [nn.Flatten(), nn.Linear(in_channels, 24), nn.ReLU(), nn.Dropout(), nn.Linear(24, num_classes)]
    return nn.Sequential(*layers, *head)


class Halves(nn.Module):
    """A stem whose first half another convolution adds to, and whose second half goes its own way."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.stem = Conv2dNormActivation(in_channels, 16, 3, activation_layer=None)
        self.left = Conv2dNormActivation(8, 8, 3, activation_layer=None)
        self.right = Conv2dNormActivation(8, 12, 3, 2)
        self.last = Conv2dNormActivation(8, 12, 3, 2)
        self.head = nn.Linear(24, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, num_classes)."""
        one, other = self.stem(images).chunk(2, 1)
        one = (one + self.left(one.relu())).relu()
        both = torch.cat([self.last(one), self.right(other.relu())], 1)
        logits: Tensor = self.head(both.mean((2, 3)))
        return logits


def halves(num_classes: int, in_channels: int) -> nn.Module:
    """Filters of one layer that write two spaces."""
    return Halves(num_classes, in_channels)


def densenet(num_classes: int, in_channels: int) -> nn.Module:
    """Layers that read the outputs of all before them, one behind the other."""
    assert in_channels == 3
    made: nn.Module = DenseNet(8, (2, 2, 2, 2), 16, num_classes=num_classes)
    return made


def mobilenet(num_classes: int, in_channels: int) -> nn.Module:
    """Depthwise convolutions, and sums without an activation behind them."""
    assert in_channels == 3
    stages = [[1, 8, 1, 1], [3, 12, 2, 2], [3, 16, 2, 1]]  # expansion, width, blocks, stride of the first one
    made = MobileNetV2(num_classes, 1.0, stages)
    made.features[-1] = Conv2dNormActivation(16, 32, 1, activation_layer=nn.ReLU6)  # instead of 1280 filters
    made.classifier[-1] = nn.Linear(32, num_classes)
    found: nn.Module = made
    return found


def shufflenet(num_classes: int, in_channels: int) -> nn.Module:
    """Channels that are halved and shuffled."""
    assert in_channels == 3
    made: nn.Module = ShuffleNetV2([2, 2, 2], [8, 16, 24, 32, 48], num_classes)
    return made


def googlenet(num_classes: int, in_channels: int) -> nn.Module:
    """Branches, one behind the other."""
    assert in_channels == 3
    made: nn.Module = GoogLeNet(
        num_classes,
        aux_logits=False,
        init_weights=False,
        blocks=[_narrow, partial(Inception, conv_block=_narrow), InceptionAux],
    )
    made.fc = nn.Linear(1024 // NARROWER, num_classes)
    return made


def regnet(num_classes: int, in_channels: int) -> nn.Module:
    """Grouped convolutions, and gates of squeeze and excitation."""
    assert in_channels == 3
    blocks = BlockParams.from_init_params(depth=6, w_0=16, w_a=8.0, w_m=2.0, group_width=8, se_ratio=0.25)
    made: nn.Module = RegNet(blocks, num_classes, stem_width=16)
    return made


def stride_first(num_classes: int, in_channels: int) -> nn.Module:
    """torchvision's ResNet-50 with the strides where the paper has them, in the first 1x1 convolution."""
    assert in_channels == 3
    made: nn.Module = resnet50(num_classes=num_classes)
    for block in (made.layer2[0], made.layer3[0], made.layer4[0]):
        block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride
    return made


class Standardised(nn.Conv2d):
    """A convolution that computes with its weight in standard units."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C_out, H, W)."""
        weight = (self.weight - self.weight.mean((1, 2, 3), keepdim=True)) / self.weight.std((1, 2, 3), keepdim=True)
        return nn.functional.conv2d(x, weight, self.bias, self.stride, self.padding)


def standardised(num_classes: int, in_channels: int) -> nn.Module:
    """A convolution that must stay whole, between two that need not."""
    first, last = nn.Conv2d(in_channels, 8, 3, padding=1), nn.Conv2d(12, 16, 3, padding=1)
    middle = [Standardised(8, 12, 3, padding=1), nn.ReLU(), last, nn.ReLU()]
    return nn.Sequential(first, nn.ReLU(), *middle, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, num_classes))


def _narrow(in_channels: int, out_channels: int, **given: int) -> nn.Module:
    before = in_channels if in_channels == 3 else in_channels // NARROWER
    return BasicConv2d(before, out_channels // NARROWER, **given)


BUILDERS: tuple[Callable[..., nn.Module], ...] = (
    one_convolution, plain, halves, densenet, mobilenet, shufflenet, googlenet, regnet
)  # fmt: skip
NAMES = {builder.__name__: f"{__name__}:{builder.__name__}" for builder in BUILDERS}
CHAIN, STRIDE_FIRST, STANDARDISED = (f"{__name__}:{name}" for name in ("chain", "stride_first", "standardised"))
allow([*NAMES.values(), CHAIN, STRIDE_FIRST, STANDARDISED])
