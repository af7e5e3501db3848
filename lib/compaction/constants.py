"""Dropped filters that still answer: with a shift in its batch norm a filter of zeros gives a constant channel, not zero.

Soft filter pruning leaves such networks behind (he-y/soft-filter-pruning zeroes weights alone). A constant channel is as good
as none where it is not positive and a ReLU follows, or where what reads it takes it in exactly. Zero padding is in the way
elsewhere: at the border of an image a 3x3 convolution reads the constant in fewer of its places.
"""

import torch
from torch import Tensor, nn

from lib.masks.filters import Masks
from lib.masks.kept import Kept, apply_
from lib.networks.description import Wire
from lib.networks.network import Network

SILENT = 1e-12  # what a running mean leaves that has decayed for a whole training
RELU_FOLLOWS = ("stem", "inner")  # the others add to a stream first


@torch.no_grad()
def silence_(network: Network, kept: Kept) -> bool:
    """Zero all that belongs to dropped filters, so that the network in eval mode still computes the same.

    Returns whether constants were moved into what reads them. Raises ValueError naming the batch norms whose constants cannot
    be moved, before anything is changed.
    """
    constants = {wire.conv: _constants(network, wire, kept.filters[wire.conv]) for wire in network.wires}
    silent = _silent(network, kept.filters, constants)
    loud: dict[str, Tensor] = {}
    for wire in network.wires:
        values = constants[wire.conv].clamp_min(0.0) if wire.part in RELU_FOLLOWS else constants[wire.conv]
        values = values.masked_fill(silent[wire.writes], 0.0)
        if bool((values.abs() > SILENT).any()):
            loud[wire.conv] = values
    stuck = [wire for wire in network.wires if wire.conv in loud and not _can_move(network, wire)]
    if stuck:
        raise ValueError(_told(stuck, loud))
    for wire in network.wires:
        if wire.conv in loud:
            _move_(network, wire, loud[wire.conv])
    apply_(network, kept)
    return bool(loud)


def _constants(network: Network, wire: Wire, mask: Tensor) -> Tensor:
    """What the batch norm (C_out,) makes of a dropped filter, in float64; 0 where the filter stays."""
    batch_norm, bias = network.batch_norm(wire), network.conv(wire).bias
    assert batch_norm.running_mean is not None
    assert batch_norm.running_var is not None
    scale = batch_norm.weight.double() / (batch_norm.running_var.double() + batch_norm.eps).sqrt()
    before = -batch_norm.running_mean.double() if bias is None else bias.double() - batch_norm.running_mean.double()
    return (batch_norm.bias.double() + scale * before).masked_fill(mask, 0.0)


def _silent(network: Network, masks: Masks, constants: dict[str, Tensor]) -> dict[str, Tensor]:
    """The channels of every space that are zero: nothing writes them but constants that their ReLUs cut off."""
    silent = {space: torch.ones(width, dtype=torch.bool) for space, width in network.widths.items()}
    for wire in network.wires:
        silent[wire.writes] &= ~masks[wire.conv] & (constants[wire.conv] <= SILENT)
    for carry in network.carries:  # in order of computation
        source = silent[carry.source]
        silent[carry.target][carry.offset : carry.offset + len(source)] &= source
    return silent


def _can_move(network: Network, wire: Wire) -> bool:
    """Whether all that reads the space takes a constant in exactly: the linear head, and 1x1 convolutions without padding."""
    readers = [network.conv(reader) for reader in network.wires if reader.reads == wire.writes]
    return wire.writes not in network.streams and all(
        conv.kernel_size == (1, 1) and conv.padding == (0, 0) for conv in readers
    )


def _move_(network: Network, wire: Wire, constants: Tensor) -> None:
    """Add what the constant channels contribute to what reads them: to its bias, or off the mean of its batch norm."""
    for reader in network.wires:
        if reader.reads == wire.writes:
            conv, mean = network.conv(reader), network.batch_norm(reader).running_mean
            assert mean is not None
            added = (conv.weight.double()[:, :, 0, 0] @ constants).to(mean)
            if conv.bias is not None:
                conv.bias.add_(added)
            else:
                mean.sub_(added)
    if network.head_reads == wire.writes:
        head = network.get_submodule(network.head)
        assert isinstance(head, nn.Linear)
        head.bias.add_((head.weight.double() @ constants).to(head.bias))


def _told(stuck: list[Wire], loud: dict[str, Tensor]) -> str:
    named = [f"{wire.batch_norm} ({int(loud[wire.conv].abs().gt(SILENT).sum())})" for wire in stuck[:5]]
    more = f" and {len(stuck) - 5} more" if len(stuck) > 5 else ""
    return (
        f"filters are zero, but their batch norms make constants of them that what follows cannot take in exactly: "
        f"{', '.join(named)}{more}; without these channels the network would compute something else, so zero their shifts "
        f"and means and train it a little where it was made, or import the network before it was pruned"
    )
