"""PFEC: keep the filters of largest norm, once, then train with the masks held.

Li, Kadav, Durdanovic, Samet, Graf, "Pruning Filters for Efficient ConvNets", ICLR 2017, section 3.1,
https://arxiv.org/abs/1608.08710
Reference: he-y/filter-pruning-geometric-median, VGG_cifar/PFEC_*.py (44fbab4).

Layers are chosen by sensitivity (`python -m tools.sensitivity` measures it) and get ratios or widths of their own in
`prune.layers.keep_ratios`; suites/cifar10-vgg16.yaml has the paper's plan for VGG-16.
Departs: the masked network is trained with the masks held instead of being rebuilt first, which is the same function
(`lib.compaction` proves it).
"""

from typing import Literal

from lib.masks.kept import Kept
from lib.networks.network import Network
from lib.params.section import section
from lib.pruning.held import held
from lib.pruning.method import Common, Method, Request
from lib.pruning.scores import norms


@section
class L1Settings(Common):
    """order: 1 for the sum of absolute weights (the paper), 2 for the Euclidean norm."""

    order: Literal[1, 2]


def method(network: Network, params: L1Settings, request: Request) -> Method:
    """One-shot pruning by norm."""
    selection = request.selection(network)
    return held(network, Kept(selection.choose(norms(network.filters(), params.order))))
