"""Channels that are chosen together, and how the best of them are found."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from lib.masks.filters import top_k


@dataclass(frozen=True, eq=False)
class Group:
    """Channels that one mask decides, the layers that write them, and what share of them stays in the end.

    places: by layer, for each of its filters the place among the group's channels, or -1;
    straight: the layers whose filters are just its channels, in their order. keep_ratio: None where every channel
    stays. classes: of the network's description (coupled), for what shortcuts carry. runs: of equally many channels each, as
    many of which must stay; one run where there are no such. by_number: its layers name a number of filters, not a ratio.
    multiple: of which the number of channels that stay is one, unless all stay; 1 for any number.
    """

    places: Mapping[str, Tensor]
    straight: frozenset[str]
    width: int
    keep_ratio: float | None
    classes: Tensor
    runs: int
    order: Tensor
    by_number: bool
    multiple: int

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers that write it."""
        return tuple(self.places)

    @property
    def alone(self) -> str | None:
        """The layer, where the group is all of one layer's filters in their order."""
        name, *others = self.places
        return name if not others and self.runs == 1 and name in self.straight else None

    def gathered(self, scores: Mapping[str, Tensor]) -> Tensor:
        """Scores by layer -> by layer and channel of the group, (layers, width)."""
        rows = []
        for name, places in self.places.items():
            here, there = scores[name], places.to(scores[name].device)
            if name in self.straight:
                rows.append(here)
            else:
                rows.append(here.new_zeros(self.width).index_add(0, there[there >= 0], here[there >= 0]))
        return torch.stack(rows)

    def best(self, rank: Tensor, count: int) -> Tensor:
        """The `count` best channels, (width,); of each run equally many."""
        if self.runs == 1:
            return top_k(rank, count)
        each = max(1, count // self.runs)
        order = self.order.to(rank.device)
        chosen = top_k(rank[order].view(self.runs, -1), each).flatten()
        return torch.zeros_like(chosen).scatter_(0, order, chosen)

    def evened(self, rank: Tensor) -> Tensor:
        """The n-th best of every run ranks as the mean of them, so that they stay or go together."""
        if self.runs == 1:
            return rank
        order = self.order.to(rank.device)
        values, at = rank[order].view(self.runs, -1).sort(dim=1, descending=True, stable=True)
        means = values.mean(0).expand_as(values)
        back = torch.empty_like(values).scatter_(1, at, means).flatten()
        return torch.empty_like(rank).scatter_(0, order, back)

    def levels(self, step: int = 1) -> tuple[int, ...]:
        """The numbers of channels that may stay, rising: multiples of about `step`, of `multiple` and of the runs; or all.

        All may always stay, also where they are no multiple, or fewer than one.
        """
        unit = math.lcm(self.multiple, self.runs)
        unit *= -(-step // unit)
        return (*range(unit, self.width, unit), self.width)

    @cached_property
    def _counts(self) -> tuple[int, ...]:
        return self.levels()

    def nearest(self, count: int, most: int | None = None) -> int:
        """The number of channels that may stay which is nearest to `count`; of two the larger, but none above `most`."""
        if self.multiple == 1:
            return count
        fitting = [one for one in self._counts if most is None or one <= most]
        return min(fitting or self._counts[:1], key=lambda one: (abs(one - count), -one))

    def at_least(self, count: int) -> int:
        """The least number of channels that may stay which is not below `count`."""
        return count if self.multiple == 1 else next(one for one in self._counts if one >= count)
