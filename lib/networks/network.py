"""A network of this project: a module together with its description (`lib.networks.description`)."""

import math
from collections import Counter
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from lib.networks.description import Architecture, Carry, Wire


class Network(nn.Module):
    """A module with its description.

    widths: dense width of every space, the input's included. wires, carries: in order of computation. head: the first
    linear layer, reading space `head_reads`. taps: names of observable points -> (module name, "input" | "output").
    """

    architecture: Architecture
    widths: Mapping[str, int]
    wires: tuple[Wire, ...]
    carries: tuple[Carry, ...]
    head: str
    head_reads: str
    taps: Mapping[str, tuple[str, str]]

    @property
    def streams(self) -> frozenset[str]:
        """The spaces that several sources add to: convolutions, or a convolution and a shortcut."""
        sources = Counter([wire.writes for wire in self.wires] + [carry.target for carry in self.carries])
        return frozenset(space for space, count in sources.items() if count > 1)

    @property
    def device(self) -> torch.device:
        """Where its parameters are."""
        return next(self.parameters()).device

    def conv(self, wire: Wire) -> nn.Conv2d:
        """The convolution of a wire."""
        module = self.get_submodule(wire.conv)
        assert isinstance(module, nn.Conv2d)
        return module

    def batch_norm(self, wire: Wire) -> nn.BatchNorm2d:
        """The batch norm of a wire."""
        module = self.get_submodule(wire.batch_norm)
        assert isinstance(module, nn.BatchNorm2d)
        return module

    def filters(self) -> dict[str, Tensor]:
        """The weights (C_out, C_in, kH, kW) of the prunable convolutions, by name."""
        return {wire.conv: self.conv(wire).weight for wire in self.wires}

    def linear_std(self, layer: nn.Linear) -> float:
        """Standard deviation of a linear layer's initial weights: Kaiming normal, fan-in."""
        return math.sqrt(2.0 / layer.in_features)

    @torch.no_grad()
    def initialise_(self, generator: torch.Generator) -> None:
        """Convolutions N(0, 2 / (k k C_out)), batch norms 1 and 0, linear layers N(0, linear_std^2), biases 0."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
                module.weight.normal_(0.0, math.sqrt(2.0 / fan_out), generator=generator)
            elif isinstance(module, nn.Linear):
                module.weight.normal_(0.0, self.linear_std(module), generator=generator)
            if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
                module.bias.zero_()

    def __call__(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W), normalised -> logits (B, num_classes)."""
        logits = super().__call__(images)
        assert isinstance(logits, Tensor)
        return logits
