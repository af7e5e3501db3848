"""The best filters for what they cost, under a budget of time, MACs or parameters: a knapsack with one choice a group.

Shen, Yin, Molchanov, Mao, Liu, Alvarez, "HALP: Hardware-Aware Latency Pruning", 2021,
https://arxiv.org/abs/2110.10811; Humble, Shen, Albericio Latorre, Darve, Alvarez, "Soft Masking for Cost-Constrained Channel
Pruning" (SMCP), ECCV 2022, https://arxiv.org/abs/2211.02206, a multiple choice knapsack by layer.
Reference: NVlabs/HALP, NVlabs/SMCP.

A group's worth is the sum of the scores that stay, each over the Euclidean norm of its group's, times the layers that write
it. From the whole network, the block that loses the least worth for the cost that it saves goes, until the budget is met; then
the blocks that are worth most for their cost and still fit come back.
Departs: both papers take a layer's cost at the widths that the others had in the last pruning step, and solve the knapsack
exactly or nearly; here a saving is that at the neighbours' current widths, and the choice is greedy. Scores are normalised, so
that those of any method fit, and chosen whenever the method chooses, where the papers prune in steps of their own.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from lib.cost.latency_table import CURE, Curve, LatencyTable, parsed
from lib.cost.layer_shapes import step_of
from lib.images.checksum import sha256_of
from lib.networks.network import Network
from lib.pruning.allocation import normalised, ranked
from lib.pruning.carrying import Arrivals, together
from lib.pruning.costs import Cost, cost_of
from lib.pruning.groups import Group
from lib.pruning.knapsack import Choice, Knapsack
from lib.pruning.layers import Budgeted, Layers, Table

JUMP = 4  # levels: times fall in stairs, and one step that saves nothing may lead to another that saves much
SLACK = 1e-9  # of a budget, for sums in another order


class Budget:
    """What of the dense network's cost may be left, and the choice of channels under it."""

    def __init__(
        self, groups: Sequence[Group], into: Arrivals, cost: Cost, levels: Sequence[Sequence[int]], curve: Curve, jump: int
    ) -> None:
        """groups: all. cost, levels: of those that may lose channels. curve: from a cost to the share that a ratio means.
        jump: levels that a group may lose at once.
        """
        self.groups, self.into, self.cost, self.levels, self.curve, self.jump = groups, into, cost, levels, curve, jump
        self.pruned = [group for group in groups if group.keep_ratio is not None]
        self.smallest = curve.share(cost([least[0] for least in levels]))

    @classmethod
    def asked(cls, network: Network, groups: Sequence[Group], into: Arrivals, layers: Layers, *, coupled: bool) -> Self | None:
        """The budget that prune.layers asks for; None where the ratio is one of filters. Raises ValueError for a table that is
        not there, has changed, or is of another network.
        """
        if layers.budget is None:
            return None
        table = None if layers.table is None else read(layers.table)
        if table is not None and table.size != network.architecture.size:
            told = f"is of images of {table.size} pixels, the network's are of {network.architecture.size}"
            msg = f"prune.layers.table: {layers.table.file if layers.table else ''} {told}; {CURE}"
            raise ValueError(msg)
        return cls.of(network, groups, into, layers.budget, table, coupled=coupled)

    @classmethod
    def of(
        cls,
        network: Network,
        groups: Sequence[Group],
        into: Arrivals,
        budget: Budgeted,
        table: LatencyTable | None,
        *,
        coupled: bool,
    ) -> Self:
        """A budget of one kind; table: for the latency. Raises ValueError where it has no times for a layer."""
        pruned = [group for group in groups if group.keep_ratio is not None]
        cost = cost_of(network, pruned, into, budget, table, coupled=coupled)
        dense = cost([group.width for group in pruned])
        if table is None:
            return cls(groups, into, cost, [group.levels() for group in pruned], Curve.through([(dense, dense)]), 1)
        levels = [group.levels(step_of(group.width)) for group in pruned]
        curve = table.curve("coupled" if coupled else "scatter", dense)
        return cls(groups, into, cost, levels, curve, JUMP)

    def refuse(self, share: float) -> None:
        """Raise ValueError where no network is small enough."""
        if share < self.smallest:
            raise ValueError(_too_small(share, self.smallest))

    def choose(self, values: Mapping[Group, Tensor], share: float) -> dict[Group, Tensor]:
        """Values of channels, (width,) by group, and a share of the dense network's cost -> masks, bool (width,) by group."""
        worths = {group: normalised(_from_zero(group.evened(value))) for group, value in values.items()}
        ranks = ranked(self.groups, self.into, worths)
        orders = {group: rank.argsort(descending=True, stable=True) for group, rank in ranks.items()}
        choices = [
            self._choice(group, levels, worths[group], ranks[group], orders)
            for group, levels in zip(self.pruned, self.levels, strict=True)
        ]
        knapsack = Knapsack(choices, self.cost, self.jump)
        budget = self.curve.cost(share) * (1.0 + SLACK)
        if not knapsack.empty_to(budget):
            raise ValueError(_too_small(share, self.curve.share(knapsack.total)))
        knapsack.fill_to(budget)
        counts = dict(zip(self.pruned, knapsack.counts, strict=True))
        chosen: dict[Group, Tensor] = {}
        for group in self.groups:  # a shortcut carries from an earlier one into a later one
            chosen[group] = together(group, counts.get(group, group.width), ranks[group], chosen, self.into)
        return chosen

    def _choice(
        self, group: Group, levels: Sequence[int], worth: Tensor, rank: Tensor, orders: Mapping[Group, Tensor]
    ) -> Choice:
        """What the knapsack must know of a group; orders: of each group's channels, the best first."""
        alive = int(rank.isneginf().logical_not().sum())
        most = max([0, *(place for place, level in enumerate(levels) if level <= alive)])
        least = next(place for place, level in enumerate(levels) if level >= int(rank.isposinf().sum()))
        finite = torch.where(worth.isfinite(), worth, 0.0).double() * len(group.layers)
        sums = [0.0, *finite[orders[group]].cumsum(0).tolist()]
        needs = {
            self.pruned.index(target): _needs(orders[group], orders[target], *pairs)
            for target, sources in self.into.items()
            for source, *pairs in sources
            if source is group and target.keep_ratio is not None
        }
        return Choice(tuple(levels), tuple(sums[level] for level in levels), least, max(least, most), needs)


