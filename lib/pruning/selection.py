"""From scores to masks: which layers choose alone and which must choose together.

In scatter mode every convolution chooses its own filters. In coupled mode the convolutions that write one stream share a
mask, chosen by the sum of their scores, and a stream also keeps every channel that a shortcut carries into it: a channel may
go only if every writer leaves it zero.
"""

from collections import defaultdict
from collections.abc import Mapping

import torch
from torch import Tensor

from lib.networks.network import Network
from lib.pruning.masks import Masks, kept_count, top_k


class Selection:
    """Chooses the filters of a network that a keep ratio leaves, given one score a filter (larger = keep)."""

    def __init__(self, network: Network, keep_ratio: float, *, coupled: bool) -> None:
        """Raises ValueError unless keep_ratio is in (0, 1]."""
        self.keep_ratio = keep_ratio
        writers: dict[str, list[str]] = defaultdict(list)
        for wire in network.wires:
            writers[wire.writes].append(wire.conv)
        self.alone: dict[int, list[str]] = defaultdict(list)  # width -> layers that choose for themselves
        self.streams: list[tuple[str, tuple[str, ...]]] = []  # in order of computation
        for space, convs in writers.items():
            if coupled and space in network.streams:
                self.streams.append((space, tuple(convs)))
            else:
                self.alone[network.widths[space]] += convs
        self.counts = {width: kept_count(width, keep_ratio) for width in set(network.widths.values())}
        self.carried_from = {carry.target: carry.source for carry in network.carries}

    def choose(self, scores: Mapping[str, Tensor]) -> Masks:
        """Scores by layer, each (C_out,) -> masks. No value leaves the device; layers of one width are handled at once."""
        masks: Masks = {}
        for width, names in self.alone.items():
            kept = top_k(torch.stack([scores[name] for name in names]), self.counts[width])  # (layers, width)
            masks |= dict(zip(names, kept.unbind(), strict=True))
        return masks | self._streams(scores)

    def _streams(self, scores: Mapping[str, Tensor]) -> Masks:
        masks: Masks = {}
        chosen: dict[str, Tensor] = {}
        for space, convs in self.streams:
            total = torch.stack([scores[name] for name in convs]).sum(0)  # (width,)
            carried = torch.zeros_like(total, dtype=torch.bool)
            if space in self.carried_from:
                source = chosen[self.carried_from[space]]
                carried[: source.numel()] = source
            count = max(self.counts[total.numel()], int(carried.sum()))
            chosen[space] = top_k(total.masked_fill(carried, torch.inf), count)
            masks |= dict.fromkeys(convs, chosen[space])
        return masks
