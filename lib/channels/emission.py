"""The compact network as a graph of its own: layers cut to the channels that stay, everything else as the network has it.

The result is exact for any masks; which layers share a mask only decides how much alignment is left. The graph runs in both
modes: modules are kept as modules.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn

from lib.channels import cutting
from lib.channels.aligning import Place
from lib.channels.description import Description
from lib.channels.draft import Draft
from lib.channels.flow import Flow
from lib.channels.operations import EXPANSIONS, LIKE, REPEATS, RESHAPES, called
from lib.channels.proxies import seen
from lib.channels.steps import (
    ABSENT,
    Barrier,
    Concat,
    Depthwise,
    Elementwise,
    Fold,
    Join,
    Layer,
    Move,
    Nothing,
    Output,
    Scale,
    Source,
    Stack,
    Step,
    Value,
)


def emit(module: nn.Module, description: Description, kept: Flow, *, ships: bool = False) -> fx.GraphModule:
    """The compact form of a network of which `kept` stays.

    ships: for inference alone, without places to look at it and without sums at given channels. Weights are copied from
    `module`, which may be on device meta: then only shapes are made.
    """
    with torch.no_grad():
        draft = Draft(module, description, kept, ships=ships)
        for step in description.steps:
            _emit_step(draft, step)
        draft.graph.eliminate_dead_code(lambda node: node.op in ("placeholder", "output"))
        used = {str(node.target) for node in draft.graph.nodes if node.op in ("call_module", "get_attr")}
        parts = {name: part for name, part in draft.parts.items() if name in used}
        small = fx.GraphModule(parts, draft.graph, type(module).__name__)
    return small.train(module.training)


def _emit_step(draft: Draft, step: Step) -> None:
    """Emit one step, unless nothing of it is read."""
    if step.output.axis is None or isinstance(step, Source) or len(draft.stays(step.output)):
        EMITTERS[type(step)](draft, step)


def _source(draft: Draft, step: Source) -> None:
    value = step.output
    if step.node.op == "placeholder":
        draft.note(value, draft.graph.placeholder(str(step.node.target)), torch.arange(value.width))
        return
    path = str(step.node.target)
    kept = None if value.axis is None else draft.stays(value)
    if path.rpartition(".")[0] in draft.description.whole and value.axis is not None:
        kept = torch.arange(value.width)
    if kept is None or len(kept):
        whole = draft.tensors.setdefault(path, draft.of_its_kind(seen(step.node)))  # a constant of its forward
        draft.note(value, draft.put(path, whole if kept is None else cutting.rows(whole, kept, value.axis or 0)), kept)


def _layer(draft: Draft, step: Layer | Depthwise) -> None:
    calls = draft.description.calls[step.name]
    whole = step.name in draft.description.whole
    cut = cutting.cut(draft.module.get_submodule(step.name), step, calls, draft.flow, whole=whole)
    source = draft.align(step.inputs[0], cut.reads)
    if not step.functional:
        draft.parts[step.name] = cut.module
        node = draft.graph.call_module(step.name, (source,))
    else:
        node = _function(draft, step, source, {f"{step.name}.{name}": cut.tensors[name] for name in cut.tensors}, cut.groups)
    draft.note(step.output, node, cut.writes)


def _scale(draft: Draft, step: Scale) -> None:
    value, kept = step.inputs[0], draft.stays(*(call.output for call in draft.description.calls[step.module]))
    kept = torch.arange(value.width) if step.module in draft.description.whole else kept
    source = draft.align(value, draft.there(value, kept))
    if not step.functional:
        draft.parts[step.module] = cutting.scale(draft.module.get_submodule(step.module), kept)
        node = draft.graph.call_module(step.module, (source,))
    else:
        node = _function(
            draft, step, source, {path: cutting.rows(draft.tensors[path], kept, 0) for path in step.tensors}, None
        )
    draft.note(step.output, node, kept)


def _function(draft: Draft, step: Any, source: fx.Node, tensors: Mapping[str, Tensor], groups: int | None) -> fx.Node:
    """A layer that the network calls as a function on its parameters."""
    before = {str(node.target): node for node in step.node.all_input_nodes if node.op == "get_attr"}
    replaced: dict[Value | fx.Node, fx.Node] = {node: draft.put(path, tensors[path]) for path, node in before.items()}
    node = draft.copied(step.node, {**replaced, step.inputs[0]: source})
    if groups is not None and len(node.args) > cutting.GROUPS_PLACE:
        node.args = (*node.args[: cutting.GROUPS_PLACE], groups, *node.args[cutting.GROUPS_PLACE + 1 :])
    elif groups is not None and (groups > 1 or "groups" in node.kwargs):
        node.kwargs = {**node.kwargs, "groups": groups}
    return node


def _elementwise(draft: Draft, step: Elementwise) -> None:
    value = step.inputs[0]
    source = draft.align(value, draft.there(value, draft.stays(step.output)))
    draft.note(step.output, draft.copied(step.node, {value: source}))


def _join(draft: Draft, step: Join) -> None:
    kept, (one, other) = draft.stays(step.output), step.inputs
    full = [value for value in step.inputs if value.width == step.output.width]
    # Whether one is a single value for all pixels or images.
    spread = any(value.shape != step.output.shape or value.node.op == "get_attr" for value in step.inputs)
    if len(full) == 2 and _is_sum(step) and not draft.ships and not spread:
        for stream, added in ((one, other), (other, one)):
            if _covers(draft, stream, kept) and not _covers(draft, added, kept) and added in draft.new:
                place = torch.full((step.output.width,), ABSENT)
                place[kept] = torch.arange(len(kept))
                index = place[draft.have[added]]
                if bool((index >= 0).all()):
                    axis = step.output.axis
                    assert axis is not None
                    draft.note(step.output, draft.call(Place(axis, index), draft.align(stream, kept), draft.new[added]))
                    return
    nodes = [draft.align(value, draft.there(value, kept)) if value in full else draft.whole(value) for value in step.inputs]
    draft.note(step.output, draft.copied(step.node, dict(zip(step.inputs, nodes, strict=True))))


def _covers(draft: Draft, value: Value, kept: Tensor) -> bool:
    return bool((draft.flow.present[value][kept] > 0).all())


def _stack(draft: Draft, step: Stack) -> None:
    kept = draft.stays(step.output)
    draft.note(
        step.output,
        draft.copied(step.node, {value: draft.align(value, draft.there(value, kept)) for value in step.inputs}),
    )


def _concat(draft: Draft, step: Concat) -> None:
    kept, start, nodes, have = draft.stays(step.output), 0, [], []
    for value in step.inputs:
        part = kept[(kept >= start) & (kept < start + value.width)]
        if len(part):
            nodes.append(draft.align(value, draft.there(value, part - start)))
            have.append(part)
        start += value.width
    axis = step.output.axis
    node = draft.graph.call_function(torch.cat, (nodes, axis)) if len(nodes) > 1 else nodes[0]
    draft.note(step.output, node, torch.cat(have))


def _move(draft: Draft, step: Move) -> None:
    (value,), kept, out = step.inputs, draft.stays(step.output), step.output
    want = step.source[kept]
    want = torch.where(want >= 0, draft.there(value, want.clamp_min(0)), ABSENT)
    identity = torch.equal(step.source, torch.arange(value.width))
    if step.pads or bool((step.source < 0).any()):
        node = draft.align(value, want)
        pads = list(step.pads)
        draft.note(out, draft.graph.call_function(nn.functional.pad, (node, pads)) if any(pads) else node)
    elif value.axis == out.axis and _others(value) == _others(out) and not (step.turned or (identity and _lays_out(step))):
        draft.note(out, draft.align(value, want))
    elif identity:
        draft.note(out, _reshaped(draft, step, draft.align(value, want), len(kept)))
    else:
        _flattened(draft, step)


def _reshaped(draft: Draft, step: Move, source: fx.Node, width: int) -> fx.Node:
    """Channels stay in their order, the rest of the shape changes."""
    node, axis = step.node, step.output.axis
    module = draft.module.get_submodule(str(node.target)) if node.op == "call_module" else None
    name = "unflatten" if isinstance(module, nn.Unflatten) else called(node)
    if name not in RESHAPES:
        made = draft.copied(node, {step.inputs[0]: source})
        return made if step.part is None else draft.graph.call_function(_item, (made, step.part))
    given = _sizes(draft, step, name)
    assert axis is not None
    if isinstance(given[0], int) and given[0] > 0 and step.inputs[0].axis and axis:  # of as many images as are given
        given[0] = draft.graph.call_method("size", (source, 0)) if step.inputs[0].shape[0] == given[0] else given[0]
    given[axis] = width
    return draft.graph.call_method("expand" if name in EXPANSIONS else "reshape", (source, *given))


def _sizes(draft: Draft, step: Move, name: str) -> list[Any]:
    """The shape that the network asks for, an entry an axis: numbers, or nodes that tell them."""
    node, shape = step.node, list(step.output.shape)
    if name == "unflatten":
        return shape
    if name in LIKE:
        other = node.args[1] if len(node.args) > 1 else node.kwargs["other"]
        assert isinstance(other, fx.Node)
        like = draft.new.get(draft.description.known[other])
        return shape if like is None else [draft.graph.call_method("size", (like, place)) for place in range(len(shape))]
    given = node.args[1:] or (node.kwargs.get("shape", node.kwargs.get("size")),)
    sizes = given[0] if len(given) == 1 and isinstance(given[0], list | tuple) else given
    if len(sizes) == 1 and isinstance(sizes[0], fx.Node) and isinstance(seen(sizes[0]), list | tuple):  # a shape in one piece
        whole = draft.operand(sizes[0])
        return [draft.graph.call_function(_item, (whole, place)) for place in range(len(shape))]
    return [fx.node.map_arg(size, draft.operand) for size in sizes]


def _lays_out(step: Move) -> bool:
    """Whether it lays a value beside itself: one image, as traced, may be many."""
    return called(step.node) in EXPANSIONS | REPEATS


def _flattened(draft: Draft, step: Move) -> None:
    """Every channel's pixels in a row: a linear layer reads them."""
    (value,), out = step.inputs, step.output
    factor = out.width // value.width
    have = draft.have[value]
    pixels = (have[:, None] * factor + torch.arange(factor)).flatten()
    draft.note(out, draft.graph.call_function(torch.flatten, (draft.new[value], 1)), pixels)


