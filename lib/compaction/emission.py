"""The compact network as a graph of its own: layers cut to the channels that stay, everything else as the network has it.

Every operand is aligned to what its reader needs: left alone where the channels agree, a slice or a gather where they do not,
zeros where one is absent. So the result is exact for any masks; which layers share a mask only decides how much alignment is
left. The graph runs in both modes: modules are kept as modules, and functions that depend on the mode are told of it.
"""

import copy
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn

from lib.channels.description import Description
from lib.channels.flow import Flow, flow
from lib.channels.steps import ABSENT, Barrier, Concat, Depthwise, Elementwise, Join, Layer, Move, Output, Scale, Source, Value
from lib.channels.tracing import attribute, seen
from lib.compaction import cutting
from lib.compaction.aligning import Gather, Mode, Place

MODE = "mode"
RESHAPES = ("view", "reshape", "expand", "unflatten")


def emit(module: nn.Module, description: Description, masks: Mapping[str, Tensor]) -> fx.GraphModule:
    """The compact form of a network whose layers keep what `masks` say, bool (C_out,) by layer; layers without one are whole.

    Weights are copied from `module`, which may be on device meta: then only shapes are made. Raises ValueError for a view that
    mixes channels with pixels in a way that cannot be cut.
    """
    with torch.no_grad():
        emitter = Emitter(module, description, masks)
        for step in description.steps:
            emitter.take(step)
        emitter.graph.eliminate_dead_code(lambda node: node.op in ("placeholder", "output"))
        used = {str(node.target) for node in emitter.graph.nodes if node.op in ("call_module", "get_attr")}
        parts = {name: part for name, part in emitter.parts.items() if name in used}
        small = fx.GraphModule(parts, emitter.graph, type(module).__name__)
    return small.train(module.training)


