"""A physically smaller network that computes the same function as the masked one, and the proof that it does.

Two modes, both exact. *scatter*: every convolution keeps its own filters, the residual stream stays at full width and what a
block computes is added into it at the kept channels. *coupled*: a stream channel that no writer uses goes too.

After favorxin/AHSG-HT-pruning-with-KD (Prun_Resnet.py) and he-y/soft-filter-pruning (utils/get_small_model.py).
Departs: masks decide what is kept (the references count anew and keep one filter more); biases are copied; the plan of
kept channels is stored with the network; nothing is added in place; equality is checked on real images.
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from lib.networks import build
from lib.networks.network import Network, Plan
from lib.pruning.masks import Masks, check

Mode = Literal["scatter", "coupled"]


def channel_plan(network: Network, masks: Masks, mode: Mode) -> Plan:
    """The channels that stay. Raises ValueError for masks that do not fit or a network that is compact already."""
    check(network, masks)
    if network.architecture.plan is not None:
        msg = "the network is compact already; compact the masked network it was made from"
        raise ValueError(msg)
    filters = {name: tuple(mask.nonzero().flatten().tolist()) for name, mask in masks.items()}
    needed: dict[str, set[int]] = {}
    for wire in network.wires:
        needed.setdefault(wire.writes, set()).update(filters[wire.conv])
    for carry in network.carries:  # in order of computation, so that a channel is carried all the way
        needed[carry.target] |= needed[carry.source]
    whole = {"input"} | (network.streams if mode == "scatter" else set())
    spaces = {
        space: tuple(range(width)) if space in whole else tuple(sorted(needed[space]))
        for space, width in network.widths.items()
    }
    return Plan(filters, spaces)


@torch.no_grad()
def compact(network: Network, masks: Masks, mode: Mode) -> Network:
    """The small network, in eval mode, on the masked network's device and in its precision."""
    plan = channel_plan(network, masks, mode)
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
        if module in (wire.conv, wire.norm) and tensor.dim() == 1:
            return tensor[list(plan.filters[wire.conv])]
    if module == network.head and tensor.dim() == 2:
        return tensor[:, list(plan.spaces[network.head_reads])]
    return tensor


@dataclass(frozen=True)
class Difference:
    """Largest absolute difference of logits in both precisions, and how many images change their predicted class."""

    float64: float
    float32: float
    changed_predictions: int
    images: int

    def __str__(self) -> str:
        return (
            f"max-abs logit difference {self.float64:.2e} in float64 and {self.float32:.2e} in float32, "
            f"{self.changed_predictions} of {self.images} predictions changed"
        )


FLOAT64_LIMIT = 1e-9
FLOAT32_LIMIT = 1e-4
FLOAT64_IMAGES = 256  # double precision is slow, and a wrong channel shows on any image


def verify(masked: Network, small: Network, images: list[Tensor]) -> Difference:
    """Compare the two on batches of real, normalised images (B, C, H, W). Raises ValueError unless they are equal."""
    worst, changed, total = 0.0, 0, 0
    with torch.no_grad():
        for batch in images:
            expected, got = masked.eval()(batch), small.eval()(batch)
            worst = max(worst, _max_abs(expected, got))
            changed += int((expected.argmax(1) != got.argmax(1)).sum())
            total += len(batch)
        double = images[0][:FLOAT64_IMAGES].double()
        exact = _max_abs(_double(masked)(double), _double(small)(double))
    found = Difference(exact, worst, changed, total)
    if not (exact < FLOAT64_LIMIT and worst < FLOAT32_LIMIT and changed == 0):
        msg = f"the compact network is not equal to the masked one: {found}. This is a bug in the network's wires or masks"
        raise ValueError(msg)
    return found


def _max_abs(a: Tensor, b: Tensor) -> float:
    # A NaN must not pass as small: max() of Python would drop it.
    return float((a - b).abs().max()) if bool(torch.isfinite(a - b).all()) else float("inf")


def _double(network: Network) -> nn.Module:
    copy = build(network.architecture).double()
    copy.load_state_dict(network.state_dict())
    return copy.to(network.conv(network.wires[0]).weight.device).eval()
