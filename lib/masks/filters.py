"""Masks: which filters stay. The waist that every method, compaction, cost and table passes through.

A mask is a dict from the name of a layer to a bool tensor (C_out,), True = keep. A masked filter means: its weights and bias
are zero and stay zero, and so are the scale and shift of every batch norm, and the filters of every depthwise convolution,
whose input is zero in that channel; so the channel's output is exactly 0.
"""

import math
from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

from lib.channels.flow import direct, presence
from lib.channels.steps import Depthwise, Layer, Scale, Value
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


def held(network: Network, masks: Masks, *, scale: bool = True) -> Iterator[tuple[str, Tensor]]:
    """The names of the parameters that masks concern, with what stays of each, bool (C_out,).

    scale: also of the batch norms' scales (a method that lets filters come back leaves them alone).
    """
    concerned = list(_concerned(network, scale=scale))
    there: dict[Value, Tensor] = {}
    if any(layer is None for _, layer, _ in concerned):
        there = presence(network.description.steps, masks, torch.empty(0, device=next(iter(masks.values())).device))
    for name, layer, value in concerned:
        if layer is None:
            yield name, there[value] > 0
        elif layer in masks:
            yield name, masks[layer]


def _concerned(network: Network, *, scale: bool) -> Iterator[tuple[str, str | None, Value]]:
    """Parameters that may be held: by name, with the layer whose mask is theirs or, where that takes a flow, the value."""
    steps = network.description.steps
    of = direct(steps)
    names: tuple[str, ...]
    for step, *_ in network.description.calls.values():
        if isinstance(step, Layer | Depthwise):
            names, value = (f"{step.name}.weight", f"{step.name}.bias"), step.output
        elif isinstance(step, Scale) and step.keeps_zero:
            names, value = step.held, step.output
            if step.is_batch_norm and not scale:
                names = tuple(name for name in names if not name.endswith(".weight"))
        else:
            continue
        yield from ((name, of.get(value), value) for name in names)


class Holder:
    """Keeps masked filters at zero: parameters, and the optimizer's buffers, by operations on all layers at once."""

    def __init__(self, network: Network, *, scale: bool = True) -> None:
        """scale: also hold the batch norm's scale (a method that lets filters come back leaves it alone)."""
        self.network, self.scale = network, scale
        self.filters = network.filters()
        self.parameters: dict[str, Tensor] = dict(network.named_parameters())
        self.concerned = [one for one in _concerned(network, scale=scale) if one[0] in self.parameters]
        self.flows = any(layer is None for _, layer, _ in self.concerned)

    def factors(self, masks: Masks) -> tuple[list[Tensor], list[Tensor]]:
        """The parameters that masks concern, and what each is multiplied by."""
        device = next(iter(self.filters.values())).device
        here = {name: mask.to(device) for name, mask in masks.items()}
        there = presence(self.network.description.steps, here, torch.empty(0, device=device)) if self.flows else {}
        parameters: list[Tensor] = []
        factors: list[Tensor] = []
        for name, layer, value in self.concerned:
            mask = there[value] > 0 if layer is None else here.get(layer)
            if mask is not None:
                parameters.append(self.parameters[name])
                factors.append(along(mask, self.parameters[name]))
        return parameters, factors

    @torch.no_grad()
    def hold_(self, masks: Masks, optimizer: torch.optim.Optimizer | None = None) -> None:
        """Zero what the masks drop, in the optimizer's buffers too where one is given."""
        multiply_(*self.factors(masks), optimizer)

    @torch.no_grad()
    def zero_weights_(self, masks: Masks) -> None:
        """Zero the weights of dropped filters and nothing else: batch norm and momentum may bring them back."""
        factors = [along(masks[name].to(weight.device), weight) for name, weight in self.filters.items()]
        multiply_(list(self.filters.values()), factors, None)


def along(values: Tensor, weight: Tensor) -> Tensor:
    """Values (C_out,), one for each filter of a weight (C_out, ...), shaped so that the two multiply."""
    return values.view(-1, *[1] * (weight.dim() - 1))


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
