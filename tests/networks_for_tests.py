"""Networks in the middle of nowhere: random weights, affine values and statistics, and masks of any shape."""

import torch
from torch import Tensor

from lib.masks.filters import Masks
from lib.networks import NETWORKS, build
from lib.networks.description import Architecture, Placement
from lib.networks.imagenet_resnet import BLOCKS
from lib.networks.network import Network
from lib.networks.resnet import WIDER
from lib.pruning.selection import Selection
from lib.randomness import stream

IMAGENET = tuple(f"resnet{depth}" for depth in BLOCKS)
HEAVY = ("resnet34", "resnet101", "resnet152", *(f"resnet{n}x{k}" for n, k in WIDER))  # of blocks that others have
ALL = tuple(name for name in NETWORKS if name not in HEAVY)


def side(name: str) -> int:
    """The smallest side of images that every test of the network uses."""
    if name in IMAGENET:
        return 64  # the last stage then sees 2x2 pixels, not the middle of its kernels alone
    return 32 if name.startswith("vgg") else 8


def images(network: Network, count: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Noise (count, C, H, W) that fits the network."""
    size = side(network.architecture.name)
    shape = (count, network.architecture.in_channels, size, size)
    return torch.randn(shape, generator=stream(seed, "images"), dtype=dtype)


@torch.no_grad()
def lived_in(name: str, seed: int = 0, *, in_channels: int = 3, num_classes: int = 10, shortcut: Placement = "end") -> Network:
    """A network in eval mode with nothing at its initial value: statistics, affine values and biases are random too."""
    network = build(Architecture(name, num_classes, in_channels, shortcut=shortcut), stream(seed, "initialisation"))
    generator = stream(seed, "statistics")
    for wire in network.wires:
        norm, bias = network.batch_norm(wire), network.conv(wire).bias
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.weight.normal_(1.0, 0.3, generator=generator)
        norm.bias.normal_(0.0, 0.3, generator=generator)
        norm.running_mean.normal_(0.0, 0.3, generator=generator)
        norm.running_var.uniform_(0.5, 2.0, generator=generator)
        if bias is not None:
            bias.normal_(0.0, 0.3, generator=generator)
    return network.eval()


def random_masks(network: Network, seed: int = 0) -> Masks:
    """Another share of filters in every layer; one layer in the middle keeps a single filter, which is not the first."""
    generator = stream(seed, "masks")
    masks = {}
    for name, weight in network.filters().items():
        share = torch.rand(1, generator=generator)
        mask = torch.rand(len(weight), generator=generator) < 0.1 + 0.8 * share
        mask[torch.randint(len(weight), (1,), generator=generator)] = True
        masks[name] = mask
    lonely = masks[network.wires[len(network.wires) // 2].conv]
    lonely.zero_()
    lonely[len(lonely) // 2] = True
    return masks


def coupled_masks(network: Network, keep_ratio: float, seed: int = 0) -> Masks:
    """Random masks of one keep ratio that the writers of a stream share."""
    generator = stream(seed, "masks")
    scores = {name: torch.rand(len(weight), generator=generator) for name, weight in network.filters().items()}
    return Selection(network, keep_ratio, coupled=True).choose(scores)
