"""The channel graph of a network in the order of its computation: spaces of channels, and the layers between them.

A space is all channels that the same layers write. A layer reads some spaces and writes one, seldom more.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch

from lib.channels.description import Description
from lib.channels.operations import called
from lib.channels.parts import batch_norms, parts
from lib.channels.steps import Barrier, Depthwise, Layer, Source, Step, Value

IMAGES = "images"


@dataclass
class Space:
    """writers: the layers that write it, or what else it comes from. reason: why it stays whole, None where it need not.

    first, last: the rows where it is written first and read last; -1 for the images.
    """

    number: int
    writers: tuple[str, ...]
    reason: str | None = None
    channels: int = 0
    first: int = -1
    last: int = -1


@dataclass
class Row:
    """One layer. kind: conv, depthwise, linear, or the name of an operation that mixes channels. segments: runs of channels
    of which equally many must stay. reads, writes: numbers of spaces.
    """

    name: str
    kind: str
    filters: int
    part: str
    batch_norm: str | None
    segments: int
    reason: str | None
    reads: tuple[int, ...]
    writes: tuple[int, ...]


@dataclass
class Chart:
    """carries: pairs of spaces, from and to, between which a shortcut carries channels."""

    rows: list[Row] = field(default_factory=list)
    spaces: list[Space] = field(default_factory=list)
    carries: list[tuple[int, int]] = field(default_factory=list)


def chart(description: Description) -> Chart:
    """The graph of a traced network."""
    own = _writers(description)
    found, numbers = Chart(), {}
    for writers in own.values():
        if writers not in numbers:
            numbers[writers] = len(found.spaces)
            found.spaces.append(Space(len(found.spaces), writers, _reason(description, writers)))
        found.spaces[numbers[writers]].channels += 1
    place = {channel: numbers[writers] for channel, writers in own.items()}
    kinds, norms = parts(description.steps), batch_norms(description.steps)
    for step in description.once:
        if isinstance(step, Layer | Depthwise) or _mixes(step):
            reads, writes = (_spaces(values, description, place) for values in (step.inputs, _outputs(step)))
            for number in (*reads, *writes):
                space = found.spaces[number]
                space.first = len(found.rows) if number in writes and space.first < 0 else space.first
                space.last = len(found.rows)
            name = step.name if isinstance(step, Layer | Depthwise) else str(step.node)
            norm, segments = norms.get(name), _segments(description, step)
            part = kinds[name] if name in description.layers else ""
            reason = description.locked.get(name)
            found.rows.append(Row(name, _kind(step), step.output.width, part, norm, segments, reason, reads, writes))
    pairs = ((place.get(source), place.get(target)) for source, target in description.carries.T.tolist())
    found.carries = list(dict.fromkeys((one, other) for one, other in pairs if one is not None and other is not None))
    for source, target in found.carries:  # where it is added
        found.spaces[source].last = max(found.spaces[source].last, found.spaces[target].first)
    return found


def _writers(description: Description) -> dict[int, tuple[str, ...]]:
    """Of every class, in the order of computation, what writes it."""
    found: dict[int, list[str]] = {}
    for step in description.steps:
        for value in _outputs(step):
            for channel in dict.fromkeys(description.classes[value.numbers].tolist()):
                name = _source(step)
                if name is not None and name not in found.setdefault(channel, []):
                    found[channel].append(name)
    return {channel: tuple(names) for channel, names in found.items() if names}


def _source(step: Step) -> str | None:
    """What a step is called where it makes channels of its own."""
    if isinstance(step, Layer):
        return step.name
    if isinstance(step, Source):
        return IMAGES if step.node.op == "placeholder" else None
    return str(step.node) if isinstance(step, Barrier) else None


def _outputs(step: Step) -> tuple[Value, ...]:
    values = (step.output, *step.parts) if isinstance(step, Barrier) else (step.output,)
    return tuple(value for value in values if value.axis is not None)


def _spaces(values: Iterable[Value], description: Description, place: dict[int, int]) -> tuple[int, ...]:
    numbers = [value.numbers for value in values if value.axis is not None]
    channels = description.classes[torch.cat(numbers)].tolist() if numbers else []
    return tuple(sorted({place[channel] for channel in channels if channel in place}))


def _mixes(step: Step) -> bool:
    """Whether a step is an operation that is not known, with channels before and behind it."""
    return isinstance(step, Barrier) and bool(_outputs(step)) and any(value.axis is not None for value in step.inputs)


def _kind(step: Step) -> str:
    if isinstance(step, Depthwise):
        return "depthwise"
    if isinstance(step, Layer):
        name = "conv" if len(step.output.shape) == 4 and step.output.axis == 1 else "linear"
        return f"{name}, {step.groups} groups" if step.groups > 1 else name
    return called(step.node)


def _segments(description: Description, step: Step) -> int:
    if not isinstance(step, Layer) or step.name not in description.layers:
        return 1
    return len(description.segments[description.layers[step.name].classes].unique())


def _reason(description: Description, writers: Sequence[str]) -> str | None:
    locked = next((description.locked[name] for name in writers if name in description.locked), None)
    return locked if locked or all(name in description.layers for name in writers) else "no layer writes it"
