"""From scores to masks: which layers are pruned, how far, and which must choose together.

In scatter mode every convolution chooses its own filters. In coupled mode the convolutions that write one stream share a
mask, chosen by the sum of their scores, and a stream also keeps every channel that a shortcut carries into it: a channel may
go only if every writer leaves it zero.
"""

import fnmatch
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from lib.masks.filters import Masks, kept_count, top_k
from lib.networks.description import Carry, Wire
from lib.networks.network import Network
from lib.pruning.layers import EVERYWHERE, LEFT_OUT, Layers

Goal = Callable[[float], float]


@dataclass(frozen=True)
class Group:
    """Convolutions that share a mask, the channels they choose of, and what share of them stays in the end.

    keep_ratio: None where every filter stays. carried: the shortcut whose kept channels must stay here too.
    by_number: its layers name a number of filters to keep, not a ratio.
    """

    space: str
    convs: tuple[str, ...]
    width: int
    keep_ratio: float | None
    carried: Carry | None
    by_number: bool


class Selection:
    """Chooses the filters of a network that a keep ratio leaves, given one score a filter (larger = keep)."""

    def __init__(
        self, network: Network, keep_ratio: float, *, coupled: bool, layers: Layers = EVERYWHERE, first_share: float = 0.0
    ) -> None:
        """first_share: what a first stage drops of every layer, counted by itself (`masks.filters.kept_count`).

        Raises ValueError unless keep_ratio is in (0, 1] and every pattern of `layers` fits a layer.
        """
        kept_count(1, keep_ratio)  # refuses what is no ratio
        self.keep_ratio = keep_ratio
        self.network = network
        self.layers = layers
        self.first_share = first_share
        _check_patterns(network, layers)
        carries = {carry.target: carry for carry in network.carries}
        shared: dict[str, list[Wire]] = defaultdict(list)
        for wire in network.wires:
            together = coupled and wire.writes in network.streams
            shared[wire.writes if together else wire.conv].append(wire)
        self.groups = tuple(
            Group(
                space=wires[0].writes,
                convs=tuple(wire.conv for wire in wires),
                width=network.widths[wires[0].writes],
                keep_ratio=self._ratio(wires),
                carried=carries.get(wires[0].writes) if name == wires[0].writes and coupled else None,
                by_number=any(isinstance(_asked(wire, layers)[1], int) for wire in wires),
            )
            for name, wires in shared.items()
        )

    @property
    def pruned(self) -> tuple[Group, ...]:
        """The groups that may lose filters, in order of computation."""
        return tuple(group for group in self.groups if group.keep_ratio is not None)

    def choose(self, scores: Mapping[str, Tensor], goal: Goal = lambda keep_ratio: keep_ratio) -> Masks:
        """Scores by layer, each (C_out,) -> masks. goal: from a final keep ratio to that of the moment.

        Where layers choose alone, no value leaves the device and those of one width and ratio are handled at once.
        """
        if self.layers.allocation != "uniform":
            return self._spread(self._everywhere(scores, goal))
        chosen: dict[str, Tensor] = {}
        alone: dict[tuple[int, int], list[Group]] = defaultdict(list)
        for group in self.groups:
            count = group.width if group.keep_ratio is None else self._count(group, goal(group.keep_ratio))
            if group.carried is None and len(group.convs) == 1:
                alone[group.width, count].append(group)
            else:
                chosen[group.space] = self._together(group, count, scores, chosen)
        for (_, count), groups in alone.items():
            kept = top_k(torch.stack([scores[group.convs[0]] for group in groups]), count)  # (layers, width)
            chosen |= {group.convs[0]: row for group, row in zip(groups, kept.unbind(), strict=True)}
        return self._spread(chosen)

    def _ratio(self, wires: list[Wire]) -> float | None:
        ratios = {self._ratio_of(wire) for wire in wires}
        if None in ratios:  # a channel may go only if every writer lets it go
            return None
        if len(ratios) > 1:
            names = ", ".join(wire.conv for wire in wires)
            msg = f"coupled layers share a mask, so they need one keep ratio, got {sorted(map(str, ratios))} for {names}"
            raise ValueError(msg)
        return ratios.pop()

    def _ratio_of(self, wire: Wire) -> float | None:
        if _left_out(wire, self.layers):
            return None
        pattern, value = _asked(wire, self.layers)
        width = self.network.widths[wire.writes]
        if value is None:
            return self.keep_ratio
        ratio = value / width if isinstance(value, int) else value
        if ratio > 1.0:
            msg = f"keep_ratios: {pattern} asks for {value} filters, but {wire.conv} has {width}"
            raise ValueError(msg)
        return ratio

    def _together(self, group: Group, count: int, scores: Mapping[str, Tensor], chosen: Mapping[str, Tensor]) -> Tensor:
        total = torch.stack([scores[name] for name in group.convs]).sum(0)  # (width,)
        carried = torch.zeros_like(total, dtype=torch.bool)
        if group.carried is not None and group.carried.source in chosen:
            source = chosen[group.carried.source]
            carried[_arrival(group.carried, source)] = source
        return top_k(total.masked_fill(carried, torch.inf), max(count, int(carried.sum())))

    def _everywhere(self, scores: Mapping[str, Tensor], goal: Goal) -> dict[str, Tensor]:
        """One ranking of all channels. What a shortcut carries ranks at least as high where it arrives as where it starts."""
        ranks: dict[str, Tensor] = {}
        for group in self.groups:
            rank = torch.stack([scores[name] for name in group.convs]).mean(0)  # comparable with that of a single layer
            if self.layers.allocation == "global_normalised":
                finite = torch.where(rank.isfinite(), rank, 0.0)  # filters that may not come back are at -inf
                rank = rank / torch.linalg.vector_norm(finite).clamp_min(1e-12)
            rank = torch.full_like(rank, torch.inf) if group.keep_ratio is None else rank
            rank = rank.masked_fill(top_k(rank, 1), torch.inf)  # every layer keeps its best
            if group.carried is not None:
                source = ranks[group.carried.source]
                there = _arrival(group.carried, source)
                rank[there] = torch.maximum(rank[there], source)
            ranks[self._key(group)] = rank
        pool = [group for group in reversed(self.groups) if group.keep_ratio is not None]  # of equals, the later one stays
        if not pool:
            return {key: rank.isposinf() for key, rank in ranks.items()}
        flat = torch.cat([ranks[self._key(group)] for group in pool])
        weights = torch.cat([torch.full_like(ranks[self._key(group)], len(group.convs)) for group in pool])
        order = flat.argsort(descending=True, stable=True)
        filters = int(weights.sum())  # a channel of a shared mask is one filter of each of its layers
        fits = weights[order].long().cumsum(0) <= kept_count(filters, goal(self.keep_ratio), self.layers.rounding)
        chosen = torch.zeros_like(fits).scatter_(0, order, fits) | flat.isposinf()
        parts = chosen.split([group.width for group in pool])
        kept = {key: rank.isposinf() for key, rank in ranks.items()}
        return kept | {self._key(group): part for group, part in zip(pool, parts, strict=True)}

    def _count(self, group: Group, keep_ratio: float) -> int:
        return kept_count(group.width, keep_ratio, self.layers.rounding, 0.0 if group.by_number else self.first_share)

    def _key(self, group: Group) -> str:
        return group.convs[0] if len(group.convs) == 1 and group.carried is None else group.space

    def _spread(self, chosen: Mapping[str, Tensor]) -> Masks:
        """Masks by group -> masks by layer."""
        return {name: chosen[self._key(group)] for group in self.groups for name in group.convs}


def _arrival(carry: Carry, source: Tensor) -> slice:
    """Where the channels of the shortcut's source stand in its target."""
    return slice(carry.offset, carry.offset + source.numel())


def _left_out(wire: Wire, layers: Layers) -> bool:
    return wire.part in LEFT_OUT[layers.convention] or any(fnmatch.fnmatchcase(wire.conv, name) for name in layers.leave_out)


def _asked(wire: Wire, layers: Layers) -> tuple[str, float | int | None]:
    """The first pattern that fits a layer, and what it wants: a ratio or a number of filters; None where none fits."""
    fitting = ((pattern, value) for pattern, value in layers.keep_ratios.items() if fnmatch.fnmatchcase(wire.conv, pattern))
    return next(fitting, ("", None))


def _check_patterns(network: Network, layers: Layers) -> None:
    names = [wire.conv for wire in network.wires]
    idle = [pattern for pattern in (*layers.leave_out, *layers.keep_ratios) if not fnmatch.filter(names, pattern)]
    if idle:
        msg = f"prune.layers: {idle} fits no layer of {network.architecture.name}; its layers: {', '.join(names)}"
        raise ValueError(msg)