class Emitter:
    """The graph so far. new: the nodes of values, have: the positions of the dense value that each holds."""

    def __init__(self, module: nn.Module, description: Description, masks: Mapping[str, Tensor]) -> None:
        self.module, self.description = module, description
        self.tensors: dict[str, Tensor] = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        cpu = {name: mask.detach().cpu() for name, mask in masks.items()}
        self.flow: Flow = flow(description.steps, cpu)
        self.graph = fx.Graph()
        self.parts: dict[str, Any] = {}
        self.new: dict[Value, fx.Node] = {}
        self.have: dict[Value, Tensor] = {}
        self.by_node: dict[fx.Node, fx.Node] = {}
        self.aligners = 0

    def take(self, step: Any) -> None:
        """Emit one step, unless nothing of it is read."""
        if step.output.axis is not None and not isinstance(step, Source) and not len(self.flow.stays(step.output)):
            return
        emitters: dict[type, Callable[[Any], None]] = {
            Source: self._source,
            Layer: self._layer,
            Depthwise: self._layer,
            Scale: self._scale,
            Elementwise: self._elementwise,
            Join: self._join,
            Concat: self._concat,
            Move: self._move,
            Barrier: self._barrier,
            Output: self._output,
        }
        emitters[type(step)](step)

    def note(self, value: Value, node: fx.Node, have: Tensor | None = None) -> None:
        """Remember where a value is."""
        self.new[value] = node
        self.by_node.setdefault(value.node, node)
        if value.axis is not None:
            self.have[value] = self.flow.stays(value) if have is None else have

    def stays(self, value: Value) -> Tensor:
        """The kept positions of a value."""
        return self.flow.stays(value)

    def there(self, value: Value, positions: Tensor) -> Tensor:
        """The positions with ABSENT for channels that are zero."""
        return torch.where(self.flow.present[value][positions] > 0, positions, ABSENT)

    def align(self, value: Value, want: Tensor) -> fx.Node:
        """A node with the channels `want` of a value, positions or ABSENT for zeros."""
        if value.axis is None:
            return self.new[value]
        if value not in self.new:
            msg = f"{value.node} is read, but no channel of it is left; keep at least one of its filters"
            raise ValueError(msg)
        have = self.have[value]
        place = torch.full((value.width + 1,), len(have))
        place[have] = torch.arange(len(have))
        index = place[want]  # ABSENT is the last place
        if torch.equal(index, torch.arange(len(have))):
            return self.new[value]
        first, count = int(index[0]) if len(index) else 0, len(index)
        if torch.equal(index, torch.arange(first, first + count)) and first + count <= len(have):
            return self.graph.call_method("narrow", (self.new[value], value.axis, first, count))
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

    def copied(self, node: fx.Node, replaced: Mapping[fx.Node, fx.Node]) -> fx.Node:
        """The network's own operation on other operands."""

        def operand(before: fx.Node) -> Any:
            return replaced[before] if before in replaced else self.operand(before)

        args, kwargs = (fx.node.map_arg(part, operand) for part in (node.args, node.kwargs))
        if node.op == "call_module":
            path = str(node.target)
            self.parts.setdefault(path, copy.deepcopy(self.module.get_submodule(path)))
        return self.graph.create_node(node.op, node.target, *self._in_mode(node, args, dict(kwargs)))

    def operand(self, before: fx.Node) -> Any:
        """What a node of the network's graph is here: an emitted value, or a number, computed again where that can be done."""
        if before in self.by_node:
            return self.by_node[before]
        gave = seen(before)
        if before.op == "get_attr":
            path = str(before.target)
            made = self.put(path, self.tensors[path]) if path in self.tensors else attribute(self.module, path)
        elif before.op in ("call_function", "call_method") and not isinstance(gave, Tensor) and self._reachable(before):
            made = self.copied(before, {})
        else:
            return gave
        self.by_node[before] = made
        return made

    def _reachable(self, node: fx.Node) -> bool:
        """Whether all that a number was computed from is here."""
        inputs = node.all_input_nodes
        return all(one in self.by_node or (not isinstance(seen(one), Tensor) and self._reachable(one)) for one in inputs)

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

    def _source(self, step: Source) -> None:
        value = step.output
        if step.node.op == "placeholder":
            self.note(value, self.graph.placeholder(str(step.node.target)), torch.arange(value.width))
            return
        path = str(step.node.target)
        kept = None if value.axis is None else self.stays(value)
        if kept is None or len(kept):
            whole = self.tensors.get(path)
            if whole is None:
                whole = attribute(self.module, path)
                self.tensors[path] = whole
            self.note(value, self.put(path, whole if kept is None else cutting.rows(whole, kept, value.axis or 0)))

    def _layer(self, step: Layer | Depthwise) -> None:
        cut = cutting.cut(self.module.get_submodule(step.name), step, self.flow)
        source = self.align(step.inputs[0], cut.reads)
        if not step.functional:
            self.parts[step.name] = cut.module
            node = self.graph.call_module(step.name, (source,))
        else:
            node = self._function(step, source, {f"{step.name}.{name}": cut.tensors[name] for name in cut.tensors}, cut.groups)
        self.note(step.output, node, cut.writes)

    def _scale(self, step: Scale) -> None:
        value, kept = step.inputs[0], self.stays(step.output)
        source = self.align(value, self.there(value, kept))
        if not step.functional:
            self.parts[step.module] = cutting.scale(self.module.get_submodule(step.module), kept)
            node = self.graph.call_module(step.module, (source,))
        else:
            node = self._function(step, source, {path: cutting.rows(self.tensors[path], kept, 0) for path in step.tensors}, None)
        self.note(step.output, node)

    def _function(self, step: Any, source: fx.Node, tensors: Mapping[str, Tensor], groups: int | None) -> fx.Node:
        """A layer that the network calls as a function on its parameters."""
        before = {str(node.target): node for node in step.node.all_input_nodes if node.op == "get_attr"}
        replaced = {node: self.put(path, tensors[path]) for path, node in before.items()}
        node = self.copied(step.node, {**replaced, step.inputs[0].node: source})
        if groups is not None and len(node.args) > cutting.GROUPS_PLACE:
            node.args = (*node.args[: cutting.GROUPS_PLACE], groups, *node.args[cutting.GROUPS_PLACE + 1 :])
        elif groups is not None and (groups > 1 or "groups" in node.kwargs):
            node.kwargs = {**node.kwargs, "groups": groups}
        return node

    def _elementwise(self, step: Elementwise) -> None:
        value = step.inputs[0]
        source = self.align(value, self.there(value, self.stays(step.output)))
        self.note(step.output, self.copied(step.node, {value.node: source}))

    def _join(self, step: Join) -> None:
        kept, (one, other) = self.stays(step.output), step.inputs
        full = [value for value in step.inputs if value.width == step.output.width]
        if len(full) == 2 and _is_sum(step):
            for stream, added in ((one, other), (other, one)):
                if self._covers(stream, kept) and not self._covers(added, kept) and added in self.new:
                    place = torch.full((step.output.width,), ABSENT)
                    place[kept] = torch.arange(len(kept))
                    index = place[self.have[added]]
                    if bool((index >= 0).all()):
                        axis = step.output.axis
                        assert axis is not None
                        self.note(step.output, self.call(Place(axis, index), self.align(stream, kept), self.new[added]))
                        return
        nodes = [self.align(value, self.there(value, kept)) if value in full else self.new[value] for value in step.inputs]
        if one.node is other.node:
            self.note(step.output, self.copied(step.node, {one.node: nodes[0]}))
        else:
            self.note(step.output, self.copied(step.node, dict(zip((one.node, other.node), nodes, strict=True))))

    def _covers(self, value: Value, kept: Tensor) -> bool:
        return bool((self.flow.present[value][kept] > 0).all())

    def _concat(self, step: Concat) -> None:
        kept, start, nodes = self.stays(step.output), 0, []
        for value in step.inputs:
            part = kept[(kept >= start) & (kept < start + value.width)] - start
            start += value.width
            if len(part):
                nodes.append(self.align(value, self.there(value, part)))
        axis = step.output.axis
        self.note(step.output, self.graph.call_function(torch.cat, (nodes, axis)) if len(nodes) > 1 else nodes[0])

    def _move(self, step: Move) -> None:
        (value,), kept, out = step.inputs, self.stays(step.output), step.output
        want = step.source[kept]
        want = torch.where(want >= 0, self.there(value, want.clamp_min(0)), ABSENT)
        identity = torch.equal(step.source, torch.arange(value.width))
        if step.pads or bool((step.source < 0).any()):
            node = self.align(value, want)
            pads = list(step.pads)
            self.note(out, self.graph.call_function(nn.functional.pad, (node, pads)) if any(pads) else node)
        elif value.axis == out.axis and _others(value) == _others(out):
            self.note(out, self.align(value, want))
        elif identity:
            self.note(out, self._reshaped(step, self.align(value, want), len(kept)))
        else:
            self._flattened(step)

    def _reshaped(self, step: Move, source: fx.Node, width: int) -> fx.Node:
        """Channels stay in their order, the rest of the shape changes."""
        node, axis = step.node, step.output.axis
        before = [one for one in node.all_input_nodes if isinstance(seen(one), Tensor)]
        name = node.target if node.op == "call_method" else getattr(node.target, "__name__", "")
        if name not in RESHAPES:
            return self.copied(node, {before[0]: source})
        sizes = node.args[1:] if len(node.args) > 2 or not isinstance(node.args[1], list | tuple) else node.args[1]
        batch = self.graph.call_method("size", (source, 0))
        given: list[Any] = [batch, *(fx.node.map_arg(size, self.operand) for size in list(sizes)[1:])]  # type: ignore[arg-type]
        assert axis is not None
        given[axis] = width
        return self.graph.call_method("expand" if name == "expand" else "reshape", (source, *given))

    def _flattened(self, step: Move) -> None:
        """Every channel's pixels in a row: a linear layer reads them."""
        (value,), out = step.inputs, step.output
        factor = out.width // value.width
        if value.axis != 1 or out.axis != 1 or not torch.equal(step.source, torch.arange(value.width).repeat_interleave(factor)):
            msg = f"{step.node} turns {tuple(value.shape)} into {tuple(out.shape)} in a way that cannot be cut; "
            msg += "write it so that whole channels stay together"
            raise ValueError(msg)
        have = self.have[value]
        pixels = (have[:, None] * factor + torch.arange(factor)).flatten()
        self.note(out, self.graph.call_function(torch.flatten, (self.new[value], 1)), pixels)

    def _barrier(self, step: Barrier) -> None:
        whole = {value.node: self._whole(value) for value in step.inputs}
        node = self.copied(step.node, whole)
        self.by_node[step.node] = node
        for place, part in enumerate(step.parts):
            self.new[part] = self.graph.call_function(_item, (node, place))
        self.note(step.output, node, torch.arange(step.output.width))

    def _whole(self, value: Value) -> fx.Node:
        return self.align(value, self.there(value, torch.arange(value.width)) if value.axis is not None else torch.empty(0))

    def _output(self, step: Output) -> None:
        whole = {value.node: self._whole(value) for value in step.inputs}
        self.graph.output(fx.node.map_arg(step.node.args[0], lambda node: whole.get(node, seen(node))))


def _others(value: Value) -> list[int]:
    return [size for axis, size in enumerate(value.shape) if axis != value.axis]


def _is_sum(step: Join) -> bool:
    """Whether the two are added as they are: no difference, no factor."""
    name = step.node.target if step.node.op == "call_method" else getattr(step.node.target, "__name__", "")
    return name in ("add", "iadd", "add_") and not step.node.kwargs and len(step.node.args) == 2


def _item(values: Any, index: int) -> Any:
    return values[index]
