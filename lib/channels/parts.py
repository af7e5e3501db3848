"""What a layer is in its network, found from the steps around it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from lib.channels.steps import Depthwise, Elementwise, Join, Layer, Move, Scale, Step, Value

Part = Literal["stem", "inner", "last", "projection"]


def parts(steps: Sequence[Step]) -> Mapping[str, Part]:
    """By layer. stem: the first. projection: a convolution on a shortcut, beside a path with an activation. inner: one that a
    single later layer reads. last: all others, such as those that add to a residual stream.
    """
    makers = {step.output: step for step in steps}
    readers = _readers(steps)
    layers = [step for step in steps if isinstance(step, Layer)]
    shortcuts = {name for step in steps if isinstance(step, Join) and not step.product for name in _projections(step, makers)}
    found: dict[str, Part] = {}
    for step in layers:
        ends = list(_ends(step.output, readers))
        alone = len(ends) == 1 and isinstance(ends[0], Layer)
        found[step.name] = "projection" if step.name in shortcuts else "inner" if alone else "last"
    if layers:
        found[layers[0].name] = "stem"
    return found


def batch_norms(steps: Sequence[Step]) -> Mapping[str, str]:
    """By layer, the batch norm that reads it, where nothing else does."""
    readers = _readers(steps)
    found: dict[str, str] = {}
    for step in steps:
        behind = readers.get(step.output, [])
        if isinstance(step, Layer) and len(behind) == 1 and isinstance(behind[0], Scale) and behind[0].is_batch_norm:
            found[step.name] = behind[0].module
    return found


def _readers(steps: Sequence[Step]) -> dict[Value, list[Step]]:
    readers: dict[Value, list[Step]] = {}
    for step in steps:
        for value in step.inputs:
            readers.setdefault(value, []).append(step)
    return readers


def _ends(value: Value, readers: Mapping[Value, list[Step]]) -> Iterator[Step]:
    """What reads a value, beyond steps that go channel by channel and leave each where it was."""
    for step in readers.get(value, []):
        if isinstance(step, Scale | Elementwise | Move | Depthwise):
            yield from _ends(step.output, readers)
        else:
            yield step


def _projections(join: Join, makers: Mapping[Value, Step]) -> Iterator[str]:
    """Layers that write one side of a sum without an activation, from a value from which the other side has one."""
    for side, other in (join.inputs, join.inputs[::-1]):
        step = makers[side]
        while isinstance(step, Scale | Elementwise) and not (isinstance(step, Elementwise) and step.activation):
            step = makers[step.inputs[0]]
        if isinstance(step, Layer) and _activated(other, step.inputs[0], makers):
            yield step.name


def _activated(value: Value, start: Value, makers: Mapping[Value, Step]) -> bool:
    """Whether a path leads from `start` to `value` with an activation on it."""
    left, known = [(value, False)], {(value, False)}
    while left:
        at, active = left.pop()
        if at is start:
            if active:
                return True
            continue
        step = makers[at]
        now = active or (isinstance(step, Elementwise) and step.activation)
        for before in step.inputs:
            if (before, now) not in known:
                known.add((before, now))
                left.append((before, now))
    return False
