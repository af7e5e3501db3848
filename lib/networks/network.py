"""What a network of this project tells about itself: who writes and who reads each channel space.

A *space* is a set of channels that travel together: the output of one convolution, or a residual stream that several
convolutions add to. Pruning, coupling, compaction and cost work on this description alone; nothing is found by its position.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

Part = Literal["stem", "inner", "last", "projection"]


@dataclass(frozen=True)
class Wire:
    """A prunable convolution with the batch norm behind it, the space it reads and the space it writes (module names).

    part: what it is in the network: the first convolution (stem), one that a single later one reads (inner), the last of a
    residual block (last), or the convolution of a shortcut (projection).
    """

    conv: str
    norm: str
    reads: str
    writes: str
    part: Part


@dataclass(frozen=True)
class Carry:
    """A shortcut that copies space `source` into the first channels of space `target` (option A of ResNet)."""

    source: str
    target: str


@dataclass(frozen=True)
class Plan:
    """The channels a network is built with, as indices into its dense form.

    filters: for each convolution the filters it has. spaces: for each space the channels it has; the filters of every
    writer are among them, so a space may be wider than any one writer.
    """

    filters: Mapping[str, tuple[int, ...]]
    spaces: Mapping[str, tuple[int, ...]]

    def positions(self, conv: str, space: str) -> tuple[int, ...]:
        """Where the filters of `conv` land among the channels that `space` has."""
        place = {channel: position for position, channel in enumerate(self.spaces[space])}
        return tuple(place[channel] for channel in self.filters[conv])

    def carried(self, carry: Carry) -> tuple[int, ...]:
        """Where the channels of `carry.source` land among those that `carry.target` has."""
        place = {channel: position for position, channel in enumerate(self.spaces[carry.target])}
        return tuple(place[channel] for channel in self.spaces[carry.source])


@dataclass(frozen=True)
class Architecture:
    """All that decides a network's shapes. hidden: widths of linear layers (no activation) before the last one."""

    name: str
    num_classes: int
    in_channels: int
    hidden: tuple[int, ...] = ()
    plan: Plan | None = None


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

    def conv(self, wire: Wire) -> nn.Conv2d:
        """The convolution of a wire."""
        module = self.get_submodule(wire.conv)
        assert isinstance(module, nn.Conv2d)
        return module

    def norm(self, wire: Wire) -> nn.BatchNorm2d:
        """The batch norm of a wire."""
        module = self.get_submodule(wire.norm)
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


def normalise_by_batch_(network: nn.Module) -> None:
    """Eval mode, but batch norms use (and average) the statistics of the mini-batch: training without dropout."""
    network.eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.train()


@torch.no_grad()
def recalibrate_(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Replace the batch norms' running statistics by the plain averages over mini-batches of images (B, C, H, W)."""
    training = network.training
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    normalise_by_batch_(network)
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch's word for a cumulative average
    for images in batches:
        network(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.train(training)


def full_plan(wires: tuple[Wire, ...], widths: Mapping[str, int]) -> Plan:
    """The dense network's plan: every filter of every wire, every channel of every space."""
    filters = {wire.conv: tuple(range(widths[wire.writes])) for wire in wires}
    return Plan(filters, {space: tuple(range(width)) for space, width in widths.items()})
