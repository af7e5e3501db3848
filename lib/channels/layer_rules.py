"""What layers with parameters do to channels: convolutions, linear layers, batch and instance norms, PReLU.

A layer may be called several times: the channels that its calls read hang together, and so do those that they write.
"""

from typing import Any

import torch
from torch import Tensor, fx, nn

from lib.channels.parts import calls
from lib.channels.reading import Call, Reader
from lib.channels.steps import Depthwise, Layer, Scale, Step, Value

BATCH_NORM = ("running_mean", "running_var", "weight", "bias")  # the order of torch's function


def convolution(reader: Reader, call: Call) -> Any:
    """Dense, grouped or depthwise, called as a module or as a function on the parameters of one."""
    name = _layer(reader, call, nn.Conv2d, "conv2d")
    x = call.values[0]
    if name is None or reader.whole(x).axis != 1 or x.is_spread:
        return None
    module = reader.outline.get_submodule(name)
    weight = module.weight
    assert isinstance(weight, Tensor)
    groups, filters = x.width // weight.shape[1], len(weight)
    functional = call.module is None
    first = _first_call(reader, name)
    if first is not None and (first.inputs[0].width != x.width or isinstance(first, Depthwise) != (groups == x.width > 1)):
        widths = f"{first.inputs[0].width} and for {x.width}"
        msg = f"{name} is called twice in one pass, for {widths} channels or in other groups, which is not supported"
        raise ValueError(msg)
    if groups == x.width > 1:
        _joined(reader, first, x)
        source = torch.arange(groups).repeat_interleave(filters // groups)
        out = Value(call.node, call.gave.shape, 1, x.numbers[source])
        return reader.add(Depthwise(call.node, (x,), out, name, source, functional))
    out = Value(call.node, call.gave.shape, 1, _written(reader, first, x, filters))
    if groups > 1 and first is None:
        reader.segments += [(x.numbers, groups), (out.numbers, groups)]
    return reader.add(Layer(call.node, (x,), out, name, groups, functional))


def linear(reader: Reader, call: Call) -> Any:
    """A linear layer over the last axis."""
    name = _layer(reader, call, nn.Linear, "linear")
    x = call.values[0]
    if name is None or x.is_spread or x.axis != len(x.shape) - 1:
        return None
    numbers = _written(reader, _first_call(reader, name), x, call.gave.shape[-1])
    out = Value(call.node, call.gave.shape, len(x.shape) - 1, numbers)
    return reader.add(Layer(call.node, (x,), out, name, 1, call.module is None))


def batch_norm(reader: Reader, call: Call) -> Any:
    """A batch norm, called as a module or as a function on the tensors of one."""
    x = call.values[0]
    if isinstance(call.module, nn.BatchNorm1d | nn.BatchNorm2d):
        name, module = str(call.node.target), call.module
        present = [part for part in BATCH_NORM if getattr(module, part) is not None]
    elif call.name == "batch_norm":
        given = {
            part: call.node.args[place] if len(call.node.args) > place else call.node.kwargs.get(part)
            for place, part in enumerate(BATCH_NORM, 1)
        }
        paths = {part: str(node.target) for part, node in given.items() if isinstance(node, fx.Node) and node.op == "get_attr"}
        present, name = list(paths), next(iter(paths.values()), "").rpartition(".")[0]
        if any(path != f"{name}.{part}" for part, path in paths.items()):
            return None
        if not name or not isinstance(reader.outline.get_submodule(name), nn.modules.batchnorm._BatchNorm):
            return None
    else:
        return None
    if x.axis != 1 or x.is_spread:  # the axis that it works along
        return None
    affine = "weight" in present and "bias" in present
    out = Value(call.node, call.gave.shape, x.axis, x.numbers)
    tensors = tuple(f"{name}.{part}" for part in present)
    held = tuple(f"{name}.{part}" for part in ("weight", "bias") if part in present)
    functional = call.module is None
    return _scaled(reader, Scale(call.node, (x,), out, name, functional, tensors, held, is_batch_norm=True, keeps_zero=affine))


def instance_norm(reader: Reader, call: Call) -> Any:
    """An instance norm without running statistics: each channel of an image by itself."""
    x, module = call.values[0], call.module
    if not isinstance(module, nn.InstanceNorm2d) or module.track_running_stats or x.axis != 1 or x.is_spread:
        return None
    name = str(call.node.target)
    held = (f"{name}.weight", f"{name}.bias") if module.affine else ()
    out = Value(call.node, call.gave.shape, x.axis, x.numbers)
    return _scaled(reader, Scale(call.node, (x,), out, name, False, held, held, is_batch_norm=False, keeps_zero=True))


def prelu(reader: Reader, call: Call) -> Any:
    """PReLU with one slope a channel."""
    x = call.values[0]
    if not isinstance(call.module, nn.PReLU) or call.module.num_parameters == 1 or x.axis != 1 or x.is_spread:
        return None
    name = str(call.node.target)
    out = Value(call.node, call.gave.shape, x.axis, x.numbers)
    slopes = (f"{name}.weight",)
    return _scaled(reader, Scale(call.node, (x,), out, name, False, slopes, slopes, is_batch_norm=False, keeps_zero=True))


def _layer(reader: Reader, call: Call, kind: type[nn.Module], function: str) -> str | None:
    """The name of the module whose weight a call uses, None where it is no such layer; a module of somebody's own that calls
    the function on a parameter stays whole.
    """
    if isinstance(call.module, kind):
        return str(call.node.target)
    if call.module is not None or call.name != function:
        return None
    nodes = [*call.node.args[1:3], *(call.node.kwargs.get(part) for part in ("weight", "bias"))]
    paths = [str(node.target) for node in nodes if isinstance(node, fx.Node) and node.op == "get_attr"]
    others = [node for node in nodes if isinstance(node, fx.Node) and node.op != "get_attr"]
    name = paths[0].rpartition(".")[0] if paths else ""
    if not name or others or not set(paths) <= {f"{name}.weight", f"{name}.bias"}:
        return None
    return name if isinstance(reader.outline.get_submodule(name), kind) else None


def _first_call(reader: Reader, name: str) -> Step | None:
    """The step of the first call of a layer, norm or PReLU; None where it was not called yet."""
    return next(iter(calls(reader.steps).get(name, ())), None)


def _joined(reader: Reader, first: Step | None, x: Value) -> None:
    """What a later call of a layer reads hangs together with what its first call reads."""
    if first is not None:
        reader.joined.append((first.inputs[0].numbers, x.numbers))


def _written(reader: Reader, first: Step | None, x: Value, width: int) -> Tensor:
    """The numbers of what a layer writes."""
    _joined(reader, first, x)
    return reader.fresh(width) if first is None else first.output.numbers


def _scaled(reader: Reader, step: Scale) -> Value:
    """Note a norm or PReLU."""
    _joined(reader, _first_call(reader, step.module), step.inputs[0])
    return reader.add(step)
