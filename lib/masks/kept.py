"""What stays of a network: filters and single weights in one value. Every pruning method ends in one, and everything after it
(compaction, cost, formats, tables) knows nothing else of pruning.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from lib.masks import filters as by_filter
from lib.masks import weights as by_weight
from lib.masks.filters import Masks
from lib.masks.weights import Sparsity
from lib.networks.network import Network


@dataclass(frozen=True)
class Kept:
    """filters: by prunable layer, bool (C_out,). weights: by convolution and linear layer, bool, shaped like its weight;
    empty where no single weights were pruned. True = keep.
    """

    filters: Masks
    weights: Sparsity = field(default_factory=dict)

    def to(self, device: torch.device | str) -> "Kept":
        """The same on a device."""
        return Kept(*({name: mask.to(device) for name, mask in masks.items()} for masks in (self.filters, self.weights)))

    @property
    def share(self) -> float:
        """What stays over what there was, all layers together: of single weights where those were pruned, else of filters."""
        masks = self.weights or self.filters
        return sum(int(mask.sum()) for mask in masks.values()) / sum(mask.numel() for mask in masks.values())


def everything(network: Network) -> Kept:
    """All filters and all weights."""
    return Kept(by_filter.full(network))


def check(network: Network, kept: Kept) -> None:
    """Raise ValueError unless the masks fit the network's layers and keep at least one filter of each."""
    by_filter.check(network, kept.filters)
    if kept.weights:
        by_weight.check(network, kept.weights)


class Keeper:
    """Holds what is dropped at zero through a training: parameters, and the optimizer's buffers."""

    def __init__(self, network: Network, kept: Kept) -> None:
        """Raises ValueError as `check` does; layers without a mask of single weights stay whole."""
        by_filter.check(network, kept.filters)
        self.kept = kept.to(network.device)  # once, not at every step
        self.factors = by_filter.Holder(network).factors(self.kept.filters)
        self.weights = by_weight.Zeros(network)

    def hold_(self, optimizer: torch.optim.Optimizer | None = None) -> None:
        """Zero what is dropped, in the optimizer's buffers too where one is given."""
        with torch.no_grad():
            by_filter.multiply_(*self.factors, optimizer)
        self.weights.hold_(self.kept.weights, optimizer)


def apply_(network: Network, kept: Kept) -> None:
    """Zero what is dropped, once: the network then equals its compact form. Raises ValueError as `check` does."""
    Keeper(network, kept).hold_()


def leftovers(network: Network, kept: Kept) -> list[str]:
    """The parameters that are not zero where the masks drop something, by name: none once the masks were applied."""
    parameters = dict(network.named_parameters())
    masks = {name: mask.to(network.device) for name, mask in kept.filters.items()}
    found = [name for name, mask in by_filter.held(network, masks) if _remains(parameters.get(name), mask)]
    single = by_weight.weights(network)
    return found + [f"{name}.weight" for name, mask in kept.weights.items() if _remains(single[name], mask)]


def _remains(parameter: torch.Tensor | None, mask: torch.Tensor) -> bool:
    return parameter is not None and bool(parameter[~mask.to(parameter.device)].ne(0).any())


def as_indices(masks: Masks) -> Mapping[str, list[int]]:
    """The kept filters of every layer, as indices into the dense network."""
    return {name: mask.nonzero().flatten().tolist() for name, mask in masks.items()}
