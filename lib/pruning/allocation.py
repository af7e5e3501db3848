"""One ranking of all channels: the best of them stay, wherever they are."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from lib.pruning.carrying import Arrivals, arrived, together
from lib.pruning.groups import Group


def normalised(rank: Tensor) -> Tensor:
    """Ranks (n,) over their Euclidean norm; filters that may not come back are at -inf and do not count."""
    finite = torch.where(rank.isfinite(), rank, 0.0)
    length: Tensor = torch.linalg.vector_norm(finite)
    return rank / length.clamp_min(1e-12)


def ranked(groups: Sequence[Group], into: Arrivals, values: Mapping[Group, Tensor]) -> dict[Group, Tensor]:
    """Values of channels, (width,) by group -> ranks: infinite for what must stay.

    What a shortcut carries ranks at least as high where it arrives as where it starts.
    """
    ranks: dict[Group, Tensor] = {}
    for group in groups:
        rank = values[group]
        rank = torch.full_like(rank, torch.inf) if group.keep_ratio is None else group.evened(rank)
        rank = rank.masked_fill(group.best(rank, group.runs), torch.inf)  # every layer, and every run, keeps its best
        ranks[group] = torch.maximum(rank, arrived(into, group, ranks, rank))
    return ranks


def everywhere(groups: Sequence[Group], into: Arrivals, ranks: Mapping[Group, Tensor], filters: int) -> dict[Group, Tensor]:
    """The `filters` best of all channels of the groups that may lose some, a bool (width,) by group.

    A channel of a shared mask is one filter of each of its layers.
    """
    pool = [group for group in reversed(groups) if group.keep_ratio is not None]  # of equals, the later one stays
    kept = {group: rank.isposinf() for group, rank in ranks.items()}
    if not pool:
        return kept
    flat = torch.cat([ranks[group] for group in pool])
    weights = torch.cat([torch.full_like(ranks[group], len(group.layers)) for group in pool])
    order = flat.argsort(descending=True, stable=True)
    fits = weights[order].long().cumsum(0) <= filters
    chosen = torch.zeros_like(fits).scatter_(0, order, fits) | flat.isposinf()
    parts = chosen.split([group.width for group in pool])
    kept |= {group: _even(group, part, ranks[group]) for group, part in zip(pool, parts, strict=True)}
    kept = {group: mask & ~ranks[group].isneginf() for group, mask in kept.items()}  # dropped for good, though there were room
    return fitted(groups, into, ranks, kept)


def fitted(
    groups: Sequence[Group], into: Arrivals, ranks: Mapping[Group, Tensor], kept: Mapping[Group, Tensor]
) -> dict[Group, Tensor]:
    """The same masks, but of as many channels as may stay in each group, its best by rank."""
    found = dict(kept)
    for group in groups:  # a shortcut carries from an earlier one into a later one
        if group in kept and (group.multiple > 1 or group.runs > 1):
            alive = int(ranks[group].isneginf().logical_not().sum())
            found[group] = together(group, group.nearest(int(kept[group].sum()), alive), ranks[group], found, into)
    return found


def _even(group: Group, chosen: Tensor, rank: Tensor) -> Tensor:
    """Equally many of every run, where the ranking cut through channels of one rank."""
    return chosen if group.runs == 1 else group.best(rank, int(chosen.sum())) | rank.isposinf()
