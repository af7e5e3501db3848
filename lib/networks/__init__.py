"""The networks, by name, built at the widths that an architecture's plan asks for."""

from collections.abc import Callable, Mapping
from functools import partial

import torch

from lib.networks.description import Architecture
from lib.networks.imagenet_resnet import BLOCKS, ImageNetResNet
from lib.networks.network import Network
from lib.networks.resnet import ResNet
from lib.networks.vgg import STAGES, VGG

RESNET_DEPTHS = (8, 14, 20, 32, 44, 56, 110)
WIDER_RESNETS = ((8, 2), (20, 2), (20, 4), (32, 2))  # depth, times the width

NETWORKS: Mapping[str, Callable[[Architecture], ResNet | ImageNetResNet | VGG]] = {
    **{f"resnet{depth}": partial(ResNet, depth) for depth in RESNET_DEPTHS},
    **{f"resnet{depth}x{factor}": partial(ResNet, depth, widened=factor) for depth, factor in WIDER_RESNETS},
    **{f"resnet{depth}": partial(ImageNetResNet, depth) for depth in BLOCKS},
    **{name: partial(VGG, stages) for name, stages in STAGES.items()},
}


def build(architecture: Architecture, generator: torch.Generator | None = None) -> Network:
    """A network, freshly initialised where a generator is given.

    Raises ValueError for an unknown name, or a placement of shortcuts for a network that has none of that kind.
    """
    if architecture.name not in NETWORKS:
        msg = f"no network is called {architecture.name!r}; there are: {', '.join(NETWORKS)}"
        raise ValueError(msg)
    network = NETWORKS[architecture.name](architecture)
    if architecture.shortcut != "end" and not network.carries:
        msg = f"shortcut is {architecture.shortcut!r}, but {architecture.name} has no shortcuts that add zeros; leave it out"
        raise ValueError(msg)
    if generator is not None:
        network.initialise_(generator)
    return network
