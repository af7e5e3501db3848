"""The networks, by name, built at the widths that an architecture's plan asks for.

A family of networks is a module of this folder. It is loaded when one of its networks is built and not before, so that an
edit of one family concerns nobody who uses another.
"""

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # who asks for a family's name alone needs no torch
    import torch

    from lib.networks.description import Architecture
    from lib.networks.network import Network

NETWORKS: Mapping[str, str] = {  # name -> its family
    **dict.fromkeys(("resnet8", "resnet14", "resnet20", "resnet32", "resnet44", "resnet56", "resnet110"), "resnet"),
    **dict.fromkeys(("resnet8x2", "resnet20x2", "resnet20x4", "resnet32x2"), "resnet"),  # depth, times the width
    **dict.fromkeys(("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"), "imagenet_resnet"),
    **dict.fromkeys(("vgg11", "vgg13", "vgg16", "vgg19"), "vgg"),
}


def build(architecture: "Architecture", generator: "torch.Generator | None" = None) -> "Network":
    """A network, freshly initialised where a generator is given.

    Raises ValueError for an unknown name, or a placement of shortcuts for a network that has none of that kind.
    """
    if architecture.name not in NETWORKS:
        msg = f"no network is called {architecture.name!r}; there are: {', '.join(NETWORKS)}"
        raise ValueError(msg)
    family = importlib.import_module(f"{__name__}.{NETWORKS[architecture.name]}")
    network: Network = family.BUILDERS[architecture.name](architecture)
    if architecture.shortcut != "end" and not network.carries:
        msg = f"shortcut is {architecture.shortcut!r}, but {architecture.name} has no shortcuts that add zeros; leave it out"
        raise ValueError(msg)
    if generator is not None:
        network.initialise_(generator)
    return network
