"""Where a network can be looked at: its blocks, the ends of its stages, and what its classifier reads.

A block ends with a sum of two values that both have channels (and the activation behind it), or with a concatenation. A
network without any has a block for each activation. A stage ends with the last block of each image size.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

from torch import fx

from lib.channels.description import Description
from lib.channels.steps import Concat, Elementwise, Join, Layer, Step, Value
from lib.channels.tracing import ENDS

Side = Literal["input", "output"]
Tap = tuple[str, Side]  # of a module, by name
POINT = "tap_"  # begins the names of a compact network's modules that pass on what a tap of the dense one shows
IMAGE_DIMS, VECTOR_DIMS = 4, 2


def observable(description: Description) -> Mapping[str, Tap]:
    """stage1, stage2, ...; block1, block2, ...; penultimate: by name the module whose input or output it is."""
    return {name: tap for name, (_, tap) in points(description).items()}


def points(description: Description) -> Mapping[str, tuple[Value, Tap]]:
    """The same with the values that are seen there."""
    blocks = _blocks(description.steps)
    stages = {tuple(value.shape[2:]): (value, tap) for value, tap in blocks}.values()
    found = {f"stage{place}": point for place, point in enumerate(stages, 1)}
    found |= {f"block{place}": point for place, point in enumerate(blocks, 1)}
    read = _classified(description.steps)
    return found if read is None else {**found, "penultimate": (read.inputs[0], (read.name, "input"))}


def _blocks(steps: Sequence[Step]) -> list[tuple[Value, Tap]]:
    """The values that blocks end with, where a module shows them."""
    joins = [step.output for step in steps if isinstance(step, Concat) or (isinstance(step, Join) and not step.product)]
    ends = [_behind(value, steps) for value in joins if _is_image(value)]
    if not ends:
        active = [step.output for step in steps if isinstance(step, Elementwise) and step.activation]
        ends = [value for value in active if _is_image(value) and value.shape[2:].numel() > 1]
    taps = [(value, _tap(value.node)) for value in dict.fromkeys(ends)]
    return [(value, tap) for value, tap in taps if tap is not None]


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
        return modules[-1], "output"
    for user in node.users:
        if user.op == "call_module" and user.args and user.args[0] is node:
            return str(user.target), "input"
    return None
