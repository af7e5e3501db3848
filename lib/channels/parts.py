"""What a layer is in its network, found from the steps around it."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from torch import fx

from lib.channels.steps import Barrier, Depthwise, Elementwise, Join, Layer, Move, Scale, Step, Value

Part = Literal["stem", "inner", "last", "projection"]


def parts(steps: Sequence[Step]) -> Mapping[str, Part]:
    """By layer. stem: the first. projection: a convolution on a shortcut, beside a path with an activation. inner: one that a
    single later layer reads. last: all others, such as those that add to a residual stream. One that is called several times
    is what all of its calls say, and last where they do not agree.
    """
    makers = {step.output: step for step in steps}
    makers |= {part: step for step in steps if isinstance(step, Barrier) for part in step.parts}
    readers = _readers(steps)
    layers = [step for step in steps if isinstance(step, Layer)]
    shortcuts = {name for step in steps if isinstance(step, Join) and not step.product for name in _projections(step, makers)}
    found: dict[str, Part] = {}
    for step in layers:
        ends = list(_ends(step.output, readers))
        alone = len(ends) == 1 and isinstance(ends[0], Layer)
        part: Part = "projection" if step.name in shortcuts else "inner" if alone else "last"
        found[step.name] = part if found.setdefault(step.name, part) == part else "last"
    if layers:
        found[layers[0].name] = "stem"
    return found


def batch_norms(steps: Sequence[Step]) -> Mapping[str, str]:
    """By layer, the batch norm that reads it, where nothing else does, and that reads nothing else."""
    readers, known = _readers(steps), calls(steps)
    found: dict[str, str] = {}
    for name, own in known.items():
        behind = [readers.get(call.output, []) for call in own]
        alone = [one[0] for one in behind if len(one) == 1]
        norms = {one.module for one in alone if isinstance(one, Scale) and one.is_batch_norm}
        if isinstance(own[0], Layer | Depthwise) and len(norms) == 1 and len(alone) == len(own):
            (norm,) = norms
            if set(alone) == set(known[norm]):
                found[name] = norm
    return found


def calls(steps: Sequence[Step]) -> Mapping[str, tuple[Step, ...]]:
    """The steps of each convolution, linear layer, norm and PReLU, by its name: one, or several that share its weights."""
    found: dict[str, list[Step]] = {}
    for step in steps:
        if isinstance(step, Layer | Depthwise | Scale):
            found.setdefault(step.module if isinstance(step, Scale) else step.name, []).append(step)
    return {name: tuple(own) for name, own in found.items()}


def used_elsewhere(graph: fx.Graph, known: Mapping[str, Sequence[Step]]) -> frozenset[str]:
    """The layers and norms that are called, or whose parameters are read, by anything but the known calls of them."""
    own = {name: {call.node for call in steps} for name, steps in known.items()}
    found: set[str] = set()
    for node in graph.nodes:
        if node.op == "call_module" and node not in own.get(str(node.target), {node}):
            found.add(str(node.target))
        elif node.op == "get_attr":
            name = str(node.target).rpartition(".")[0]
            if not set(node.users) <= own.get(name, set(node.users)):
                found.add(name)
    return frozenset(found)


def sole_readers(steps: Sequence[Step], name: str) -> tuple[str, ...]:
    """The layers that read what one layer writes, where nothing else does, no channel is added to or changes its place, and
    none of these layers is called twice.
    """
    names = Counter(step.name for step in steps if isinstance(step, Layer))
    made = next(step.output for step in steps if isinstance(step, Layer) and step.name == name)
    readers, waiting, found = _readers(steps), [made] * (names[name] == 1), []
    while waiting:
        value = waiting.pop()
        for step in readers.get(value, []):
            if isinstance(step, Layer) and names[step.name] == step.groups == 1 and step.inputs[0].width == made.width:
                found.append(step.name)
            elif isinstance(step, Scale | Elementwise) or (isinstance(step, Move) and _stays_put(step)):
                waiting.append(step.output)
            else:
                return ()
    return tuple(found)


def _stays_put(step: Move) -> bool:
    return step.output.width == step.inputs[0].width and step.source.tolist() == list(range(step.output.width))


def written_by(steps: Sequence[Step]) -> Mapping[Value, frozenset[str]]:
    """The layers that wrote each value so far; a value that was carried into counts its source too."""
    found: dict[Value, frozenset[str]] = {}
    for step in steps:
        own = frozenset((step.name,)) if isinstance(step, Layer) else None
        found[step.output] = own or frozenset().union(*(found[value] for value in step.inputs if value in found))
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
        if isinstance(step, Layer) and _activated(other, step, makers):
            yield step.name


def _activated(value: Value, beside: Layer, makers: Mapping[Value, Step]) -> bool:
    """Whether a path with an activation on it leads to `value` from what a layer reads, and not through the layer."""
    left, known, start = [(value, False)], {(value, False), (beside.output, False), (beside.output, True)}, beside.inputs[0]
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
