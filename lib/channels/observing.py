"""Where a network can be looked at: its blocks, the ends of its stages, and what its classifier reads.

A block ends with a sum of two values that both have channels (and the activation behind it), or with a concatenation; of
sums of sums, and concatenations of such, the last counts. A network without any has a block for each activation. A stage ends
with the last block of each image size.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from torch import fx

from lib.channels.description import Description
from lib.channels.proxies import ENDS
from lib.channels.steps import Concat, Elementwise, Join, Layer, Step, Value

Side = Literal["input", "output"]
POINT = "tap_"  # begins the names of a compact network's modules that pass on what a tap of the dense one shows
IMAGE_DIMS, VECTOR_DIMS = 4, 2


class Tap(NamedTuple):
    """A side of a module, by name. call: which one of a forward pass, where a module is called several times; from 0."""

    module: str
    side: Side
    call: int = 0


def observable(description: Description) -> Mapping[str, Tap | None]:
    """stage1, stage2, ...; block1, block2, ...; penultimate: by name what shows it, None where functions hide it."""
    return {name: tap for name, (_, tap) in points(description).items()}


def points(description: Description) -> Mapping[str, tuple[Value, Tap | None]]:
    """The same with the values that are seen there."""
    blocks = _blocks(description.steps)
    stages = {tuple(value.shape[2:]): (value, tap) for value, tap in blocks}.values()
    found = {f"stage{place}": point for place, point in enumerate(stages, 1)}
    found |= {f"block{place}": point for place, point in enumerate(blocks, 1)}
    read = _classified(description.steps)
    if read is None:
        return found
    value = read.inputs[0]
    return {**found, "penultimate": (value, _entrance(read.node) if read.node.op == "call_module" else _tap(value.node))}


def _blocks(steps: Sequence[Step]) -> list[tuple[Value, Tap | None]]:
    """The values that blocks end with, and what shows them."""
    joins = [step for step in steps if isinstance(step, Concat) or (isinstance(step, Join) and not step.product)]
    ends = [_behind(step.output, steps) for step in joins if _is_image(step.output) and not _goes_on(step, joins, steps)]
    if not ends:
        active = [step.output for step in steps if isinstance(step, Elementwise) and step.activation]
        ends = [value for value in active if _is_image(value) and value.shape[2:].numel() > 1]
    return [(value, _tap(value.node)) for value in dict.fromkeys(ends)]


def _goes_on(join: Step, joins: Sequence[Step], steps: Sequence[Step]) -> bool:
    """Whether nothing reads a sum but other sums, or a concatenation but others."""
    readers = [step for step in steps if join.output in step.inputs]
    return bool(readers) and all(step in joins and type(step) is type(join) for step in readers)


def _behind(value: Value, steps: Sequence[Step]) -> Value:
    """The activation behind a value that nothing else reads; else the value."""
    readers = [step for step in steps if value in step.inputs]
    alone = readers[0] if len(readers) == 1 else None
    return alone.output if isinstance(alone, Elementwise) and alone.activation else value


def _classified(steps: Sequence[Step]) -> Layer | None:
    """The first layer behind the last one that writes maps; the last layer where there is none."""
    layers = [step for step in steps if isinstance(step, Layer)]
    maps = [place for place, step in enumerate(layers) if len(step.output.shape) != VECTOR_DIMS]
    behind = layers[maps[-1] + 1 :] if maps else layers
    return behind[0] if behind else layers[-1] if layers else None


def _is_image(value: Value) -> bool:
    return value.axis == 1 and len(value.shape) == IMAGE_DIMS


def _tap(node: fx.Node) -> Tap | None:
    """The outermost module whose output a node is, or one that reads it."""
    modules = node.meta.get(ENDS)
    if modules:
        name, call = modules[-1]
        return Tap(name, "output", call)
    return next((_entrance(user) for user in node.users if user.op == "call_module" and user.args[:1] == (node,)), None)


def _entrance(node: fx.Node) -> Tap:
    """What shows the first input of a module's call: the innermost of the modules that end with it."""
    name, call = node.meta[ENDS][0]
    return Tap(name, "input", call)
