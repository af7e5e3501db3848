"""The same small shape trained from random weights: the control for whether pruning found anything worth keeping.

Liu, Sun, Zhou, Huang, Darrell, "Rethinking the Value of Network Pruning", ICLR 2019, https://arxiv.org/abs/1810.05270
Departs: the small network is trained inside the dense one with its masks held from the first step, so that all rows share one
code path; every layer keeps its first filters, since filters of random weights are interchangeable.
"""

import torch

from lib.masks.kept import Kept
from lib.networks.network import Network
from lib.params.section import section
from lib.pruning.held import held
from lib.pruning.method import Common, Method, Request


@section
class ScratchSettings(Common):
    """Nothing of its own; `start` must be scratch for the row to mean what it says."""

    def __post_init__(self) -> None:
        """A scratch control that starts from the dense network would be a lie in the table."""
        if self.start != "scratch":
            msg = f"start must be scratch for this control, got {self.start!r}"
            raise ValueError(msg)


def method(network: Network, params: ScratchSettings, request: Request) -> Method:  # noqa: ARG001 (nothing to set)
    """Keep the first filters of every layer."""
    selection = request.selection(network)
    falling = {name: -torch.arange(float(len(weight))) for name, weight in network.filters().items()}
    return held(network, Kept(selection.choose(falling)))
