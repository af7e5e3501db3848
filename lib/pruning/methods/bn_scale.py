"""Keep the filters of largest batch-norm scale |gamma|, once, then train with the masks held.

Liu, Li, Shen, Huang, Yan, Zhang, "Learning Efficient Convolutional Networks through Network Slimming", ICCV 2017,
https://arxiv.org/abs/1708.06519
Reference: none; a well-known yardstick.
Departs: the network was not trained with an L1 penalty on the scales, and the ranking is by layer; `prune.layers.allocation:
global` is the paper's.
"""

import torch

from lib.masks.kept import Kept
from lib.networks.network import Network
from lib.pruning.held import held
from lib.pruning.method import Common, Method, Request


def method(network: Network, params: Common, request: Request) -> Method:  # noqa: ARG001 (nothing to set)
    """One-shot pruning by batch-norm scale. Raises ValueError for layers that are to be pruned and have no such scale."""
    selection = request.selection(network)
    pruned = {name for group in selection.pruned for name in group.layers}
    scores, without = {}, []
    for layer in network.layers:
        batch_norm = network.batch_norm(layer)
        scale = None if batch_norm is None else batch_norm.weight
        if scale is None and layer.name in pruned:
            without.append(layer.name)
        scores[layer.name] = torch.ones(layer.width, device=network.device) if scale is None else scale.detach().abs()
    if without:
        names = ", ".join(without[:5]) + (" and others" if len(without) > 5 else "")
        msg = f"bn_scale scores filters by the scales of the batch norm behind them; there are none behind {names}; name "
        msg += "them in prune.layers.leave_out, or take another method"
        raise ValueError(msg)
    return held(network, Kept(selection.choose(scores)))
