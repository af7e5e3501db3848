"""FPGM: drop the filters that the others can replace, those nearest to the geometric median of their layer.

He, Liu, Wang, Hu, Yang, "Filter Pruning via Geometric Median for Deep Convolutional Neural Networks Acceleration", CVPR 2019,
https://arxiv.org/abs/1811.00250
Reference: he-y/filter-pruning-geometric-median, pruning_cifar10.py (44fbab4).

A filter's score is the sum of its distances to the other filters, smallest dropped first (the medoid stands in for the
median). A norm stage may come first: it drops the share `norm_remove` of the filters, by smallest L2 norm; the distance stage
compares the rest among themselves and drops what then is still to go. With `rounding: pruned`, the reference's, each stage
truncates its own number: of 16 filters, 0.3 by norm and 0.1 by distance are 4 + 1, where 0.4 in one go would be 6. The other
roundings, and layers that name a number of filters, count once for both stages.
Departs: cityblock and cosine distances are computed when asked for (the reference computes Euclidean ones whatever it is
told); dropped filters take no part when masks are chosen again, so they neither win nor return while held; momentum of
dropped filters is cleared, not only their gradients; the two stages' shares add up to what the keep ratio drops.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from lib.masks.filters import SLACK, Masks
from lib.networks.network import Network
from lib.params.bounds import BelowOne
from lib.params.section import section
from lib.pruning.gradual import Soft, Update, gradual
from lib.pruning.method import Method, Request
from lib.pruning.scores import Distance, distance_sums, norms
from lib.pruning.selection import Selection


@section
class FpgmSettings(Soft):
    """update: hard (the paper's ResNets) or soft; held hard on a constant keep ratio, `every` changes nothing.

    distance: between two filters of a layer, as vectors. norm_remove: share of all filters that the norm stage drops (0 for
    none). squared: square the distances, as the variant in uuuChen's code does; the ranking is then by distance to the mean
    filter.
    """

    update: Update
    distance: Distance
    squared: bool
    norm_remove: BelowOne


def method(network: Network, params: FpgmSettings, request: Request) -> Method:
    """Pruning by distance sums. Raises ValueError when the norm stage alone would drop more than the keep ratio allows."""
    request = replace(request, first_share=params.norm_remove)
    selection = request.selection(network)
    dropped = [1.0 - group.keep_ratio for group in selection.pruned if group.keep_ratio not in (None, 1.0)]
    if dropped and params.norm_remove > min(dropped) + SLACK:
        msg = f"fpgm: norm_remove must be at most {min(dropped):.4g}, what a layer loses in all, got {params.norm_remove}"
        raise ValueError(msg)
    revival = params.revival if params.update == "soft" else None
    return gradual(network, params, request, lambda so_far: scores(network, params, selection, so_far), revival)


@torch.no_grad()
def scores(network: Network, params: FpgmSettings, selection: Selection, so_far: Masks) -> Mapping[str, Tensor]:
    """Distance sums of the candidates; what the norm stage drops ranks below all of them, by norm."""
    filters = network.filters()
    strengths = {name: values.masked_fill(~so_far[name], -torch.inf) for name, values in norms(filters, 2).items()}
    candidates = selection.choose(strengths, lambda _: 1.0 - params.norm_remove)
    found = {}
    for name, weight in filters.items():
        among = candidates[name] & so_far[name]
        sums = distance_sums(weight, among, params.distance, squared=params.squared)
        weakest = strengths[name] - strengths[name].max() - 1.0  # negative, where distances are not
        found[name] = torch.where(among, sums, weakest.to(sums.dtype))
    return found