def _fold(draft: Draft, step: Fold) -> None:
    (value,), out, kept = step.inputs, step.output, draft.stays(step.output)
    source = step.source[:, kept] if step.behind else step.source[:, kept].T
    node = draft.align(value, draft.there(value, source.flatten()))
    sizes: list[Any] = list(out.shape)
    assert out.axis is not None
    sizes[out.axis] = len(kept)
    if value.axis and out.axis and value.shape[0] == out.shape[0]:  # of as many images as are given
        sizes[0] = draft.graph.call_method("size", (node, 0))
    draft.note(out, draft.graph.call_method("reshape", (node, *sizes)))


def _barrier(draft: Draft, step: Barrier) -> None:
    inputs: dict[Value | fx.Node, fx.Node] = {value: draft.whole(value) for value in step.inputs}
    if not inputs:  # of the kind of a value, which may not be there
        inputs = {node: draft.images for node in step.node.all_input_nodes if isinstance(seen(node), Tensor)}
    node = draft.copied(step.node, inputs)
    draft.by_node[step.node] = node
    for place, part in enumerate(step.parts):
        draft.new[part] = draft.graph.call_function(_item, (node, place))
    draft.note(step.output, node, torch.arange(step.output.width))


def _output(draft: Draft, step: Output) -> None:
    whole = {value: draft.whole(value) for value in step.inputs}
    known = draft.description.known
    draft.graph.output(fx.node.map_arg(step.node.args[0], lambda node: whole.get(known[node], seen(node))))


def _others(value: Value) -> list[int]:
    return [size for axis, size in enumerate(value.shape) if axis != value.axis]


def _is_sum(step: Join) -> bool:
    """Whether the two are added as they are: no difference, no factor."""
    return called(step.node) in ("add", "iadd", "add_") and not step.node.kwargs and len(step.node.args) == 2


def _item(values: Any, index: int) -> Any:
    return values[index]


EMITTERS: Mapping[type, Callable[[Draft, Any], None]] = {
    Source: _source,
    Nothing: _source,
    Layer: _layer,
    Depthwise: _layer,
    Scale: _scale,
    Elementwise: _elementwise,
    Join: _join,
    Concat: _concat,
    Stack: _stack,
    Fold: _fold,
    Move: _move,
    Barrier: _barrier,
    Output: _output,
}
