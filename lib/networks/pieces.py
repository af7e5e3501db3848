"""What the residual networks are made of besides their blocks: adding into a stream at given places, and the linear head."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from lib.networks.description import Architecture


class Place(nn.Module):
    """Add (B, k, H, W) into a stream (B, C, H, W) at k given channels."""

    positions: Tensor

    def __init__(self, positions: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.width = width
        self.whole = positions == tuple(range(width))
        # On the CPU also where a network is outlined on device meta: no file holds positions.
        self.register_buffer("positions", torch.tensor(positions, device="cpu"), persistent=False)

    def spread(self, x: Tensor) -> Tensor:
        """The (B, k, H, W) input as (B, C, H, W), zero in the other channels."""
        if self.whole:
            return x
        spread = x.new_zeros((x.shape[0], self.width, *x.shape[2:])).contiguous(memory_format=_layout(x))
        return spread.index_copy(1, self.positions, x)

    def forward(self, x: Tensor, stream: Tensor) -> Tensor:
        """The stream plus the input at its places; neither is changed."""
        return stream + x if self.whole else stream.index_add(1, self.positions, x)


class Spread(nn.Module):
    """Begin a stream (B, C, H, W) with k given channels, zero in the others."""

    def __init__(self, positions: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.place = Place(positions, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, k, H, W) -> (B, C, H, W)."""
        return self.place.spread(x)


def linear_head(width: int, architecture: Architecture) -> nn.Module:
    """Features (B, width) -> logits: one linear layer, or a sequence of them through the hidden widths."""
    sizes = (width, *architecture.hidden, architecture.num_classes)
    layers = [nn.Linear(a, b) for a, b in pairwise(sizes)]
    return nn.Sequential(*layers) if architecture.hidden else layers[0]


def _layout(x: Tensor) -> torch.memory_format:
    channels_last = x.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if channels_last else torch.contiguous_format
