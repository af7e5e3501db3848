"""One score a filter, larger = keep: weight (C_out, C_in, kH, kW) -> (C_out,)."""

from collections.abc import Mapping

import torch
from torch import Tensor


def norm(weight: Tensor, order: int) -> Tensor:
    """The L1 (order 1) or L2 (order 2) norm of every filter."""
    norms: Tensor = torch.linalg.vector_norm(weight, order, dim=(1, 2, 3))
    return norms


@torch.no_grad()
def norms(weights: Mapping[str, Tensor], order: int) -> dict[str, Tensor]:
    """The norms of the filters of several layers, by layer."""
    return {name: norm(weight, order) for name, weight in weights.items()}


def uniform(weights: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    """Random scores in [0, 1), by layer, drawn on the CPU so that a seed means the same filters on every device."""
    return {name: torch.rand(len(weight), generator=generator) for name, weight in weights.items()}
