"""A network with random numbers everywhere and uneven masks, of which every channel shows in the logits."""

import torch
from torch import Tensor, nn

from lib.masks.kept import Kept
from lib.networks import build
from lib.networks.architecture import Architecture, Mode
from lib.networks.network import Network
from lib.randomness import stream

CLASSES, CHANNELS, IMAGES = 10, 3, 2


def alive(name: str, side: int) -> Network:
    """A network in float64 and eval mode with random numbers everywhere. Raises ValueError where it cannot be built."""
    network = build(Architecture(name, CLASSES, CHANNELS, (side, side)), stream(0, "initialisation"))
    live_(network, stream(0, "numbers"))
    return network.double().eval()


@torch.no_grad()
def live_(network: nn.Module, generator: torch.Generator) -> None:
    """Random biases, factors and statistics; the weights of layers stay as they were drawn."""
    for name, tensor in network.named_parameters():
        if sum(size > 1 for size in tensor.shape) <= 1 and tensor.numel() > 1:
            low, high = (-0.5, 0.5) if name.endswith("bias") else (0.5, 1.5)
            tensor.uniform_(low, high, generator=generator)
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is not None:
            assert module.running_var is not None
            module.running_mean.uniform_(-0.5, 0.5, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)


def images_for(network: Network, number: int = IMAGES) -> Tensor:
    """Noise in float64."""
    return torch.randn((number, *network.architecture.shape), generator=stream(0, "images"), dtype=torch.float64)


@torch.no_grad()
def level_(network: nn.Module, images: Tensor) -> Tensor:
    """Scale every layer's weights so that it gives numbers of order 1, from first to last; returns the logits."""

    def scale(module: nn.Module, _: object, given: Tensor) -> Tensor:
        deviation = given.std()
        if not (torch.isfinite(deviation) and deviation > 1e-12):
            return given
        for parameter in (module.weight, module.bias):
            if isinstance(parameter, Tensor):
                parameter.div_(deviation)
        return given / deviation

    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    handles = [module.register_forward_hook(scale) for module in layers]
    try:
        network(images)
    finally:
        for handle in handles:
            handle.remove()
    logits: Tensor = network(images)
    return logits


def uneven(network: Network, mode: Mode, keep_ratio: float, generator: torch.Generator) -> Kept:
    """Random masks: in every layer, or stream, between half and one and a half of the ratio; one in the middle keeps one.

    In coupled mode layers that share channels share masks, and what a shortcut carries stays where it arrives.
    """
    description = network.description
    names = list(description.layers)
    single = names[len(names) // 2]
    if mode == "scatter":
        return Kept(
            {
                name: _drawn(layer.width, 0.0 if name == single else keep_ratio, generator)
                for name, layer in description.layers.items()
            }
        )
    kept: dict[int, bool] = {}
    spaces: dict[tuple[str, ...], list[int]] = {}
    for channel, writers in description.writers.items():
        spaces.setdefault(writers, []).append(channel)
    narrow = next(writers for writers in spaces if single in writers)
    for writers, channels in spaces.items():
        drawn = _drawn(len(channels), 0.0 if writers is narrow else keep_ratio, generator)
        kept |= dict(zip(channels, drawn.tolist(), strict=True))
    for source, target in description.carries.T.tolist():
        kept[target] = kept.get(target, True) or kept.get(source, True)
    masks = {}
    for name, layer in description.layers.items():
        masks[name] = torch.tensor([kept[channel] for channel in layer.classes.tolist()])
        masks[name][0] |= not masks[name].any()  # its channels are in several spaces, which all dropped its own
    return Kept(masks)


def _drawn(width: int, keep_ratio: float, generator: torch.Generator) -> Tensor:
    """So many of them, more or less, and at least one; bool (width,)."""
    share = keep_ratio * (0.5 + float(torch.rand(1, generator=generator)))
    order = torch.randperm(width, generator=generator)
    return torch.zeros(width, dtype=torch.bool).index_fill(0, order[: max(1, int(width * share))], value=True)
