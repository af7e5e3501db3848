"""What a network costs as a function of its masks, differentiable: the multiply-accumulates of its compact form."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from lib.cost.macs import count
from lib.networks.network import Network


class Macs:
    """MACs of the compact network of given masks; with masks of zeros and ones the same number that `lib.cost.macs` counts."""

    def __init__(
        self, network: Network, shape: tuple[int, int, int], *, coupled: bool, norms: bool = False, head: bool = True
    ) -> None:
        """shape: (C, H, W). norms: one more operation per batch-norm output, as KDFS counts. head: linear layers count too."""
        macs = count(network, shape).macs
        self.network = network
        self.coupled = coupled
        self.norms = norms
        self.positions = {wire.conv: macs[wire.conv] / network.conv(wire).weight.numel() for wire in network.wires}
        self.taps = {wire.conv: math.prod(network.conv(wire).kernel_size) for wire in network.wires}
        convs = {wire.conv for wire in network.wires}
        linear = sum(value for name, value in macs.items() if name not in convs) if head else 0
        self.head_per_channel = macs[network.head] / network.widths[network.head_reads] if head else 0.0
        self.rest = linear - self.head_per_channel * network.widths[network.head_reads]

    def __call__(self, masks: Mapping[str, Tensor]) -> Tensor:
        """Masks (C_out,) of numbers in [0, 1] for every prunable layer -> a scalar, in float64: counts exceed float32."""
        kept = {name: mask.double() for name, mask in masks.items()}
        spaces = self._spaces(kept)
        total = torch.zeros((), dtype=torch.float64, device=next(iter(kept.values())).device)
        for wire in self.network.wires:
            outputs = kept[wire.conv].sum() * self.positions[wire.conv]
            total = total + outputs * (self.taps[wire.conv] * spaces[wire.reads].sum() + self.norms)
        return total + self.head_per_channel * spaces[self.network.head_reads].sum() + self.rest

    def _spaces(self, kept: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """How much of every channel of every space is there: a channel is when any of its writers has it."""
        network = self.network
        first = kept[network.wires[0].conv]
        absent = {"input": first.new_zeros(network.widths["input"])}
        for wire in network.wires:
            gone = 1.0 - kept[wire.conv]
            # The least of several writers, not the product: those that share a mask must not multiply its gradient.
            absent[wire.writes] = torch.minimum(absent[wire.writes], gone) if wire.writes in absent else gone
        for carry in network.carries:
            source, target = absent[carry.source], absent[carry.target]
            start, end = carry.offset, carry.offset + len(source)
            absent[carry.target] = torch.cat([target[:start], target[start:end] * source, target[end:]])
        whole = {"input"} | (set() if self.coupled else network.streams)
        return {space: first.new_ones(len(gone)) if space in whole else 1.0 - gone for space, gone in absent.items()}
