"""From scores to masks: which layers are pruned, how far, and which must choose together.

In scatter mode every layer chooses its own filters. In coupled mode layers whose channels are added or multiplied share a
mask, chosen by the sum of their scores; what a shortcut carries stays where it arrives; and of the runs that a grouped
convolution reads or writes equally many filters stay in each. Every number of filters may be asked to be a multiple of one
number; what a shortcut carries may lift it to the next.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

from lib.channels.description import Prunable
from lib.masks.filters import Masks, kept_count, top_k
from lib.networks.network import Network
from lib.pruning.allocation import everywhere, normalised, ranked
from lib.pruning.budgets import Budget
from lib.pruning.carrying import arrivals, together
from lib.pruning.groups import Group
from lib.pruning.layers import EVERYWHERE, Layers, asked, check_patterns, ratio_of

Goal = Callable[[float], float]


class Selection:
    """Chooses the filters of a network that a keep ratio leaves, given one score a filter (larger = keep)."""

    def __init__(
        self, network: Network, keep_ratio: float, *, coupled: bool, layers: Layers = EVERYWHERE, first_share: float = 0.0
    ) -> None:
        """first_share: what a first stage drops of every layer, counted by itself (`masks.filters.kept_count`).

        Raises ValueError unless keep_ratio is in (0, 1] and, of a budget, not below what the smallest network needs, and every
        pattern of `layers` fits a layer.
        """
        kept_count(1, keep_ratio)  # refuses what is no ratio
        self.keep_ratio = keep_ratio
        self.network = network
        self.layers = layers
        self.first_share = first_share
        check_patterns(network, layers)
        self.groups = tuple(self._coupled() if coupled else map(self._own, network.layers))
        self.arrivals = arrivals(self.groups, network.description.carries) if coupled else {}
        self.budget = Budget.asked(network, self.groups, self.arrivals, layers, coupled=coupled)
        if self.budget is not None:
            self.budget.refuse(keep_ratio)

    @property
    def pruned(self) -> tuple[Group, ...]:
        """The groups that may lose filters, in order of computation."""
        return tuple(group for group in self.groups if group.keep_ratio is not None)

    def choose(self, scores: Mapping[str, Tensor], goal: Goal = lambda keep_ratio: keep_ratio) -> Masks:
        """Scores by layer, each (C_out,) -> masks. goal: from a final keep ratio to that of the moment.

        Where layers choose alone, no value leaves the device and those of one width and ratio are handled at once.
        """
        whole = {name: torch.ones_like(values, dtype=torch.bool) for name, values in scores.items()}
        if self.layers.allocation != "uniform":
            means = {group: group.gathered(scores).mean(0) for group in self.groups}  # comparable with a single layer's
            return self.spread(self.allocated(means, goal), whole)
        chosen: dict[Group, Tensor] = {}
        carrying = self.arrivals.keys() | {source for found in self.arrivals.values() for source, *_ in found}
        alone: dict[tuple[int, int], list[tuple[str, Group]]] = defaultdict(list)
        for group in self.groups:
            count = group.width if group.keep_ratio is None else self._count(group, goal(group.keep_ratio))
            if (name := group.alone) is not None and group not in carrying:
                alone[group.width, count].append((name, group))
            else:
                chosen[group] = together(group, count, group.gathered(scores).sum(0), chosen, self.arrivals)
        for (_, count), groups in alone.items():
            kept = top_k(torch.stack([scores[name] for name, _ in groups]), count)  # (layers, width)
            chosen |= {group: row for (_, group), row in zip(groups, kept.unbind(), strict=True)}
        return self.spread(chosen, whole)

    def spread(self, chosen: Mapping[Group, Tensor], whole: Mapping[str, Tensor]) -> Masks:
        """What each group decided -> by layer; `whole` where no group decides."""
        found = dict(whole)
        for group, kept in chosen.items():
            for name, places in group.places.items():
                if name in group.straight:
                    found[name] = kept
                else:
                    there = places.to(kept.device)
                    found[name] = torch.where(there >= 0, kept[there.clamp_min(0)], found[name])
        return found

    def _own(self, layer: Prunable) -> Group:
        """A layer that chooses alone."""
        places = {layer.name: torch.arange(layer.width)}
        return self._group([layer], places, torch.full((layer.width,), -1), layer.width)

    def _coupled(self) -> Iterable[Group]:
        """Channels by the layers that write them: those of the same layers are decided together."""
        layers, writers = self.network.description.layers, self.network.description.writers
        spaces: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for channel, names in writers.items():
            spaces[names].append(channel)
        for names, channels in spaces.items():
            classes = torch.tensor(channels)
            index = {channel: place for place, channel in enumerate(channels)}
            places = {
                name: torch.tensor([index.get(channel, -1) for channel in layers[name].classes.tolist()]) for name in names
            }
            yield self._group([layers[name] for name in names], places, classes, len(channels))

    def _group(self, layers: list[Prunable], places: Mapping[str, Tensor], classes: Tensor, width: int) -> Group:
        numbers = self.network.description.segments[layers[0].classes if classes[0] < 0 else classes]
        counts = numbers.unique(return_counts=True)[1]
        runs = len(counts) if len(counts) > 1 and bool((counts == counts[0]).all()) else 1
        by_number = any(isinstance(asked(layer, self.layers)[1], int) for layer in layers)
        order = numbers.argsort(stable=True)
        straight = frozenset(name for name, own in places.items() if torch.equal(own, torch.arange(width)))
        multiple = self.layers.multiple
        return Group(places, straight, width, self._ratio(layers), classes, runs, order, by_number, multiple)

    def _ratio(self, layers: list[Prunable]) -> float | None:
        ratios = {ratio_of(layer, self.layers, self.keep_ratio) for layer in layers}
        if None in ratios:  # a channel may go only if every writer lets it go
            return None
        if len(ratios) > 1:
            names = ", ".join(layer.name for layer in layers)
            msg = f"coupled layers share a mask, so they need one keep ratio, got {sorted(map(str, ratios))} for {names}"
            raise ValueError(msg)
        return ratios.pop()

    def allocated(self, values: Mapping[Group, Tensor], goal: Goal) -> dict[Group, Tensor]:
        """One ranking of all channels by their values, (width,) by group -> masks, bool (width,) by group."""
        share = goal(self.keep_ratio)
        if self.budget is not None:
            return self.budget.choose(values, share)
        if self.layers.allocation == "global_normalised":
            values = {group: normalised(value) for group, value in values.items()}
        filters = sum(group.width * len(group.layers) for group in self.pruned)
        ranks = ranked(self.groups, self.arrivals, values)
        return everywhere(self.groups, self.arrivals, ranks, kept_count(max(1, filters), share, self.layers.rounding))

    def _count(self, group: Group, keep_ratio: float) -> int:
        if group.runs > 1:
            return group.nearest(group.runs * kept_count(group.width // group.runs, keep_ratio, self.layers.rounding))
        first_share = 0.0 if group.by_number else self.first_share
        return group.nearest(kept_count(group.width, keep_ratio, self.layers.rounding, first_share))
