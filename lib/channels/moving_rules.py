"""What operations that move channels do: views, transpositions, chunks, shuffles, and zeros put beside channels."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils import _pytree as pytree

from lib.channels.reading import Call, Reader
from lib.channels.steps import ABSENT, Move, Value

MOVES = frozenset(
    (
        *("flatten", "reshape", "view", "permute", "transpose", "chunk", "split", "getitem", "unsqueeze", "squeeze"),
        *("expand", "tensor_split", "narrow", "view_as", "movedim", "moveaxis", "swapaxes", "expand_as", "unflatten"),
        *("channel_shuffle", "contiguous", "repeat_interleave", "roll", "flip"),
    )
)
MOVING = (nn.Flatten, nn.Unflatten, nn.ChannelShuffle, nn.Identity, nn.Dropout)

MOST = 2**22  # positions of a view, one an element, that are held in memory


def pad_channels(reader: Reader, call: Call) -> Any:
    """Zeros before and behind the channels, as option A of ResNet adds them: carried on, not joined."""
    x = call.values[0]
    if (
        call.name != "pad"
        or x.axis is None
        or x.axis != len(x.shape) - 3
        or call.argument(2, "mode", "constant") != "constant"
    ):
        return None
    pads = [*call.argument(1, "pad"), *(0,) * 8]
    if call.argument(3, "value") or any(pads[6:]) or not any(pads[4:6]):
        return None
    source = functional.pad(torch.arange(x.width), tuple(pads[4:6]), value=ABSENT)
    there = source >= 0
    out = Value(call.node, call.gave.shape, x.axis, reader.fresh(len(source)), padded=~there)
    reader.carried.append((x.numbers[source[there]], out.numbers[there]))
    return reader.add(Move(call.node, (x,), out, source, tuple(pads[:4])))


def move(reader: Reader, call: Call) -> Any:
    """Whatever only puts elements elsewhere: run on the positions of the channels."""
    moving = call.name in MOVES or isinstance(call.module, MOVING) or type(call.module).__name__ == "Permute"
    x = call.values[0]
    if not moving or len(call.values) != 1 or (x.axis is None and not x.is_spread):
        return None
    root = x if x.origin is None else x.origin
    positions = _run_on_positions(reader, call)
    if positions is None:
        return None
    if isinstance(positions, Tensor):
        return _moved(reader, call, root, positions, call.gave)
    return [_moved(reader, call, root, *pair) for pair in zip(positions, call.gave, strict=True)]


def _run_on_positions(reader: Reader, call: Call) -> Any:
    """What it makes of where each element's channel stands in the value that it views; None where that takes much memory.

    Positions are one row of numbers, seen at every pixel, as long as the network's own views let them be.
    """
    value = call.values[0]
    positions = value.positions
    if positions is None:
        assert value.axis is not None
        shape = [1] * len(value.shape)
        shape[value.axis] = value.width
        positions = torch.arange(value.width).view(shape).expand(value.shape)
    try:
        drawn = _drawn(reader, call, positions)
    except RuntimeError:  # a view that only contiguous elements allow
        if positions.numel() > MOST:
            return None
        positions = positions.contiguous()
        drawn = _drawn(reader, call, positions)
    parts = [part for part in pytree.tree_leaves(drawn) if isinstance(part, Tensor)]
    if any(part.untyped_storage().nbytes() > MOST * part.itemsize for part in parts):
        return None
    return reader.run(call, lambda _: positions)


def _drawn(reader: Reader, call: Call, positions: Tensor) -> Any:
    """The same without memory: it tells what the result would take."""
    like = torch.empty_strided(positions.shape, positions.stride(), dtype=positions.dtype, device="meta")
    return reader.run(call, lambda _: like)


def _moved(reader: Reader, call: Call, root: Value, positions: Tensor, gave: Tensor) -> Value:
    axis = _only_axis(positions)
    if axis is None:
        return Value(call.node, gave.shape, None, root.numbers, root, positions)
    source = positions.movedim(axis, 0)
    while source.dim() > 1:
        source = source.select(-1, 0)
    source = source.contiguous()
    return reader.add(Move(call.node, (root,), Value(call.node, gave.shape, axis, root.numbers[source]), source))


def _only_axis(positions: Tensor) -> int | None:
    """The one axis along which positions differ; None where there are several."""
    few = positions
    for axis in range(positions.dim()):
        few = few if few.stride(axis) else few.narrow(axis, 0, 1)  # all the same along it
    axes = [axis for axis in range(few.dim()) if few.shape[axis] > 1 and bool((few != few.narrow(axis, 0, 1)).any())]
    if len(axes) == 1:
        return axes[0]
    single = 1 if positions.dim() > 1 else 0  # one channel only: it lies where channels use to lie
    return single if not axes and positions.dim() and positions.shape[single] == 1 else None
