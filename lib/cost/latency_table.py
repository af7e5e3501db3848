"""A table of measured times of a network's layers by how many channels they read and write, and of some whole networks.

Shen, Yin, Molchanov, Mao, Liu, Alvarez, "HALP: Hardware-Aware Latency Pruning", 2021,
https://arxiv.org/abs/2110.10811, looks times up in such a table.
Departs: whole networks were timed too, which the table itself chose, and a line through them leads from the sum over layers to
the time of a network: additions, pooling and cold caches are no layer's, and a choice profits from the errors of its table.
Times between the grid's points are interpolated.
"""

import json
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from lib.cost.layer_shapes import LayerShape
from lib.networks.architecture import Mode
from lib.params.bounds import Name
from lib.params.dialect import ParamsError
from lib.params.section import section, validated

CURE = "write it anew with: python -m tools.latency_table"
Positive = Annotated[float, Field(gt=0.0)]
Rising = Annotated[tuple[Annotated[int, Field(ge=1, le=1_000_000)], ...], Field(min_length=1)]
Milliseconds = Callable[[float, float], float]


@dataclass(frozen=True)
class Curve:
    """From a cost to the share of the dense network's and back; costs, shares: rising, from 0 to the dense network's."""

    costs: tuple[float, ...]
    shares: tuple[float, ...]

    @classmethod
    def through(cls, points: Iterable[tuple[float, float]]) -> "Curve":
        """Straight lines through zero and points of a cost and what it comes to, the dense network's last."""
        costs, amounts = zip((0.0, 0.0), *points, strict=True)
        return cls(costs, tuple(amount / amounts[-1] for amount in amounts))

    def share(self, cost: float) -> float:
        """Of the dense network's."""
        return float(np.interp(cost, self.costs, self.shares))

    def cost(self, share: float) -> float:
        """What may be spent."""
        return float(np.interp(share, self.shares, self.costs))


@section
class LayerTimes:
    """inputs, outputs: the grid. ms: median times, a row for each number of inputs."""

    inputs: Rising
    outputs: Rising
    ms: tuple[tuple[Positive, ...], ...]

    def __post_init__(self) -> None:
        """One time for each point, and points in order."""
        if [len(row) for row in self.ms] != [len(self.outputs)] * len(self.inputs):
            msg = f"ms must be {len(self.inputs)} rows of {len(self.outputs)} times"
            raise ValueError(msg)
        if any(list(axis) != sorted(set(axis)) for axis in (self.inputs, self.outputs)):
            msg = "inputs and outputs must rise"
            raise ValueError(msg)

    def __call__(self, reads: float, writes: float) -> float:
        """Milliseconds, between the points by interpolation; below the first as there."""
        row, along = _place(self.inputs, reads)
        column, across = _place(self.outputs, writes)
        upper, lower = (_between(self.ms[one], column, across) for one in (row, min(row + 1, len(self.inputs) - 1)))
        return upper + along * (lower - upper)


@section
class Whole:
    """A whole network of a mode of compaction. sum_ms: of its layers by the table. ms: measured, median."""

    mode: Mode
    sum_ms: Positive
    ms: Positive


@section
class LatencyTable:
    """network, size: measured, for images of so many pixels (height, width). batch: images at once. threads: of the runtime.
    machine: what it was measured on. idle_ms: of a call that does nothing, taken off each layer's time. whole: the dense
    network, and some that the table chose. layers: by shape.
    """

    network: str
    size: tuple[int, int]
    batch: Annotated[int, Field(ge=1)]
    threads: Annotated[int, Field(ge=1)]
    machine: Mapping[Name, str]
    idle_ms: Annotated[float, Field(ge=0.0)]
    whole: tuple[Whole, ...]
    layers: Mapping[str, LayerTimes]

    def curve(self, mode: Mode, dense_ms: float) -> "Curve":
        """From sums of layers to shares of the dense network's time; dense_ms: its sum."""
        whole = [one for one in self.whole if one.mode == mode]
        # In order, both by itself: noise must not let a smaller sum take longer.
        sums, times = (sorted(column) for column in ([one.sum_ms for one in whole], [one.ms for one in whole]))
        pairs = zip(sums, times, strict=True) if whole else [(dense_ms, dense_ms)]
        return Curve.through(pairs)

    def times(self, name: str, shape: LayerShape) -> Milliseconds:
        """The times of a layer. Raises ValueError where it was not measured."""
        if (found := self.layers.get(str(shape))) is None:
            msg = f"the table of {self.network} has no times for {name} ({shape}); measure this network: {CURE}"
            raise ValueError(msg)
        return found


def parsed(content: bytes, place: str) -> LatencyTable:
    """A table from its file's content; place: the file, for messages. Raises ValueError, with the cure, for what is none."""
    try:
        plain = json.loads(content)
    except (ValueError, RecursionError) as error:
        msg = f"{place} is no JSON ({error}); {CURE}"
        raise ValueError(msg) from error
    try:
        return validated(plain, LatencyTable)
    except ParamsError as error:
        msg = f"{place} is no table of layer times: {str(error).splitlines()[0]}; {CURE}"
        raise ValueError(msg) from error


def _place(axis: Sequence[int], channels: float) -> tuple[int, float]:
    """The point of an axis at or before a number of channels, and how far it is on the way to the next, 0 to 1."""
    place = min(max(bisect_right(axis, channels) - 1, 0), len(axis) - 1)
    if place == len(axis) - 1 or channels <= axis[place]:
        return place, 0.0
    return place, (channels - axis[place]) / (axis[place + 1] - axis[place])


def _between(row: Sequence[float], column: int, across: float) -> float:
    return row[column] + across * (row[column + 1] - row[column]) if across else row[column]
