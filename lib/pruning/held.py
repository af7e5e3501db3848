"""Training with masks that are chosen already: what is dropped stays zero."""

import torch

from lib.masks.filters import Holder, Masks, check
from lib.masks.weights import Sparsity, Zeros
from lib.networks.network import Network
from lib.training.hooks import Method


def held(network: Network, masks: Masks, sparsity: Sparsity | None = None) -> Method:
    """Train with fixed masks held: what is dropped stays zero through every step, momentum included."""
    check(network, masks)
    filters, weights = Holder(network), Zeros(network)
    there = {name: mask.to(filters.filters[name].device) for name, mask in masks.items()}  # once, not at every step
    kept = {name: mask.to(weights.weights[name].device) for name, mask in (sparsity or {}).items()}

    def hold(optimizer: torch.optim.Optimizer | None) -> None:
        filters.hold_(there, optimizer)
        weights.hold_(kept, optimizer)

    hold(None)
    return Method(
        masks=lambda: masks,
        sparsity=(lambda: kept) if sparsity else None,
        after_step=lambda moment: hold(moment.optimizer),
    )
