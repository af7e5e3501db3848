"""What a network costs as a function of how many channels each group keeps: MACs, parameters, or milliseconds.

A sum over layers, each of which depends on the channels that it reads and those that it writes. In scatter mode MACs and
parameters are those of the compact network; for the time a layer that adds to a stream writes all of its channels, since the
form that ships writes zero rows there (`lib.compaction.shipping`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from lib.channels.steps import Depthwise, Layer, Scale, Source, Value
from lib.cost.latency_table import LatencyTable, Milliseconds
from lib.cost.layer_shapes import layer_shapes
from lib.cost.macs import count, shares_of_calls
from lib.networks.network import Network
from lib.pruning.carrying import Arrivals
from lib.pruning.groups import Group
from lib.pruning.layers import Budgeted
from lib.pruning.widths import Width, in_streams, widths

NOTHING = Width(0.0)


@dataclass(frozen=True)
class Term:
    """One part of a cost. cost: of the channels that it reads and those that it writes."""

    reads: Width
    writes: Width
    cost: Callable[[float, float], float]

    def __call__(self, counts: Sequence[int]) -> float:
        """The cost, for what each group keeps."""
        return self.cost(self.reads(counts), self.writes(counts))

    @property
    def groups(self) -> set[int]:
        """Those that it depends on."""
        return {group for width in (self.reads, self.writes) for group, _ in width.shares}


@dataclass(frozen=True)
class Cost:
    """rest: what no group changes."""

    rest: float
    terms: tuple[Term, ...]

    def __call__(self, counts: Sequence[int]) -> float:
        """The cost of the network, for what each group keeps."""
        return self.rest + sum(term(counts) for term in self.terms)


def cost_of(
    network: Network, groups: Sequence[Group], into: Arrivals, budget: Budgeted, table: LatencyTable | None, *, coupled: bool
) -> Cost:
    """The cost of a network in the terms of a budget; groups: those that may lose channels; table: for the latency.

    Raises ValueError where the table has no times for one of the layers.
    """
    wide = widths(network, groups, into, coupled=coupled)
    if table is not None:
        terms = list(_times(network, wide, table, coupled=coupled))
        return Cost(sum(term(()) for term in terms if not term.groups), tuple(term for term in terms if term.groups))
    if budget == "macs":
        macs = count(network, network.architecture.shape).macs
        terms, total = list(_macs(network, wide, macs)), sum(macs.values())
    else:
        sizes = {name: parameter.numel() for name, parameter in network.named_parameters()}
        terms, total = list(_parameters(network, wide, sizes)), sum(sizes.values())
    whole = [group.width for group in groups]
    changing = tuple(term for term in terms if term.groups)
    return Cost(total - sum(term(whole) for term in changing), changing)


def _macs(network: Network, wide: Mapping[Value, Width], macs: Mapping[str, int]) -> Iterator[Term]:
    """Of convolutions and linear layers."""
    share = shares_of_calls(network.description)
    for step in network.description.steps:
        if isinstance(step, Layer):
            dense = step.inputs[0].width * step.output.width
            yield Term(wide[step.inputs[0]], wide[step.output], _product(macs[step.name] * share[step] / dense))
        elif isinstance(step, Depthwise):
            yield Term(NOTHING, wide[step.output], _multiple(macs[step.name] * share[step] / step.output.width))


def _parameters(network: Network, wide: Mapping[Value, Width], sizes: Mapping[str, int]) -> Iterator[Term]:
    """Of layers, of batch norms and PReLUs, and of what has one value a channel; once, however often they are called."""
    for step in network.description.once:
        width = step.output.width
        if isinstance(step, Layer):
            dense = step.inputs[0].width * width
            yield Term(wide[step.inputs[0]], wide[step.output], _product(sizes[f"{step.name}.weight"] / dense))
            yield Term(NOTHING, wide[step.output], _multiple(sizes.get(f"{step.name}.bias", 0) / width))
        elif isinstance(step, Depthwise):
            size = sizes[f"{step.name}.weight"] + sizes.get(f"{step.name}.bias", 0)
            yield Term(NOTHING, wide[step.output], _multiple(size / width))
        elif isinstance(step, Scale):
            size = sum(sizes.get(path, 0) for path in step.tensors)
            yield Term(NOTHING, wide[step.output], _multiple(size / width))
        elif isinstance(step, Source) and step.output in wide and str(step.node.target) in sizes:
            yield Term(NOTHING, wide[step.output], _multiple(sizes[str(step.node.target)] / width))


def _times(network: Network, wide: Mapping[Value, Width], table: LatencyTable, *, coupled: bool) -> Iterator[Term]:
    """Of convolutions and linear layers, by the table."""
    shapes, steps = layer_shapes(network), network.description.steps
    full = set() if coupled else in_streams(steps)
    for step in steps:
        if isinstance(step, Layer | Depthwise):
            writes = Width(float(step.output.width)) if step.name in full else wide[step.output]
            reads = wide[step.inputs[0]] if isinstance(step, Layer) else NOTHING
            yield Term(reads, writes, _remembered(table.times(step.name, shapes[step])))


def _product(factor: float) -> Callable[[float, float], float]:
    return lambda reads, writes: factor * reads * writes


def _multiple(factor: float) -> Callable[[float, float], float]:
    return lambda _, writes: factor * writes


def _remembered(times: Milliseconds) -> Milliseconds:
    """The knapsack asks for the same widths again and again."""
    return lru_cache(maxsize=None)(times)