def _needs(order: Tensor, later: Tensor, starts: Tensor, ends: Tensor) -> tuple[int, ...]:
    """By how many channels a group keeps, how many the group must keep into which they are carried, from place to place."""
    place = torch.empty_like(later).scatter_(0, later, torch.arange(len(later), device=later.device))
    needed = torch.zeros_like(order).scatter_(0, starts.to(order.device), place[ends.to(order.device)] + 1)
    return (0, *needed[order].cummax(0).values.tolist())


def _from_zero(values: Tensor) -> Tensor:
    """Values of which the least is not negative, so that no channel is worth less than nothing."""
    finite = values[values.isfinite()]
    return values - finite.min().clamp_max(0.0) if len(finite) else values


def _too_small(share: float, smallest: float) -> str:
    return f"a budget of {share:.4g} of the dense network cannot be met; the smallest share possible is {smallest:.4f}"


def read(given: Table) -> LatencyTable:
    """The table of a suite. Raises ValueError where it is not there, is another than was described, or is damaged."""
    path = Path(given.file)
    if not path.is_file():
        msg = f"prune.layers.table: {path} is not there; {CURE}"
        raise ValueError(msg)
    if (found := sha256_of(path)) != given.sha256:
        msg = f"prune.layers.table: {path} has sha256 {found}, not {given.sha256}; correct the one or the other, or {CURE}"
        raise ValueError(msg)
    return _read(path, given.sha256)


@lru_cache(maxsize=8)
def _read(path: Path, _sha256: str) -> LatencyTable:
    return parsed(path.read_bytes(), str(path))
