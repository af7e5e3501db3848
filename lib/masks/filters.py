"""Masks: which filters stay. The waist that every method, compaction, cost and table passes through.

A mask is a dict from convolution name to a bool tensor (C_out,), True = keep. A masked filter means: its weights, its bias
and its batch norm's scale and shift are zero and stay zero, so that the channel's output is exactly 0.
"""

import math
from typing import Literal

import torch
from torch import Tensor

from lib.networks.network import Network

Masks = dict[str, Tensor]


Rounding = Literal["kept", "pruned", "nearest"]
SLACK = 1e-9  # the sources truncate bare products, which fall just below a whole number now and then


def kept_count(width: int, keep_ratio: float, rounding: Rounding = "kept", first_share: float = 0.0) -> int:
    """Filters kept of `width`, at least 1.

    kept: floor(width keep_ratio) (AHSG-HT, and the default). pruned: width - floor(width (1 - keep_ratio)) (SFP, FPGM).
    nearest: width - round(width (1 - keep_ratio)), halves to even (NGGM). first_share: of the width, what a first stage drops;
    `pruned` then truncates what each of the two stages drops, as FPGM does.
    """
    if not 0.0 < keep_ratio <= 1.0:
        msg = f"keep_ratio must be above 0 and at most 1, got {keep_ratio}"
        raise ValueError(msg)
    pruned = width * (1.0 - keep_ratio)
    first = min(width * first_share, pruned)
    kept = {
        "kept": math.floor(width * keep_ratio + SLACK),
        "pruned": width - math.floor(first + SLACK) - math.floor(pruned - first + SLACK),
        "nearest": width - round(round(pruned, 9)),
    }
    return max(1, kept[rounding])


def top_k(scores: Tensor, count: int) -> Tensor:
    """Keep the `count` largest of each row of scores (..., C) -> bool (..., C); of equal scores the first one wins."""
    order = scores.argsort(dim=-1, descending=True, stable=True)[..., :count]
    return torch.zeros_like(scores, dtype=torch.bool).scatter_(-1, order, value=True)


def full(network: Network) -> Masks:
    """Masks that keep every filter."""
    return {name: torch.ones(len(weight), dtype=torch.bool) for name, weight in network.filters().items()}


def check(network: Network, masks: Masks) -> None:
    """Raise ValueError unless the masks name every prunable layer, fit its filters and keep at least one of each."""
    expected = {name: len(weight) for name, weight in network.filters().items()}
    if masks.keys() != expected.keys():
        missing, unknown = sorted(expected.keys() - masks.keys()), sorted(masks.keys() - expected.keys())
        msg = f"masks must name every prunable layer of the network; missing {missing}, unknown {unknown}"
        raise ValueError(msg)
    for name, mask in masks.items():
        if mask.dtype != torch.bool or mask.shape != (expected[name],):
            msg = f"mask of {name} must be bool ({expected[name]},), got {mask.dtype} {tuple(mask.shape)}"
            raise ValueError(msg)
        if not mask.any():
            msg = f"mask of {name} keeps no filter; keep at least one, or the network computes nothing"
            raise ValueError(msg)


def changed(before: Masks, after: Masks) -> int:
    """How many filters changed sides between two masks."""
    return sum(int((before[name] != mask).sum()) for name, mask in after.items())


def from_zeros(network: Network) -> Masks:
    """Read the masks of a foreign network: a filter whose weights are all exactly zero is dropped."""
    return {name: weight.detach().flatten(1).ne(0).any(1).cpu() for name, weight in network.filters().items()}


class Holder:
    """Keeps masked filters at zero: parameters, and the optimizer's buffers, by operations on all layers at once."""

    def __init__(self, network: Network, *, scale: bool = True) -> None:
        """scale: also hold the batch norm's scale (a method that lets filters come back leaves it alone)."""
        self.filters = network.filters()
        self.channels: dict[str, list[Tensor]] = {}
        for wire in network.wires:
            norm = network.batch_norm(wire)
            found = [network.conv(wire).bias, norm.bias, norm.weight if scale else None]
            self.channels[wire.conv] = [parameter for parameter in found if parameter is not None]

    @torch.no_grad()
    def hold_(self, masks: Masks, optimizer: torch.optim.Optimizer | None = None) -> None:
        """Zero what the masks drop, in the optimizer's buffers too where one is given."""
        parameters: list[Tensor] = []
        factors: list[Tensor] = []
        for name, weight in self.filters.items():
            mask = masks[name].to(weight.device)
            channels = self.channels[name]
            parameters += [weight, *channels]
            factors += [mask.view(-1, 1, 1, 1)] + [mask] * len(channels)
        multiply_(parameters, factors, optimizer)

    @torch.no_grad()
    def zero_weights_(self, masks: Masks) -> None:
        """Zero the weights of dropped filters and nothing else: batch norm and momentum may bring them back."""
        factors = [masks[name].to(weight.device).view(-1, 1, 1, 1) for name, weight in self.filters.items()]
        multiply_(list(self.filters.values()), factors, None)


def multiply_(parameters: list[Tensor], factors: list[Tensor], optimizer: torch.optim.Optimizer | None) -> None:
    """Multiply parameters by their masks; with an optimizer, the buffers that lie along them too (momentum, iterates)."""
    torch._foreach_mul_(parameters, factors)
    if optimizer is None:
        return
    buffers, along = [], []
    for parameter, factor in zip(parameters, factors, strict=True):
        for value in optimizer.state[parameter].values():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                buffers.append(value)
                along.append(factor)
    if buffers:
        torch._foreach_mul_(buffers, along)
