"""What operations that move channels do: views, transpositions, chunks, shuffles, and zeros put beside channels."""

from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional
from torch.utils import _pytree as pytree

from lib.channels.operations import EXPANSIONS, JOINS, LIKE, called
from lib.channels.reading import Call, Reader
from lib.channels.steps import ABSENT, Fold, Move, Value

MOVES = frozenset(
    (
        *("flatten", "reshape", "view", "permute", "transpose", "chunk", "split", "getitem", "unsqueeze", "squeeze"),
        *("expand", "tensor_split", "narrow", "view_as", "movedim", "moveaxis", "swapaxes", "expand_as", "unflatten"),
        *(
            "channel_shuffle",
            "contiguous",
            "repeat_interleave",
            "roll",
            "flip",
            "reshape_as",
            "broadcast_to",
            "repeat",
            "tile",
        ),
        "swapdims",
    )
)
TURNS = frozenset(("flip", "roll", "permute", "transpose", "movedim", "moveaxis", "swapaxes", "swapdims"))
MOVING = (nn.Flatten, nn.Unflatten, nn.ChannelShuffle, nn.Identity, nn.Dropout)

MOST = 2**22  # positions of a view, one an element, that are held in memory


def pad_channels(reader: Reader, call: Call) -> Any:
    """Zeros before and behind the channels, as option A of ResNet adds them."""
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
    return between_zeros(reader, call, x, source, tuple(pads[:4]))


def between_zeros(reader: Reader, call: Call, x: Value, source: Tensor, pads: tuple[int, ...]) -> Value:
    """Channels with zeros before or behind them: carried on, not joined."""
    there = source >= 0
    out = Value(call.node, call.gave.shape, x.axis, reader.fresh(len(source)), padded=~there)
    reader.carried.append((x.numbers[source[there]], out.numbers[there]))
    return reader.add(Move(call.node, (x,), out, source, pads))


def move(reader: Reader, call: Call) -> Any:
    """Whatever only puts elements elsewhere: run on the positions of the channels."""
    moving = call.name in MOVES or isinstance(call.module, MOVING) or type(call.module).__name__ == "Permute"
    x = call.values[0]
    if not moving or len(call.values) != 1 + (call.name in LIKE) or (x.axis is None and not x.is_spread):
        return None
    if x.axis is not None and x.width == 1 and (axis := _shared_by_channels(reader, call, x)) is not None:
        shape = torch.Size([*call.gave.shape[:axis], 1, *call.gave.shape[axis + 1 :]])
        return reader.add(Move(call.node, (x,), Value(call.node, shape, axis, x.numbers), torch.arange(1)))
    root = x if x.origin is None else x.origin
    turned = call.name in TURNS and _turned(reader, call)
    if turned and x.is_spread:
        return None
    positions = _run_on_positions(reader, call)
    if positions is None:
        return None
    if isinstance(positions, Tensor):
        return _moved(reader, call, root, positions, call.gave, turned=turned)
    parts = [
        _moved(reader, call, root, *pair, part=place) for place, pair in enumerate(zip(positions, call.gave, strict=True))
    ]
    return parts if all(parts) else None


def _shared_by_channels(reader: Reader, call: Call, x: Value) -> int | None:
    """The axis along which a single channel is laid beside itself for sums and products alone, which do that by themselves."""
    assert x.axis is not None
    if call.name not in EXPANSIONS:
        return None
    axis, width = call.gave.dim() - len(x.shape) + x.axis, call.gave.shape[call.gave.dim() - len(x.shape) + x.axis]

    def takes(user: fx.Node) -> bool:
        beside = [reader.known.get(node) for node in user.all_input_nodes if node is not call.node]
        return called(user) in JOINS and len(beside) == 1 and isinstance(beside[0], Value) and beside[0].width == width

    return axis if width > 1 and all(map(takes, call.node.users)) else None


def _turned(reader: Reader, call: Call) -> bool:
    """Whether pixels change places and channels stay along their axis, or images do; seen on a value of a single channel and
    two images.
    """
    x = call.values[0]
    shape = [2, *x.shape[1:]]
    for axis in [x.axis] if x.positions is None else axes_of(x.positions):
        assert axis is not None
        shape[axis] = 1
    pixels = torch.arange(torch.Size(shape).numel()).view(shape)
    found = _run(reader, call, pixels)
    if x.axis is not None and call.gave.shape != x.shape:
        return False  # the operation itself is kept
    return bool((found.flatten() != pixels.flatten()).any())


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
    return _run(reader, call, positions)


