"""What operations without parameters do to channels: one by one, joined, one behind the other."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from lib.channels.moving_rules import axes_of, between_zeros, folded, move, pad_channels
from lib.channels.operations import JOINS, PRODUCTS, QUOTIENTS, SUMS
from lib.channels.reading import Call, Reader, is_of_images
from lib.channels.steps import ABSENT, Concat, Elementwise, Join, Stack, Value

ACTIVATIONS = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus),
    *(nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh, nn.Sigmoid, nn.Tanh, nn.Softsign),
)
PASSING = (
    *(nn.Identity, nn.Dropout, nn.Dropout2d, nn.MaxPool2d, nn.AvgPool2d, nn.LPPool2d, nn.AdaptiveAvgPool2d),
    *(nn.AdaptiveMaxPool2d, nn.Upsample, nn.UpsamplingNearest2d, nn.UpsamplingBilinear2d, nn.ZeroPad2d, nn.ReflectionPad2d),
    *(nn.ReplicationPad2d,),
)
ACTIVATION_NAMES = frozenset(
    (
        *("relu", "relu_", "relu6", "leaky_relu", "leaky_relu_", "elu", "elu_", "selu", "celu", "gelu", "silu", "mish"),
        *("softplus", "hardswish", "hard_swish", "hardsigmoid", "hard_sigmoid", "hardtanh", "sigmoid", "sigmoid_", "tanh"),
        *("tanh_", "clamp", "clamp_", "pow", "square", "sqrt", "abs", "exp", "swish", "neg"),
    )
)
PASSING_NAMES = frozenset(
    (
        *("dropout", "dropout_", "dropout2d", "feature_dropout", "alpha_dropout", "contiguous", "clone", "detach", "float"),
        *("to", "type", "type_as", "stochastic_depth", "max_pool2d", "boolean_dispatch", "avg_pool2d"),
        *("adaptive_avg_pool2d", "adaptive_max_pool2d", "lp_pool2d", "interpolate"),
    )
)
REDUCTIONS = frozenset(("mean", "sum", "amax", "amin", "max", "min"))
SOFTMAX = frozenset(("softmax", "log_softmax"))
BY_NUMBER = SUMS | PRODUCTS | QUOTIENTS


def part(_: Reader, call: Call) -> Any:
    """One of several values."""
    if call.name == "getitem" and isinstance(call.args[0], list | tuple) and isinstance(call.args[1], int):
        return call.args[0][call.args[1]]
    return None


def elementwise(reader: Reader, call: Call) -> Any:
    """Activations, pooling, padding of pixels, means over pixels, sums and products with a number."""
    x, gave = next((value for value in call.values if value.axis is not None), call.values[0]), call.gave
    x = (_folded_for(reader, call, x) or x) if x.is_spread and len(call.values) == 1 else x
    if x.axis is not None and len(call.values) == 1:
        call = replace(call, values=(x,))
    others = [value for value in call.values if value is not x]
    if not isinstance(gave, Tensor) or x.axis is None or len(others) != len(call.values) - 1:
        return None
    axis = _axis_after(call, x, gave)
    if axis is None or (others and not _by_one_number(call, x, others)):
        return None
    out = Value(call.node, gave.shape, axis, x.numbers)
    activation = isinstance(call.module, ACTIVATIONS) or call.name in ACTIVATION_NAMES
    return reader.add(Elementwise(call.node, (x,), out, keeps_zero=_keeps_zero(reader, call), activation=activation))


def across(reader: Reader, call: Call) -> Any:
    """The mean or the largest of all channels, as CBAM's spatial gate takes them: those that are gone count as the zeros that
    they were.
    """
    x, dims = call.values[0], _dims(call)
    if (
        call.name not in REDUCTIONS
        or len(call.values) > 1
        or dims is None
        or x.axis not in {dim % len(x.shape) for dim in dims}
    ):
        return None
    return reader.barrier(call, locks=False)


def _folded_for(reader: Reader, call: Call, x: Value) -> Value | None:
    """A view with channels along two axes, where the call works along one of them: by the other."""
    dims, count = _dims(call), len(x.shape)
    if dims is None or x.positions is None:
        return None
    axes = axes_of(x.positions)
    left = [axis for axis in axes if axis not in {dim % count for dim in dims}]
    return folded(reader, x, left[0]) if len(axes) == 2 and len(left) == 1 else None


def _dims(call: Call) -> Sequence[int] | None:
    """The axes that a reduction or a softmax works along; None of other operations, and over everything."""
    if isinstance(call.module, nn.Softmax):
        dims = call.module.dim
    elif call.name in REDUCTIONS | SOFTMAX:
        dims = call.argument(1, "dim", call.kwargs.get("axis"))
    else:
        return None
    return dims if isinstance(dims, list | tuple) else [dims] if isinstance(dims, int) else None


def _axis_after(call: Call, x: Value, gave: Tensor) -> int | None:
    """Where the channels lie afterwards; None where this is no operation on one channel at a time."""
    assert x.axis is not None
    known = isinstance(call.module, (*ACTIVATIONS, *PASSING)) or type(call.module).__name__ in ("DropPath", "StochasticDepth")
    if known or call.name in ACTIVATION_NAMES | PASSING_NAMES | BY_NUMBER:
        same = gave.dim() == len(x.shape) and gave.shape[x.axis] == x.width
        return x.axis if same else None
    if call.name == "pad":
        pads = [*call.argument(1, "pad"), *(0,) * 8]
        behind = 2 * (len(x.shape) - 1 - x.axis)
        return None if any(pads[behind : behind + 2]) else x.axis
    dims = _dims(call)
    if dims is None:  # nothing known, over everything, or the larger of two values
        return None
    gone = [dim % len(x.shape) for dim in dims]
    if x.axis in gone:
        return None
    if call.name not in REDUCTIONS:  # a softmax
        return x.axis
    return x.axis if call.argument(2, "keepdim", False) else x.axis - sum(dim < x.axis for dim in gone)


def _by_one_number(call: Call, x: Value, others: Sequence[Value]) -> bool:
    """Whether a value is joined with what is a single number: a scale or a shift that is learnt, or a buffer."""
    known = call.name in SUMS | PRODUCTS or (call.name in QUOTIENTS and call.values[0] is x)
    return known and all(value.axis is None and not value.is_spread and value.shape.numel() == 1 for value in others)


def _keeps_zero(reader: Reader, call: Call) -> bool:
    """Whether zeros stay zeros: pooling and padding may have their way with pixels, but an activation is asked."""
    if isinstance(call.module, nn.Softmax) or call.name in SOFTMAX:
        return False
    asked = isinstance(call.module, ACTIVATIONS) or call.name in ACTIVATION_NAMES | (BY_NUMBER - PRODUCTS)
    if call.name == "pad":
        return not call.argument(3, "value")
    if not asked or isinstance(call.module, nn.PReLU):
        return call.name not in PRODUCTS or _finite(call)
    if len(call.values) > 1:  # with a number that is learnt
        return call.name in QUOTIENTS
    return bool((reader.run(call, lambda _: torch.zeros(1, 1, 1, 1)) == 0).all())


def _finite(call: Call) -> bool:
    numbers = [item for item in pytree.tree_leaves((call.args, call.kwargs)) if isinstance(item, int | float)]
    return all(abs(number) < float("inf") for number in numbers)


def join(reader: Reader, call: Call) -> Any:
    """The sum, product, larger or smaller of two values whose channels lie along one axis; or of one with one for all."""
    if (
        call.name not in JOINS
        or len(call.values) != 2
        or any(value.axis is None and not value.is_spread for value in call.values)
    ):
        return None
    one, other = call.values
    for spread, beside in ((one, other), (other, one)):
        if spread.is_spread and beside.axis is not None:
            axis = len(spread.shape) + beside.axis - len(beside.shape)
            made = folded(reader, spread, axis) if axis >= 0 else None
            if made is None:
                return None
            one, other = made, beside  # in any order: each node is told what stands for its own value
    if one.axis is None or other.axis is None or one.axis - len(one.shape) != other.axis - len(other.shape):
        return None
    if one.width == other.width:
        reader.joined.append((one.numbers, other.numbers))
    elif 1 not in (one.width, other.width):
        return None
    wider = max(one, other, key=lambda value: value.width)
    axis = len(call.gave.shape) + wider.axis - len(wider.shape)  # type: ignore[operator]
    if call.gave.shape[axis] != wider.width:
        return None  # a single channel, laid beside itself
    out = Value(call.node, call.gave.shape, axis, wider.numbers)
    return reader.add(Join(call.node, (one, other), out, product=call.name in PRODUCTS))


def concat(reader: Reader, call: Call) -> Any:
    """Values one behind the other along their channels."""
    if call.name not in ("cat", "concat", "concatenate"):
        return None
    values = tuple(map(reader.whole, call.argument(0, "tensors")))
    dim = call.argument(1, "dim", 0) % call.gave.dim()
    if any(value.axis != dim for value in values):
        return None
    there = [value for value in values if value.padded is None or not value.padded.all()]
    if len(there) == 1 < len(values) and dim == len(there[0].shape) - 3:
        parts = [torch.arange(x.width) if x is there[0] else torch.full((x.width,), ABSENT) for x in values]
        return between_zeros(reader, call, there[0], torch.cat(parts), (0, 0, 0, 0))
    out = Value(call.node, call.gave.shape, dim, torch.cat([value.numbers for value in values]))
    return reader.add(Concat(call.node, values, out))


def new(reader: Reader, call: Call) -> Any:
    """Tensors of the kind of a value, which do not look at its numbers."""
    if call.name in ("new_zeros", "zeros_like") and is_of_images(call.gave.shape):
        return reader.zeros(call.node, call.gave.shape)
    return reader.made(call.node, call.gave.shape) if call.name in ("new_ones", "new_full", "new_tensor") else None


def stack(reader: Reader, call: Call) -> Any:
    """Values beside one another along an axis of their own; their channels meet where something sums over it."""
    if call.name != "stack":
        return None
    values = tuple(map(reader.whole, call.argument(0, "tensors")))
    dim = call.argument(1, "dim", 0) % call.gave.dim()
    first = values[0]
    if first.axis is None or any(value.axis != first.axis or value.is_spread for value in values):
        return None
    reader.joined += [(first.numbers, value.numbers) for value in values[1:]]
    out = Value(call.node, call.gave.shape, first.axis + (dim <= first.axis), first.numbers)
    return reader.add(Stack(call.node, values, out))


RULES = (part, new, pad_channels, elementwise, across, join, concat, stack, move)
