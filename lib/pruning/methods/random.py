"""Keep filters drawn at random, once, then train with the masks held: the control that every criterion must beat.

After Mittal, Bhardwaj, Khapra, Ravindran, "Recovering from Random Pruning", WACV 2018, https://arxiv.org/abs/1801.10447
"""

from lib.masks.kept import Kept
from lib.networks.network import Network
from lib.pruning.held import held
from lib.pruning.method import Common, Method, Request
from lib.pruning.scores import uniform


def method(network: Network, params: Common, request: Request) -> Method:  # noqa: ARG001 (nothing to set)
    """One-shot pruning by chance."""
    selection = request.selection(network)
    return held(network, Kept(selection.choose(uniform(network.filters(), request.generator))))
