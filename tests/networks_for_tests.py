"""Networks in the middle of nowhere: random weights, affine values and statistics, and masks of any shape."""

import torch
from torch import Tensor, nn

from lib.masks.filters import Masks
from lib.networks import build
from lib.networks.architecture import Architecture
from lib.networks.network import Network
from lib.networks.resnet import WIDER, Shortcut
from lib.params.named import IMAGENET, known
from lib.pruning.selection import Selection
from lib.randomness import stream

HEAVY = (
    "resnet34",
    "resnet101",
    "resnet152",
    *(f"resnet{n}x{k}" for n, k in WIDER),
    "vgg11_plain",
    "vgg13_plain",
    "vgg19_plain",
)  # of blocks that others have
ALL = tuple(name for name in known() if name not in HEAVY)


def side(name: str) -> int:
    """The smallest side of images that every test of the network uses."""
    if name in IMAGENET:
        return 64  # the last stage then sees 2x2 pixels, not the middle of its kernels alone
    return 32 if name.startswith(("vgg", "mobilenet")) else 8


def images(network: Network, count: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Noise (count, C, H, W) that fits the network."""
    return torch.randn((count, *network.architecture.shape), generator=stream(seed, "images"), dtype=dtype)


@torch.no_grad()
def lived_in(name: str, seed: int = 0, *, in_channels: int = 3, num_classes: int = 10, shortcut: Shortcut = "end") -> Network:
    """A network in eval mode with nothing at its initial value: statistics, affine values and biases are random too."""
    architecture = Architecture(name, num_classes, in_channels, (side(name), side(name)))
    if shortcut != "end":
        architecture = architecture.with_arguments({"shortcut": shortcut})
    return alive(architecture, seed)


def alive(architecture: Architecture, seed: int = 0) -> Network:
    """The network of an architecture, as `lived_in`."""
    network = build(architecture, stream(seed, "initialisation"))
    live_(network, stream(seed, "statistics"))
    return network.eval()


@torch.no_grad()
def live_(network: nn.Module, generator: torch.Generator) -> None:
    """Random statistics, affine values and biases."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.weight.normal_(1.0, 0.3, generator=generator)
            module.bias.normal_(0.0, 0.3, generator=generator)
            module.running_mean.normal_(0.0, 0.3, generator=generator)
            module.running_var.uniform_(0.5, 2.0, generator=generator)
        elif isinstance(module, nn.Conv2d) and module.bias is not None:
            module.bias.normal_(0.0, 0.3, generator=generator)


@torch.no_grad()
def live_in_the_head_(network: nn.Module, generator: torch.Generator) -> None:
    """Where hidden linear layers lose filters too: weights that pass the images on, random biases, and batch norms behind."""
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.kaiming_normal_(module.weight, generator=generator)
            module.bias.normal_(0.0, 0.1, generator=generator)
        elif isinstance(module, nn.BatchNorm1d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.weight.normal_(1.0, 0.3, generator=generator)
            module.bias.normal_(0.0, 0.1, generator=generator)
            module.running_mean.normal_(0.0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 2.0, generator=generator)


def writers(network: Network, name: str) -> list[str]:
    """The layers that add to the same channels as one layer, itself among them, in order."""
    classes = network.description.layers[name].classes
    return [layer.name for layer in network.layers if torch.equal(layer.classes, classes)]


def random_masks(network: Network, seed: int = 0) -> Masks:
    """Another share of filters in every layer; one layer in the middle keeps a single filter, which is not the first."""
    generator = stream(seed, "masks")
    masks = {}
    for name, weight in network.filters().items():
        share = torch.rand(1, generator=generator)
        mask = torch.rand(len(weight), generator=generator) < 0.1 + 0.8 * share
        mask[torch.randint(len(weight), (1,), generator=generator)] = True
        masks[name] = mask
    lonely = masks[network.layers[len(network.layers) // 2].name]
    lonely.zero_()
    lonely[len(lonely) // 2] = True
    return masks


def coupled_masks(network: Network, keep_ratio: float, seed: int = 0) -> Masks:
    """Random masks of one keep ratio that the writers of a stream share."""
    generator = stream(seed, "masks")
    scores = {name: torch.rand(len(weight), generator=generator) for name, weight in network.filters().items()}
    return Selection(network, keep_ratio, coupled=True).choose(scores)
