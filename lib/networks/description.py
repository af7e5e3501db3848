"""The words in which a network describes itself: who writes and who reads each channel space.

A *space* is a set of channels that travel together: the output of one convolution, or a residual stream that several
convolutions add to. Pruning, coupling, compaction and cost work on this description alone; nothing is found by its position.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Part = Literal["stem", "inner", "last", "projection"]
Placement = Literal["end", "both"]  # where option A puts its zero channels: behind the others, or half of them before


@dataclass(frozen=True)
class Wire:
    """A prunable convolution with the batch norm behind it, the space it reads and the space it writes (module names).

    part: what it is in the network: the first convolution (stem), one that a single later one reads (inner), the last of a
    residual block (last), or the convolution of a shortcut (projection).
    """

    conv: str
    batch_norm: str
    reads: str
    writes: str
    part: Part


@dataclass(frozen=True)
class Carry:
    """A shortcut that copies space `source` into the channels of space `target` from `offset` on (option A of ResNet)."""

    source: str
    target: str
    offset: int = 0


@dataclass(frozen=True)
class Plan:
    """The channels a network is built with, as indices into its dense form.

    filters: for each convolution the filters it has. spaces: for each space the channels it has; the filters of every
    writer are among them, so a space may be wider than any one writer.
    """

    filters: Mapping[str, tuple[int, ...]]
    spaces: Mapping[str, tuple[int, ...]]

    def positions(self, conv: str, space: str) -> tuple[int, ...]:
        """Where the filters of `conv` land among the channels that `space` has."""
        place = {channel: position for position, channel in enumerate(self.spaces[space])}
        return tuple(place[channel] for channel in self.filters[conv])

    def carried(self, carry: Carry) -> tuple[int, ...]:
        """Where the channels of `carry.source` land among those that `carry.target` has."""
        place = {channel: position for position, channel in enumerate(self.spaces[carry.target])}
        return tuple(place[carry.offset + channel] for channel in self.spaces[carry.source])


@dataclass(frozen=True)
class Architecture:
    """All that decides what a network computes, its weights apart.

    hidden: widths of linear layers (no activation) before the last one. shortcut: of the networks whose shortcuts have no
    weights; `both` is the placement of akamaster/pytorch_resnet_cifar10.
    """

    name: str
    num_classes: int
    in_channels: int
    hidden: tuple[int, ...] = ()
    plan: Plan | None = None
    shortcut: Placement = "end"


def full_plan(wires: tuple[Wire, ...], widths: Mapping[str, int]) -> Plan:
    """The dense network's plan: every filter of every wire, every channel of every space."""
    filters = {wire.conv: tuple(range(widths[wire.writes])) for wire in wires}
    return Plan(filters, {space: tuple(range(width)) for space, width in widths.items()})
