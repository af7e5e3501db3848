"""From the graph of a traced network to its steps: each node is followed by the rule of its kind.

Data movement (views, transpositions, chunks, padding) is run on the channels' positions themselves, with the network's own
operations, so no pattern is looked for: what comes out says which channel stands where. What no rule knows is a barrier: its
channels, and those it reads, stay.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from lib.channels.proxies import seen
from lib.channels.steps import Barrier, Nothing, Output, Source, Step, Value
from lib.channels.tracing import is_constant

IMAGES_OR_VECTORS = (2, 4)  # dimensions of which the second is that of the channels

Rule = Callable[["Reader", "Call"], Any]  # the value, or values, that a node gives; None where the rule does not fit


@dataclass(frozen=True)
class Call:
    """A node with what it works on. name: of the function or method, empty for a module; module: the one called."""

    node: fx.Node
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    values: tuple[Value, ...]
    name: str
    module: nn.Module | None

    @property
    def gave(self) -> Any:
        """The tensor (device meta), or tensors, that it gave."""
        return seen(self.node)

    def argument(self, place: int, name: str, otherwise: Any = None) -> Any:
        """An argument by place or by name."""
        return self.args[place] if len(self.args) > place else self.kwargs.get(name, otherwise)


@dataclass
class Reader:
    """What was found so far. joined: pairs of numbers that are one; carried: pairs (from, to) of which the second stays where
    the first does; segments: numbers of which equally many must stay in so many runs; locked: numbers that stay, with reasons.
    """

    outline: nn.Module
    rules: Iterable[Rule]
    steps: list[Step] = field(default_factory=list)
    known: dict[fx.Node, Any] = field(default_factory=dict)
    joined: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    carried: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    segments: list[tuple[Tensor, int]] = field(default_factory=list)
    locked: list[tuple[Tensor, str]] = field(default_factory=list)
    count: int = 0

    def read(self, graph: fx.Graph) -> None:
        """Follow every node."""
        for node in graph.nodes:
            self.known[node] = self._follow(node)

    def fresh(self, width: int) -> Tensor:
        """So many new numbers."""
        self.count += width
        return torch.arange(self.count - width, self.count)

    def lock(self, values: Iterable[Value], reason: str) -> None:
        """Their channels stay."""
        for value in values:
            whole = self.whole(value)
            if whole.axis is not None:
                self.locked.append((whole.numbers, reason))

    def zeros(self, node: fx.Node, shape: torch.Size) -> Value:
        """Zeros that forward makes, as images or vectors of channels."""
        none = torch.ones(shape[1], dtype=torch.bool)
        return self.add(Nothing(node, (), Value(node, shape, 1, self.fresh(shape[1]), padded=none)))

    def made(self, node: fx.Node, shape: torch.Size) -> Value:
        """What forward makes of sizes and numbers: made again, and whole."""
        single = len(shape) in IMAGES_OR_VECTORS and shape[1] == 1  # for all channels
        return self.add(Barrier(node, (), Value(node, shape, 1, self.fresh(1)) if single else Value(node, shape)))

    def add(self, step: Step) -> Value:
        """Note a step; its output."""
        self.steps.append(step)
        return step.output

    def whole(self, value: Value) -> Value:
        """The value, computed whole where its channels lie along several axes: by the network's own views."""
        if not value.is_spread:
            return value
        assert value.origin is not None
        node, known = value.node, [self.known[one] for one in value.node.all_input_nodes]
        # What it views, and what tells the shape.
        before, *beside = (self.whole(one) for one in known if isinstance(one, Value))
        self.lock([before], f"{node} spreads channels over several axes")
        several = self.known[node]
        if isinstance(several, Value):
            made = Value(node, value.shape)
            self.steps.append(Barrier(node, (before, *beside), made))
            self.known[node] = made
            return made
        parts = {part: Value(node, part.shape) for part in several}
        self.steps.append(Barrier(node, (before, *beside), Value(node, torch.Size(())), tuple(parts.values())))
        self.known[node] = list(parts.values())
        for one in (one for one in node.users if one in self.known):  # those that took a part of it
            part = self.known[one]
            self.known[one] = parts.get(part, part) if isinstance(part, Value) else part
        return parts[value]

    def barrier(self, call: Call, *, locks: bool = True) -> Any:
        """Compute a node whole; channels are followed behind it where its shape tells them. locks: keep all channels it reads,
        else there are zeros in their places.
        """
        kind = type(call.module).__name__ if call.module is not None else call.name
        reason = f"{kind} mixes channels or is not known ({call.node})"
        values = tuple(self.whole(value) for value in call.values)
        self.lock(values if locks else (), reason)
        gave = call.gave
        if not isinstance(gave, Tensor):
            made = pytree.tree_map(
                lambda tensor: Value(call.node, tensor.shape) if isinstance(tensor, Tensor) else tensor, gave
            )
            parts = [part for part in pytree.tree_leaves(made, is_leaf=_is_value) if isinstance(part, Value)]
            self.steps.append(Barrier(call.node, values, Value(call.node, torch.Size(())), tuple(parts)))
            return made
        axis = next((value.axis for value in values if value.axis is not None and value.shape == gave.shape), None)
        if axis is None and gave.dim() in IMAGES_OR_VECTORS:
            axis = 1
        out = Value(call.node, gave.shape)
        if axis is not None:
            out = Value(call.node, gave.shape, axis, self.fresh(gave.shape[axis]))
        self.lock([out], reason)
        return self.add(Barrier(call.node, values, out))

    def run(self, call: Call, stand_in: Callable[[Value], Tensor]) -> Any:
        """What the node gives on stand-ins for the values it works on."""

        def value(item: Any) -> Any:
            return stand_in(item) if isinstance(item, Value) else item

        args, kwargs = (pytree.tree_map(value, part, is_leaf=_is_value) for part in (call.args, call.kwargs))
        return run(call.module, call.node, args, kwargs)

    def _follow(self, node: fx.Node) -> Any:
        if node.op in ("placeholder", "get_attr"):
            return self._source(node, "the images") if node.op == "placeholder" else self._parameter(node)
        args, kwargs = arguments(node, lambda one: self.known[one])
        values = tuple(item for item in pytree.tree_leaves((args, kwargs), is_leaf=_is_value) if isinstance(item, Value))
        if node.op == "output":
            self.lock(values, "the network's output")
            self.steps.append(Output(node, tuple(map(self.whole, values)), Value(node, torch.Size(()))))
            return None
        gave = seen(node)
        if not values and isinstance(gave, Tensor):
            zeros = getattr(node.target, "__name__", "") == "zeros" and is_of_images(gave.shape)
            return self.zeros(node, gave.shape) if zeros else self.made(node, gave.shape)
        if not values or not any(isinstance(item, Tensor) for item in pytree.tree_leaves(gave)):
            return gave  # a number, a shape: the pass decides it
        module = self.outline.get_submodule(str(node.target)) if node.op == "call_module" else None
        name = "" if module is not None else getattr(node.target, "__name__", str(node.target))
        call = Call(node, args, kwargs, values, name, module)
        for rule in self.rules:
            found = rule(self, call)
            if found is not None:
                return found
        return self.barrier(call)

    def _source(self, node: fx.Node, reason: str) -> Value:
        shape = seen(node).shape
        value = Value(node, shape, 1, self.fresh(shape[1]))
        self.lock([value], reason)
        return self.add(Source(node, (), value))

    def _parameter(self, node: fx.Node) -> Any:
        """A parameter is followed where it has one value a channel; another is a constant."""
        tensor = seen(node)
        if not isinstance(tensor, Tensor):
            return tensor
        if is_constant(self.outline, node) and is_of_images(tensor.shape) and not bool(tensor.any()):
            return self.zeros(node, tensor.shape)
        wide = [axis for axis in range(tensor.dim()) if tensor.shape[axis] > 1]
        value = Value(node, tensor.shape)
        if len(wide) == 1:
            value = Value(node, tensor.shape, wide[0], self.fresh(tensor.shape[wide[0]]))
        return self.add(Source(node, (), value))


def is_of_images(shape: torch.Size) -> bool:
    """Whether a shape is that of an image or a vector for each image, of which one is traced."""
    return len(shape) in IMAGES_OR_VECTORS and shape[0] == 1


def arguments(node: fx.Node, value: Callable[[fx.Node], Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A node's arguments with something else in the place of nodes."""
    args: Any = fx.node.map_arg(node.args, value)
    kwargs: Any = fx.node.map_arg(node.kwargs, value)
    return args, dict(kwargs)


def run(module: nn.Module | None, node: fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What a node gives on arguments; module: the one that it calls."""
    if module is not None:
        return module.forward(*args, **kwargs)
    if node.op == "call_method":
        return getattr(args[0], str(node.target))(*args[1:], **kwargs)
    assert callable(node.target)
    return node.target(*args, **kwargs)


def _is_value(item: Any) -> bool:
    return isinstance(item, Value)