def _drawn(reader: Reader, call: Call, positions: Tensor) -> Any:
    """The same without memory: it tells what the result would take."""
    like = torch.empty_strided(positions.shape, positions.stride(), dtype=positions.dtype, device="meta")
    return _run(reader, call, like)


def _run(reader: Reader, call: Call, stand_in: Tensor) -> Any:
    """What it makes of a stand-in for the value that is moved; of another value it looks at the shape alone."""
    first = call.values[0]
    return reader.run(call, lambda value: stand_in if value is first else stand_in.new_empty(()).expand(value.shape))


def _moved(
    reader: Reader,
    call: Call,
    root: Value,
    positions: Tensor,
    gave: Tensor,
    *,
    turned: bool = False,
    part: int | None = None,
) -> Value | None:
    axis = _only_axis(positions)
    if axis is None:
        return Value(call.node, gave.shape, None, root.numbers, root, positions)
    source = positions.movedim(axis, 0)
    while source.dim() > 1:
        source = source.select(-1, 0)
    source = source.contiguous()
    if turned and not torch.equal(source, torch.arange(root.width)):
        return None  # channels and pixels at once
    if not _can_be_cut(root, source, axis, gave.shape):
        return None
    return reader.add(
        Move(call.node, (root,), Value(call.node, gave.shape, axis, root.numbers[source]), source, (), turned, part)
    )


def _can_be_cut(root: Value, source: Tensor, axis: int, shape: torch.Size) -> bool:
    """Whether channels only change places, or only the rest of the shape changes, or each one's pixels lie in a row."""
    assert root.axis is not None
    others = [[*size[:place], *size[place + 1 :]] for size, place in ((root.shape, root.axis), (shape, axis))]
    if (root.axis == axis and others[0] == others[1]) or torch.equal(source, torch.arange(root.width)):
        return True
    rows = torch.arange(root.width).repeat_interleave(max(1, len(source) // root.width))
    return root.axis == axis == 1 and len(shape) == 2 and torch.equal(source, rows)  # a vector an image


def folded(reader: Reader, value: Value, axis: int) -> Value | None:
    """A view with channels along two axes as a value with them along one of the two; None where it is no such view.

    What lies beside one another along the other axis stays together. The view must leave all elements in their order.
    """
    root, positions = value.origin, value.positions
    if root is None or positions is None or root.axis is None or value.shape[axis] in (1, root.width):
        return None
    if root.width % value.shape[axis] or not isinstance(reader.known[value.node], Value):  # or one of several parts
        return None
    shape, width, beside = value.shape, value.shape[axis], root.width // value.shape[axis]
    parts = {True: (beside, width), False: (width, beside)}
    before = [size for size in root.shape[: root.axis] if size > 1]
    after = [size for size in root.shape[root.axis + 1 :] if size > 1]
    for behind, sizes in parts.items():
        place = len([size for size in shape[:axis] if size > 1])
        fits = [size for size in shape if size > 1] == [*before, *(size for size in sizes if size > 1), *after]
        if fits and place == len(before) + (behind and beside > 1):
            source = torch.arange(root.width).view(sizes)
            if not torch.equal(_few(positions).flatten(), source.flatten()):
                return None
            source = source if behind else source.T
            reader.joined += [(root.numbers[source[0]], root.numbers[others]) for others in source[1:]]
            out = Value(value.node, shape, axis, root.numbers[source[0]])
            reader.known[value.node] = out
            return reader.add(Fold(value.node, (root,), out, source.contiguous(), behind))
    return None


def _few(positions: Tensor) -> Tensor:
    """A single one of those that are the same memory along an axis."""
    for axis in range(positions.dim()):
        positions = positions if positions.stride(axis) else positions.narrow(axis, 0, 1)
    return positions


def axes_of(positions: Tensor) -> list[int]:
    """The axes along which positions differ."""
    few = _few(positions)
    return [axis for axis in range(few.dim()) if few.shape[axis] > 1 and bool((few != few.narrow(axis, 0, 1)).any())]


def _only_axis(positions: Tensor) -> int | None:
    """The one axis along which positions differ; None where there are several."""
    axes = axes_of(positions)
    if len(axes) == 1:
        return axes[0]
    single = 1 if positions.dim() > 1 else 0  # one channel only: it lies where channels use to lie
    return single if not axes and positions.dim() and positions.shape[single] == 1 else None
