"""What shortcuts carry from one group of channels into another: it stays where it arrives if it stays where it starts."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from lib.pruning.groups import Group

# By group, what is carried into it: from which group, from which of its channels (n,), and where they arrive (n,).
Arrivals = Mapping[Group, Sequence[tuple[Group, Tensor, Tensor]]]


def arrivals(groups: Sequence[Group], carries: Tensor) -> Arrivals:
    """carries: pairs of classes (2, n), of the network's description."""
    place = {channel: (group, at) for group in groups for at, channel in enumerate(group.classes.tolist())}
    pairs: dict[tuple[Group, Group], list[tuple[int, int]]] = defaultdict(list)
    for source, target in carries.T.tolist():
        if source in place and target in place and source != target:
            pairs[place[target][0], place[source][0]].append((place[source][1], place[target][1]))
    found: dict[Group, list[tuple[Group, Tensor, Tensor]]] = defaultdict(list)
    for (into, out_of), between in pairs.items():
        source, target = torch.tensor(between).unbind(1)
        found[into].append((out_of, source, target))
    return dict(found)


def arrived(into: Arrivals, group: Group, values: Mapping[Group, Tensor], like: Tensor) -> Tensor:
    """What shortcuts carry into each channel of a group, (width,): the values where they start, else -inf."""
    found = torch.full_like(like, -torch.inf)
    for before, source, target in into.get(group, ()):
        if before in values:
            there = target.to(like.device)
            found[there] = torch.maximum(found[there], values[before][source.to(like.device)].to(like))
    return found


def together(group: Group, count: int, rank: Tensor, chosen: Mapping[Group, Tensor], into: Arrivals) -> Tensor:
    """The best `count` channels of a group by rank, (width,), or more where more of them are carried into it."""
    carried = arrived(into, group, chosen, rank) > 0
    least = group.at_least(int(carried.sum())) if group.multiple > 1 else int(carried.sum())
    return group.best(rank.masked_fill(carried, torch.inf), max(count, least)) | carried
