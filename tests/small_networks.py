"""Networks with random weights and random batch-norm statistics, and random masks, for tests."""

import torch
from torch import nn

from lib.networks import build
from lib.networks.network import Architecture, Network
from lib.pruning.masks import Masks

RESNETS = ("resnet8", "resnet14", "resnet20", "resnet32", "resnet44", "resnet56", "resnet110")
VGGS = ("vgg11", "vgg13", "vgg16", "vgg19")


def size_of(name: str) -> int:
    """The smallest comfortable image of a network, in pixels."""
    return 32 if name.startswith("vgg") else 8


@torch.no_grad()
def lively(name: str, seed: int = 0, classes: int = 10, channels: int = 3) -> Network:
    """A float64 network in eval mode whose batch norms do something different in every channel."""
    generator = torch.Generator().manual_seed(seed)
    network = build(Architecture(name, classes, channels), generator).double()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in (
                (module.running_mean, -0.5, 0.5),
                (module.running_var, 0.5, 2.0),
                (module.weight, -1.5, 1.5),
                (module.bias, -0.5, 0.5),
            ):
                assert tensor is not None
                tensor.copy_(torch.rand(tensor.shape, generator=generator).double() * (high - low) + low)
    return network.eval()


def uneven_masks(network: Network, seed: int = 0) -> Masks:
    """Random masks with another share in every layer; the second layer keeps a single filter."""
    generator = torch.Generator().manual_seed(seed)
    masks: Masks = {}
    for index, (name, weight) in enumerate(network.filters().items()):
        share = torch.rand((), generator=generator)
        mask = torch.rand(len(weight), generator=generator) < share
        mask[int(torch.randint(len(weight), (), generator=generator))] = True
        if index == 1:
            mask[:] = False
            mask[-1] = True
        masks[name] = mask
    return masks


def images(name: str, count: int = 2, channels: int = 3, seed: int = 1) -> torch.Tensor:
    """Random float64 images that fit a network."""
    size = size_of(name)
    return torch.randn(count, channels, size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
