"""How many channels every value has in a compact network, as a function of how many each group keeps.

Linear: a constant, and for each group a share of what it keeps. Found by looking at which channels vanish when a group loses
all. Exact where a value holds all channels of a group, or as many of each; where it holds some of them, as of a layer whose
halves go different ways, or needs two groups at once, as a product of two layers that choose alone, it is a mean.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lib.channels.flow import presence
from lib.channels.steps import Depthwise, Join, Layer, Step, Value
from lib.networks.network import Network
from lib.pruning.carrying import Arrivals
from lib.pruning.groups import Group


@dataclass(frozen=True)
class Width:
    """constant + the sum of shares x what groups keep; shares: pairs of a group's place and its share."""

    constant: float
    shares: tuple[tuple[int, float], ...] = ()

    def __call__(self, counts: Sequence[int]) -> float:
        """Channels, for what each group keeps."""
        total = self.constant
        for group, share in self.shares:
            total += share * counts[group]
        return total


def widths(network: Network, groups: Sequence[Group], into: Arrivals, *, coupled: bool) -> dict[Value, Width]:
    """The width of every value that has channels; groups: those that may lose some."""
    steps = network.description.steps
    whole = presence(steps, {}, torch.empty(0), whole_sums=not coupled)
    owned: dict[Value, list[Tensor]] = {value: [] for value in whole}
    for group in groups:
        # What a shortcut carries into a group is there while it is there where it starts: take it away first.
        earlier = _before(group, into, {group})
        most, least = (
            presence(steps, _without(network, gone), torch.empty(0), whole_sums=not coupled)
            for gone in (earlier, [*earlier, group])
        )
        for value, mine in owned.items():
            mine.append(most[value] - least[value])
    return {value: _width(len(whole[value]), torch.stack(mine) if mine else None, groups) for value, mine in owned.items()}


def in_streams(steps: Sequence[Step]) -> set[str]:
    """The layers whose channels are added to a stream, with nothing but operations without weights in between."""
    origins: dict[Value, frozenset[str]] = {}
    found: set[str] = set()
    for step in steps:
        if isinstance(step, Layer | Depthwise):
            origins[step.output] = frozenset({step.name})
            continue
        before = frozenset[str]().union(*(origins.get(value, frozenset()) for value in step.inputs))
        origins[step.output] = before
        if isinstance(step, Join) and not step.product:
            found |= before
            origins[step.output] = frozenset()
    return found


def _width(width: int, owned: Tensor | None, groups: Sequence[Group]) -> Width:
    """owned: (groups, width), 1 where a channel vanishes with a group."""
    if owned is None or not bool(owned.any()):
        return Width(float(width))
    numbers = (owned / owned.sum(0).clamp_min(1.0)).double().sum(1).tolist()  # a channel of two groups is half of each
    shares = tuple((place, number / groups[place].width) for place, number in enumerate(numbers) if number)
    return Width(width - sum(numbers), shares)


def _before(group: Group, into: Arrivals, known: set[Group]) -> list[Group]:
    """All groups from which shortcuts carry something into a group, however many lie between; known: those met so far."""
    found: list[Group] = []
    for source, _, _ in into.get(group, ()):
        if source not in known:
            known.add(source)
            found += [source, *_before(source, into, known)]
    return found


def _without(network: Network, groups: Sequence[Group]) -> Mapping[str, Tensor]:
    """Masks of a network without the channels of some groups."""
    found: dict[str, Tensor] = {}
    for group in groups:
        for name, places in group.places.items():
            mask = found.setdefault(name, torch.ones(network.description.layers[name].width))
            mask[places >= 0] = 0.0
    return found
