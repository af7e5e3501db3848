"""A physically smaller network that computes the same function as the masked one, and the proof that it does.

Two modes, both exact. *scatter*: every convolution keeps its own filters, the residual stream stays at full width and what a
block computes is added into it at the kept channels. *coupled*: a stream channel that no writer uses goes too.

After favorxin/AHSG-HT-pruning-with-KD (Prun_Resnet.py) and he-y/soft-filter-pruning (utils/get_small_model.py).
Departs: masks decide what is kept (the references count anew and keep one filter more); biases are copied; the plan of
kept channels is stored with the network; nothing is added in place; equality is checked on real images.
"""

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from lib.masks.kept import Kept, as_indices, check
from lib.networks import build
from lib.networks.description import Plan
from lib.networks.network import Network

Mode = Literal["scatter", "coupled"]


def channel_plan(network: Network, kept: Kept, mode: Mode) -> Plan:
    """The channels that stay. Raises ValueError for masks that do not fit or a network that is compact already."""
    check(network, kept)
    if network.architecture.plan is not None:
        msg = "the network is compact already; compact the masked network it was made from"
        raise ValueError(msg)
    filters = {name: tuple(indices) for name, indices in as_indices(kept.filters).items()}
    needed: dict[str, set[int]] = {}
    for wire in network.wires:
        needed.setdefault(wire.writes, set()).update(filters[wire.conv])
    for carry in network.carries:  # in order of computation, so that a channel is carried all the way
        needed[carry.target] |= {carry.offset + channel for channel in needed[carry.source]}
    whole = {"input"} | (network.streams if mode == "scatter" else set())
    spaces = {
        space: tuple(range(width)) if space in whole else tuple(sorted(needed[space]))
        for space, width in network.widths.items()
    }
    return Plan(filters, spaces)


@torch.no_grad()
def compact(network: Network, kept: Kept, mode: Mode) -> Network:
    """The small network, in eval mode, on the masked network's device and in its precision."""
    plan = channel_plan(network, kept, mode)
    small = build(replace(network.architecture, plan=plan)).to(network.conv(network.wires[0]).weight)
    target, source = small.state_dict(), network.state_dict()
    for name, tensor in target.items():
        tensor.copy_(_cut(network, plan, name, source[name]))
    return small.eval()


def _cut(network: Network, plan: Plan, name: str, tensor: Tensor) -> Tensor:
    """The part of a dense tensor that the plan keeps."""
    module = name.rpartition(".")[0]
    for wire in network.wires:
        if module == wire.conv and tensor.dim() == 4:
            return tensor[list(plan.filters[wire.conv])][:, list(plan.spaces[wire.reads])]
        if module in (wire.conv, wire.batch_norm) and tensor.dim() == 1:
            return tensor[list(plan.filters[wire.conv])]
    if module == network.head and tensor.dim() == 2:
        return tensor[:, list(plan.spaces[network.head_reads])]
    return tensor
