"""Non-structured pruning: drop single weights of smallest magnitude, of convolutions and of linear layers.

Han, Pool, Tran, Dally, "Learning both Weights and Connections for Efficient Neural Networks", NeurIPS 2015,
https://arxiv.org/abs/1506.02626; on a falling keep ratio: Zhu, Gupta 2017, https://arxiv.org/abs/1710.01878
Reference: the norm-pruning helper of zhl95/pruing-framework (cb535ec), which nothing calls.

Every filter stays, so no dense kernel gets faster: the table reports the share of zeros. keep_ratio is the share of weights
kept; of `prune.layers`, layers left out and ratios of single layers count, each layer by itself, linear ones too; rounding and
allocation are of filters.
Departs: exactly floor(n keep_ratio) weights stay, ties broken by place (the helper keeps all ties, and fails for ratio 0);
masks are of their own, where the helper writes into the weights. Biases and batch norms are left alone.
"""

from dataclasses import replace
from typing import Literal

import torch

from lib.masks.filters import Masks
from lib.masks.kept import Kept, everything
from lib.masks.weights import Zeros, check, strongest
from lib.networks.network import Network
from lib.params.section import section
from lib.pruning.gradual import Gradual, Pruner, Update, pruning
from lib.pruning.layers import check_patterns, ratio_of
from lib.pruning.method import Method, Request
from lib.pruning.selection import Goal


@section
class WeightSettings(Gradual):
    """scope: the ratio holds in every layer by itself, or for all pruned layers together (global). update: hard or soft."""

    scope: Literal["layer", "global"]
    update: Update


def method(network: Network, params: WeightSettings, request: Request) -> Method:
    """Pruning of single weights by magnitude. Raises ValueError when prune.layers leaves nothing to prune."""
    zeros = Zeros(network)
    ratios = _ratios(network, request)

    def choose(goal: Goal, so_far: Masks) -> Masks:
        # A weight that may not come back ranks below one that is zero by chance.
        ranked = {name: zeros.weights[name].detach().abs().masked_fill(~so_far[name], -1.0) for name in ratios}
        if params.scope == "global":
            return so_far | strongest(ranked, goal(request.keep_ratio), everywhere=True)
        alone = [strongest({name: ranked[name]}, goal(ratio), everywhere=False) for name, ratio in ratios.items()]
        return so_far | {name: mask for chosen in alone for name, mask in chosen.items()}

    weights = {name: weight.detach().isfinite() for name, weight in zeros.weights.items()}
    check(network, weights)
    pruner = Pruner(params, request.epochs, params.update, weights, choose)

    def hold(masks: Masks, optimizer: torch.optim.Optimizer | None) -> None:
        zeros.hold_(masks, optimizer if pruner.hard else None)

    return pruning(pruner, hold, lambda: Kept(everything(network).filters, weights))


def _ratios(network: Network, request: Request) -> dict[str, float]:
    """The keep ratio of every layer that loses weights: by prune.layers for layers that have filters, else the cell's."""
    check_patterns(network, request.layers)
    layers = replace(request.layers, linear=True)
    own = {layer.name: ratio_of(layer, layers, request.keep_ratio) for layer in network.layers}
    ratios = {name: own.get(name, request.keep_ratio) for name in Zeros(network).weights}
    return {name: ratio for name, ratio in ratios.items() if ratio is not None}
