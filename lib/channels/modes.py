"""Whether a network does in training what its graph, which is of eval mode, tells."""

import inspect
from typing import Any

from torch import fx, nn

from lib.channels.tracing import trace

Told = tuple[str, Any, dict[str, str], bool | None]


def trains_otherwise(outline: nn.Module, shape: tuple[int, int, int]) -> bool:
    """Whether a network on device meta does more or less in training than its modules, and the arguments called `training`, do
    by themselves; whether it sets its mode in a way of its own.
    """
    if any(type(part).train is not nn.Module.train for part in outline.modules()):
        return True
    try:
        still, training = (_told(trace(outline.train(mode), shape)) for mode in (False, True))
    except ValueError:
        return True
    finally:
        outline.eval()
    return len(still) != len(training) or not all(map(_alike, still, training))


def _told(graph: fx.Graph) -> list[Told]:
    """Each operation: what it calls, with which arguments by name, and whether it is told to train; None where it is not."""
    places = {node: place for place, node in enumerate(graph.nodes)}
    found: list[Told] = []
    for node in graph.nodes:
        args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda one: f"%{places[one]}")
        names: list[str] = []
        if node.op == "call_function" and inspect.isfunction(node.target):
            names = list(inspect.signature(node.target).parameters)
        named = {names[place] if place < len(names) else str(place): arg for place, arg in enumerate(args)} | kwargs
        mode = named.pop("training", True) if "training" in names else None
        found.append((node.op, node.target, {name: repr(arg) for name, arg in named.items()}, mode))
    return found


def _alike(still: Told, training: Told) -> bool:
    """Whether an operation is the same in both modes but for following the mode."""
    return still[:3] == training[:3] and (still[3], training[3]) in ((None, None), (False, True), (True, True))
