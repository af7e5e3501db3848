"""Fresh weights for this project's own networks, the same for a seed on every machine."""

import math

import torch
from torch import nn


@torch.no_grad()
def initialise_(network: nn.Module, generator: torch.Generator) -> None:
    """Convolutions N(0, 2 / (kH kW C_out / groups)), linear layers N(0, 2 / C_in) and biases 0; batch norms stay at 1 and 0.

    A network may ask for another deviation of its linear layers (attribute `linear_std`).
    """
    deviation = getattr(network, "linear_std", None)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
            module.weight.normal_(0.0, math.sqrt(2.0 / fan_out), generator=generator)
        elif isinstance(module, nn.Linear):
            own = math.sqrt(2.0 / module.in_features) if deviation is None else float(deviation)
            module.weight.normal_(0.0, own, generator=generator)
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            module.bias.zero_()
