"""The operations of a traced network, in the words of channels: what each does to channels that are there or not.

A *value* is a tensor of the pass. Its channels lie along one axis, and each has a number; channels of one number are zero or
not zero together. A number of presence is 1 for a channel that may be other than zero, 0 for one that is exactly zero, and
anything between for a mask that is still being learnt.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, fx

ABSENT = -1  # instead of a channel's position: there is a zero


@dataclass(eq=False)
class Value:
    """A tensor of the pass. axis: that of its channels, None where it has none (it is computed whole).

    numbers: of its channels (n,). origin, positions: of a view that spreads channels over several axes, the value it views and
    where each of its elements stands there. padded: of its channels those that are zeros whatever any mask says, (n,) bool.
    """

    node: fx.Node
    shape: torch.Size
    axis: int | None = None
    numbers: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64))
    origin: "Value | None" = None
    positions: Tensor | None = None
    padded: Tensor | None = None

    @property
    def width(self) -> int:
        """How many channels it has."""
        return len(self.numbers)

    @property
    def is_spread(self) -> bool:
        """Whether its channels lie along several axes."""
        return self.origin is not None


Presence = Callable[[Value], Tensor]  # of a value's channels: (n,)


@dataclass(eq=False)
class Step:
    """One operation. Other kinds of steps say what differs from this: all channels come out, all that go in are needed."""

    node: fx.Node
    inputs: tuple[Value, ...]
    output: Value

    def present(self, of: Presence, like: Tensor) -> Tensor:  # noqa: ARG002
        """What may be other than zero of the output, (n,); like: numbers of the kind wanted."""
        return like.new_ones(self.output.width)

    def needed(self, kept: Tensor) -> Sequence[Tensor]:
        """How far each input is needed for the channels `kept` of the output."""
        return [kept.new_ones(value.width) for value in self.inputs]


@dataclass(eq=False)
class Barrier(Step):
    """An operation that is not known, or mixes channels: computed whole. parts: its outputs where it has several."""

    parts: tuple[Value, ...] = ()


class Source(Step):
    """The images, or a parameter with one value a channel that is added or multiplied."""


class Nothing(Source):
    """Zeros that forward makes: no channel is there, whatever any mask says."""

    def present(self, of: Presence, like: Tensor) -> Tensor:  # noqa: ARG002
        """Nothing."""
        return like.new_zeros(self.output.width)


@dataclass(eq=False)
class Layer(Step):
    """A convolution or linear layer that writes channels of its own. name: of its module; groups: that must not mix."""

    name: str
    groups: int
    functional: bool

    def present(self, of: Presence, like: Tensor) -> Tensor:
        """Decided by its mask, which the flow holds."""
        raise NotImplementedError

    def needed(self, kept: Tensor) -> Sequence[Tensor]:
        """All of the input of every group that writes anything."""
        value = self.inputs[0]
        if self.groups == 1:
            return [kept.new_ones(value.width)]
        live = kept.view(self.groups, -1).amax(1)
        return [live.repeat_interleave(value.width // self.groups)]


@dataclass(eq=False)
class Depthwise(Step):
    """A convolution each of whose filters reads one channel. source: which one, by filter."""

    name: str
    source: Tensor
    functional: bool

    def present(self, of: Presence, like: Tensor) -> Tensor:  # noqa: ARG002
        """Its filters over absent channels are zero, bias and all."""
        before = of(self.inputs[0])
        return before[self.source.to(before.device)]

    def needed(self, kept: Tensor) -> Sequence[Tensor]:
        """A channel is needed as far as any filter over it is."""
        start = kept.new_zeros(self.inputs[0].width)
        return [start.scatter_reduce(0, self.source.to(kept.device), kept, "amax", include_self=True)]


@dataclass(eq=False)
class Scale(Step):
    """One scale or shift a channel: a batch norm, or PReLU. tensors: the paths of those that have a value a channel.

    module: its name; held: the parameters that are zero in absent channels. Without a scale it may make something of zero.
    """

    module: str
    functional: bool
    tensors: tuple[str, ...]
    held: tuple[str, ...]
    is_batch_norm: bool
    keeps_zero: bool

    def present(self, of: Presence, like: Tensor) -> Tensor:
        """As its input, whose absent channels get neither scale nor shift."""
        return of(self.inputs[0]) if self.keeps_zero else super().present(of, like)

    def needed(self, kept: Tensor) -> Sequence[Tensor]:
        """Channel by channel."""
        return [kept]


@dataclass(eq=False)
class Elementwise(Step):
    """Channel by channel, without parameters. activation: no mere pooling, padding, or mean over pixels."""

    keeps_zero: bool
    activation: bool

    def present(self, of: Presence, like: Tensor) -> Tensor:
        """As its input where it makes zero of zero."""
        return of(self.inputs[0]) if self.keeps_zero else super().present(of, like)

    def needed(self, kept: Tensor) -> Sequence[Tensor]:
        """Channel by channel."""
        return [kept]


@dataclass(eq=False)
class Join(Step):
    """The sum or the product of two values, channel by channel; one of them may have a single channel for all."""

    product: bool

    def present(self, of: Presence, like: Tensor) -> Tensor:  # noqa: ARG002
        """A sum is there where any of the two is, a product where both are.

        A mask of zero beside a padded zero keeps its whole gradient: the padding can never win.
        """
        one, other = (of(value) for value in self.inputs)
        if self.product:
            return torch.minimum(one, other)
        zeros, others = (value.padded for value in self.inputs)
        one, other = (
            one if zeros is None else torch.where(zeros.to(one.device), other, one),
            other if others is None else torch.where(others.to(other.device), one, other),
        )
        return torch.maximum(one, other)

    def needed(self, kept: Tensor) -> Sequence[Tensor]:
        """Channel by channel."""
        return [kept if value.width == self.output.width else kept.amax().view(1) for value in self.inputs]


@dataclass(eq=False)
class Concat(Step):
    """Values one behind the other along their channels."""

    def present(self, of: Presence, like: Tensor) -> Tensor:  # noqa: ARG002
        """Part by part."""
        return torch.cat([of(value) for value in self.inputs])

    def needed(self, kept: Tensor) -> Sequence[Tensor]:
        """Part by part."""
        parts: Sequence[Tensor] = kept.split([value.width for value in self.inputs])
        return parts


@dataclass(eq=False)
class Stack(Step):
    """Values beside one another, each with all of the channels."""

    def present(self, of: Presence, like: Tensor) -> Tensor:  # noqa: ARG002
        """A channel is there where it is in any of them."""
        return torch.stack([of(value) for value in self.inputs]).amax(0)

    def needed(self, kept: Tensor) -> Sequence[Tensor]:
        """Channel by channel."""
        return [kept] * len(self.inputs)


@dataclass(eq=False)
class Move(Step):
    """Channels at other places: flattened, chunked, shuffled, padded with zeros. source: where each stood, or ABSENT.

    pads: of the image's borders (left, right, top, bottom), where zeros come there too. turned: the pixels change places
    within their channel. part: which of several that the operation gives.
    """

    source: Tensor
    pads: tuple[int, ...] = ()
    turned: bool = False
    part: int | None = None

    def present(self, of: Presence, like: Tensor) -> Tensor:  # noqa: ARG002
        """Where the channel stood."""
        before = of(self.inputs[0])
        source = self.source.to(before.device)
        return torch.where(source >= 0, before[source.clamp_min(0)], 0.0)

    def needed(self, kept: Tensor) -> Sequence[Tensor]:
        """A channel is needed as far as any of its places is."""
        source = self.source.to(kept.device)
        start = kept.new_zeros(self.inputs[0].width)
        there = source >= 0
        return [start.scatter_reduce(0, source[there], kept[there], "amax", include_self=True)]


@dataclass(eq=False)
class Fold(Step):
    """Channels along two axes of which one is taken as theirs: each there is all those beside it, which stay together.

    source: where those beside one another stood (r, n). behind: whether the axis of the n lies behind that of the r.
    """

    source: Tensor
    behind: bool

    def present(self, of: Presence, like: Tensor) -> Tensor:  # noqa: ARG002
        """Where any of those beside one another is there."""
        return of(self.inputs[0])[self.source].amax(0)

    def needed(self, kept: Tensor) -> Sequence[Tensor]:
        """All of those beside one another."""
        start = kept.new_zeros(self.inputs[0].width)
        return [start.scatter_reduce(0, self.source.flatten(), kept.expand(self.source.shape).flatten(), "amax")]


class Output(Step):
    """What the network returns."""
