"""From scores to masks: which layers are pruned, how far, and which must choose together.

In scatter mode every layer chooses its own filters. In coupled mode layers whose channels are added or multiplied share a
mask, chosen by the sum of their scores; what a shortcut carries stays where it arrives; and of the runs that a grouped
convolution reads or writes equally many filters stay in each.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

from lib.channels.description import Prunable
from lib.masks.filters import Masks, kept_count, top_k
from lib.networks.network import Network
from lib.pruning.groups import Group
from lib.pruning.layers import EVERYWHERE, Layers, asked, check_patterns, left_out

Goal = Callable[[float], float]


class Selection:
    """Chooses the filters of a network that a keep ratio leaves, given one score a filter (larger = keep)."""

    def __init__(
        self, network: Network, keep_ratio: float, *, coupled: bool, layers: Layers = EVERYWHERE, first_share: float = 0.0
    ) -> None:
        """first_share: what a first stage drops of every layer, counted by itself (`masks.filters.kept_count`).

        Raises ValueError unless keep_ratio is in (0, 1], every pattern of `layers` fits a layer and there is one to prune.
        """
        kept_count(1, keep_ratio)  # refuses what is no ratio
        self.keep_ratio = keep_ratio
        self.network = network
        self.layers = layers
        self.first_share = first_share
        check_patterns(network, layers)
        self.groups = tuple(self._coupled() if coupled else map(self._own, network.layers))
        self.arrivals = self._arrivals() if coupled else {}

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
            return self.spread(self._everywhere(scores, goal), whole)
        chosen: dict[Group, Tensor] = {}
        alone: dict[tuple[int, int], list[tuple[str, Group]]] = defaultdict(list)
        for group in self.groups:
            count = group.width if group.keep_ratio is None else self._count(group, goal(group.keep_ratio))
            if (name := group.alone) is not None and group not in self.arrivals:
                alone[group.width, count].append((name, group))
            else:
                chosen[group] = self._together(group, count, scores, chosen)
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
        return Group(places, straight, width, self._ratio(layers), classes, runs, order, by_number)

    def _arrivals(self) -> dict[Group, list[tuple[Group, Tensor, Tensor]]]:
        """By group, what shortcuts carry into it: from which group, from which of its channels, and where they arrive."""
        place = {channel: (group, at) for group in self.groups for at, channel in enumerate(group.classes.tolist())}
        pairs: dict[tuple[Group, Group], list[tuple[int, int]]] = defaultdict(list)
        for source, target in self.network.description.carries.T.tolist():
            if source in place and target in place and source != target:
                pairs[place[target][0], place[source][0]].append((place[source][1], place[target][1]))
        found: dict[Group, list[tuple[Group, Tensor, Tensor]]] = defaultdict(list)
        for (into, out_of), between in pairs.items():
            source, target = torch.tensor(between).unbind(1)
            found[into].append((out_of, source, target))
        return dict(found)

    def _ratio(self, layers: list[Prunable]) -> float | None:
        ratios = {self._ratio_of(layer) for layer in layers}
        if None in ratios:  # a channel may go only if every writer lets it go
            return None
        if len(ratios) > 1:
            names = ", ".join(layer.name for layer in layers)
            msg = f"coupled layers share a mask, so they need one keep ratio, got {sorted(map(str, ratios))} for {names}"
            raise ValueError(msg)
        return ratios.pop()

    def _ratio_of(self, layer: Prunable) -> float | None:
        if left_out(layer, self.layers):
            return None
        pattern, value = asked(layer, self.layers)
        if value is None:
            return self.keep_ratio
        ratio = value / layer.width if isinstance(value, int) else value
        if ratio > 1.0:
            msg = f"keep_ratios: {pattern} asks for {value} filters, but {layer.name} has {layer.width}"
            raise ValueError(msg)
        return ratio

    def _together(self, group: Group, count: int, scores: Mapping[str, Tensor], chosen: Mapping[Group, Tensor]) -> Tensor:
        total = group.gathered(scores).sum(0)  # (width,)
        carried = self._arrived(group, chosen, total) > 0
        forced = total.masked_fill(carried, torch.inf)
        return group.best(forced, max(count, int(carried.sum()))) | carried

    def _arrived(self, group: Group, values: Mapping[Group, Tensor], like: Tensor) -> Tensor:
        """What shortcuts carry into each channel of a group, (width,): the values where they start, else -inf."""
        found = torch.full_like(like, -torch.inf)
        for before, source, target in self.arrivals.get(group, ()):
            if before in values:
                there = target.to(like.device)
                found[there] = torch.maximum(found[there], values[before][source.to(like.device)].to(like))
        return found

    def _everywhere(self, scores: Mapping[str, Tensor], goal: Goal) -> dict[Group, Tensor]:
        """One ranking of all channels. What a shortcut carries ranks at least as high where it arrives as where it starts."""
        ranks: dict[Group, Tensor] = {}
        for group in self.groups:
            rank = group.gathered(scores).mean(0)  # comparable with that of a single layer
            if self.layers.allocation == "global_normalised":
                finite = torch.where(rank.isfinite(), rank, 0.0)  # filters that may not come back are at -inf
                rank = rank / torch.linalg.vector_norm(finite).clamp_min(1e-12)
            rank = torch.full_like(rank, torch.inf) if group.keep_ratio is None else group.evened(rank)
            rank = rank.masked_fill(group.best(rank, group.runs), torch.inf)  # every layer, and every run, keeps its best
            ranks[group] = torch.maximum(rank, self._arrived(group, ranks, rank))
        pool = [group for group in reversed(self.groups) if group.keep_ratio is not None]  # of equals, the later one stays
        kept = {group: rank.isposinf() for group, rank in ranks.items()}
        if not pool:
            return kept
        flat = torch.cat([ranks[group] for group in pool])
        weights = torch.cat([torch.full_like(ranks[group], len(group.layers)) for group in pool])
        order = flat.argsort(descending=True, stable=True)
        filters = int(weights.sum())  # a channel of a shared mask is one filter of each of its layers
        fits = weights[order].long().cumsum(0) <= kept_count(filters, goal(self.keep_ratio), self.layers.rounding)
        chosen = torch.zeros_like(fits).scatter_(0, order, fits) | flat.isposinf()
        parts = chosen.split([group.width for group in pool])
        return kept | {group: self._even(group, part, ranks[group]) for group, part in zip(pool, parts, strict=True)}

    def _even(self, group: Group, chosen: Tensor, rank: Tensor) -> Tensor:
        """Equally many of every run, where the ranking cut through channels of one rank."""
        return chosen if group.runs == 1 else group.best(rank, int(chosen.sum())) | rank.isposinf()

    def _count(self, group: Group, keep_ratio: float) -> int:
        if group.runs > 1:
            return group.runs * kept_count(group.width // group.runs, keep_ratio, self.layers.rounding)
        return kept_count(group.width, keep_ratio, self.layers.rounding, 0.0 if group.by_number else self.first_share)
