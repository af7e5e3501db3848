"""The graph of a compact network while it is written: its nodes and modules, and what each node holds of a dense value.

Every operand is aligned to what its reader needs: left alone where the channels agree, a slice or a gather where they do not,
zeros where one is absent. Functions that depend on the mode, training or not, are told of it.
"""

import copy
import inspect
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx, nn

from lib.channels.aligning import Gather, Mode, Point, Zeros
from lib.channels.description import Description
from lib.channels.flow import Flow
from lib.channels.observing import POINT, points
from lib.channels.operations import called
from lib.channels.proxies import OWN, seen
from lib.channels.reading import arguments
from lib.channels.steps import ABSENT, Value

MODE = "mode"
CHANNELS, OTHERS = "channels", "others"  # axes


class Draft:
    """The graph so far. new: the nodes of values, have: the positions of the dense value that each holds.

    ships: for inference alone, so nothing can be seen on the way.
    """

    def __init__(self, module: nn.Module, description: Description, kept: Flow, *, ships: bool) -> None:
        self.module, self.description, self.flow, self.ships = module, description, kept, ships
        self.tensors: dict[str, Tensor] = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        self.graph = fx.Graph()
        self.parts: dict[str, Any] = {}
        self.new: dict[Value, fx.Node] = {}
        self.have: dict[Value, Tensor] = {}
        self.by_node: dict[fx.Node, fx.Node] = {}
        self.aligners = 0
        self.seen: dict[Value, list[str]] = {}  # the taps that show a value
        for name, (value, _) in points(description).items() if not ships else ():
            self.seen.setdefault(value, []).append(f"{POINT}{name}")

    def note(self, value: Value, node: fx.Node, have: Tensor | None = None) -> None:
        """Remember where a value is; taps see it there, before anything is aligned to a reader."""
        if value.axis is not None:
            self.have[value] = self.flow.stays(value) if have is None else have
        for name in self.seen.get(value, ()):
            self.parts[name] = Point(value.axis, self.have.get(value, torch.empty(0, dtype=torch.int64)), value.width)
            node = self.graph.call_module(name, (node,))
        self.new[value] = node

    @property
    def images(self) -> fx.Node:
        """What the network is given."""
        found: fx.Node = next(node for node in self.graph.nodes if node.op == "placeholder")
        return found

    def of_its_kind(self, constant: Tensor) -> Tensor:
        """A constant in the numbers of the network, which need not be those of the pass that was traced."""
        numbers = next((tensor.dtype for tensor in self.tensors.values() if tensor.is_floating_point()), constant.dtype)
        return constant.to(numbers) if constant.dtype == torch.float32 else constant

    def stays(self, *values: Value) -> Tensor:
        """The kept positions of a value, or of any of several."""
        return self.flow.stays(*values)

    def there(self, value: Value, positions: Tensor) -> Tensor:
        """The positions with ABSENT for channels that are zero."""
        return torch.where(self.flow.present[value][positions] > 0, positions, ABSENT)

    def align(self, value: Value, want: Tensor) -> fx.Node:
        """A node with the channels `want` of a value, positions or ABSENT for zeros."""
        if value.axis is None:
            return self.new[value]
        if value not in self.new:
            sizes = (*value.shape[: value.axis], len(want), *value.shape[value.axis + 1 :])
            return self.call(Zeros(sizes), self.images)
        have = self.have[value]
        place = torch.full((value.width + 1,), len(have))
        place[have] = torch.arange(len(have))
        index = place[want]  # ABSENT is the last place
        if torch.equal(index, torch.arange(len(have))):
            return self.new[value]
        there = (index < len(have)).nonzero().flatten()
        before, count = (int(there[0]), len(there)) if len(there) else (0, 0)
        first = int(index[before]) if count else 0
        if count and torch.equal(index[before : before + count], torch.arange(first, first + count)):
            node = self.new[value]
            if count < len(have):
                node = self.graph.call_method("narrow", (node, value.axis, first, count))
            pads = [0, 0] * (len(value.shape) - 1 - value.axis) + [before, len(index) - before - count]
            return self.graph.call_function(nn.functional.pad, (node, pads)) if any(pads) else node
        return self.call(Gather(value.axis, index, len(have)), self.new[value])

    def call(self, module: nn.Module, *inputs: fx.Node) -> fx.Node:
        """Call a module of the compact network's own."""
        name = f"aligner_{self.aligners}"
        self.aligners += 1
        self.parts[name] = module
        return self.graph.call_module(name, inputs)

    def put(self, path: str, tensor: Tensor) -> fx.Node:
        """A parameter or buffer under a path, as the network has it there; cut."""
        like = self.tensors[path]
        whole = tensor.clone()
        self.parts[path] = nn.Parameter(whole, like.requires_grad) if isinstance(like, nn.Parameter) else whole
        return self.graph.get_attr(path)

    def copied(self, node: fx.Node, replaced: Mapping[Value | fx.Node, fx.Node]) -> fx.Node:
        """The network's own operation on other operands, given by value or by node."""

        def operand(before: fx.Node) -> Any:
            value = self.description.known[before]
            here = replaced.get(before) or (replaced.get(value) if isinstance(value, Value) else None)
            return self.operand(before) if here is None else here

        args, kwargs = arguments(node, operand)
        like = partial(self._as_the_images, own=node.meta.get(OWN, False))
        args, kwargs = fx.node.map_aggregate(args, like), fx.node.map_aggregate(kwargs, like)
        if node.op == "call_module":
            path = str(node.target)
            self.parts.setdefault(path, copy.deepcopy(self.module.get_submodule(path)))
        return self.graph.create_node(node.op, node.target, *self._in_mode(node, args, kwargs))

    def _as_the_images(self, argument: Any, *, own: bool) -> Any:
        """A device is that of the images, and so is a type of numbers that was read off a tensor (own)."""
        if isinstance(argument, torch.device):
            return self.graph.call_function(getattr, (self.images, "device"))
        return self.graph.call_function(getattr, (self.images, "dtype")) if own and argument is torch.float32 else argument

    def operand(self, before: fx.Node) -> Any:
        """What a node of the network's graph is here: an emitted value, or a number, computed again where that can be done."""
        value, gave = self.description.known[before], seen(before)
        if isinstance(value, Value) and value in self.new:
            return self.new[value]
        if before in self.by_node:
            return self.by_node[before]
        if before.op == "get_attr":
            path = str(before.target)
            made = self.put(path, self.tensors[path]) if path in self.tensors else gave
        elif self._is_told(before, gave) and self._reachable(before):
            made = self.copied(before, {})
        else:
            return gave
        self.by_node[before] = made
        return made

    def _is_told(self, node: fx.Node, gave: Any) -> bool:
        """Whether a node is a number, or several, that the images decide: how many there are, or how large. How many channels
        the network has is a number of its own, which stays.
        """
        if node.op not in ("call_function", "call_method") or isinstance(gave, Tensor):
            return False
        return not isinstance(gave, int | float) or self._axes(node) != {CHANNELS}

    def _axes(self, node: fx.Node) -> set[str]:
        """What a number was computed from: the channels of a value, or other axes of it."""
        sources = node.all_input_nodes
        apart = called(node) == "getitem" and bool(sources) and called(sources[0]) in ("getattr", "size")  # x.shape[1]
        viewed = sources[0].all_input_nodes if apart else sources
        value = self.description.known[viewed[0]] if viewed else None
        if not isinstance(value, Value):
            return set().union(*map(self._axes, sources))
        place = node.args[1] if len(node.args) > 1 and (apart or called(node) == "size") else None
        if not isinstance(place, int):
            return {CHANNELS, OTHERS}
        return {CHANNELS if place % len(value.shape) == value.axis else OTHERS}

    def _reachable(self, node: fx.Node) -> bool:
        """Whether all that a number was computed from is here."""
        inputs = node.all_input_nodes
        return all(
            self.description.known[one] in self.new if isinstance(self.description.known[one], Value) else self._reachable(one)
            for one in inputs
        )

    def _in_mode(self, node: fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments, with `training` no longer that of the pass that was traced."""
        if node.op != "call_function" or not inspect.isfunction(node.target):
            return args, kwargs
        names = list(inspect.signature(node.target).parameters)
        place = names.index("training") if "training" in names else -1
        if place < 0 or (args[place] if len(args) > place else kwargs.get("training", True)) is not False:
            return args, kwargs
        self.parts[MODE] = Mode()
        mode = self.graph.call_module(MODE, ())
        if len(args) > place:
            return (*args[:place], mode, *args[place + 1 :]), kwargs
        return args, {**kwargs, "training": mode}

    def whole(self, value: Value) -> fx.Node:
        """All of its channels, zeros where one is dropped."""
        return self.align(value, self.there(value, torch.arange(value.width)) if value.axis is not None else torch.empty(0))
