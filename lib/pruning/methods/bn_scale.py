"""Keep the filters of largest batch-norm scale |gamma|, once, then train with the masks held.

Liu, Li, Shen, Huang, Yan, Zhang, "Learning Efficient Convolutional Networks through Network Slimming", ICCV 2017,
https://arxiv.org/abs/1708.06519
Reference: none of the five; a well-known yardstick.
Departs: the network was not trained with an L1 penalty on the scales, and the ranking is by layer; `prune.layers.allocation:
global` is the paper's.
"""

from lib.masks.kept import Kept
from lib.networks.network import Network
from lib.pruning.held import held
from lib.pruning.method import Common, Method, Request


def method(network: Network, params: Common, request: Request) -> Method:  # noqa: ARG001 (nothing to set)
    """One-shot pruning by batch-norm scale."""
    scores = {wire.conv: network.batch_norm(wire).weight.detach().abs() for wire in network.wires}
    return held(network, Kept(request.selection(network).choose(scores)))
