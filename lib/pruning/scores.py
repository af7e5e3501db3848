"""One score a filter, larger = keep: weight (C_out, C_in, kH, kW), of a linear layer (C_out, C_in) -> (C_out,)."""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Distance = Literal["euclidean", "cityblock", "cosine"]


def norm(weight: Tensor, order: int) -> Tensor:
    """The L1 (order 1) or L2 (order 2) norm of every filter."""
    norms: Tensor = torch.linalg.vector_norm(weight, order, dim=tuple(range(1, weight.dim())))
    return norms


@torch.no_grad()
def norms(weights: Mapping[str, Tensor], order: int) -> dict[str, Tensor]:
    """The norms of the filters of several layers, by layer."""
    return {name: norm(weight, order) for name, weight in weights.items()}


def uniform(weights: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    """Random scores in [0, 1), by layer, drawn on the CPU so that a seed means the same filters on every device."""
    return {name: torch.rand(len(weight), generator=generator) for name, weight in weights.items()}


@torch.no_grad()
def distance_sums(weight: Tensor, among: Tensor, distance: Distance, *, squared: bool) -> Tensor:
    """The distance of every filter to those `among` (bool, (C_out,)), summed; squared distances on request.

    The filter of least sum is the medoid, which stands in for the geometric median. Squared Euclidean sums rank by the
    distance to the mean filter instead. cosine is 1 - cosine similarity; a zero filter is at distance 1 from every other.
    """
    filters = weight.flatten(1)
    if distance == "cosine":
        unit = functional.normalize(filters, dim=1)
        apart = (1.0 - unit @ unit.T).fill_diagonal_(0.0)
    elif distance == "cityblock":
        apart = torch.cdist(filters, filters, 1.0)
    else:
        # |a|^2 + |b|^2 - 2ab is many times faster than differences, and double precision leaves enough of close filters.
        products = filters.double() @ filters.double().T
        lengths = products.diagonal()
        apart = (lengths[:, None] + lengths - 2.0 * products).clamp_min(0.0).fill_diagonal_(0.0).sqrt()
    apart = apart.square() if squared else apart
    return apart[:, among].sum(1).to(weight.dtype)


def min_max(values: Tensor) -> Tensor:
    """Values scaled to [0, 1] over a layer; all equal ones become 0 (the references divide 0 by 0 there)."""
    low, high = values.min(), values.max()
    return (values - low) / torch.where(high > low, high - low, torch.ones_like(high))


def gradient_median(weight: Tensor, gradient: Tensor, gamma: float, *, squared: bool) -> Tensor:
    """NGGM: gamma x the scaled distance sum to all filters of the layer + (1 - gamma) x the scaled L1 norm of the gradient."""
    everyone = torch.ones(len(weight), dtype=torch.bool, device=weight.device)
    distances = distance_sums(weight, everyone, "euclidean", squared=squared)
    return gamma * min_max(distances) + (1.0 - gamma) * min_max(norm(gradient, 1))


def first_order(weight: Tensor, gradient: Tensor) -> Tensor:
    """What the loss loses to first order, weight by weight: the sum of |w g| over a filter."""
    return (weight.detach() * gradient).abs().sum(tuple(range(1, weight.dim())))
