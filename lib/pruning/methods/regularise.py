"""Push filters apart while training, by a penalty on their cosine similarity, and drop the weakest on the way.

Reference: zhl95/pruing-framework, mode regu (cb535ec), which adds the gradient of mean |cos(F_i, F_j)| to that of the weights;
no paper. Related: Rodriguez et al., "Regularizing CNNs with Locally Constrained Decorrelations", ICLR 2017,
https://arxiv.org/abs/1611.01967

penalty = strength x the sum over layers of the mean |cos| over pairs of different filters that are still there.
Departs: the diagonal, a constant 1, is left out, as are pairs with a dropped filter; the penalty is a term of the loss, so it
is logged; the reference prunes nothing in this mode, here the filters of smallest L2 norm go (hard).
"""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from lib.networks.network import Network
from lib.params.bounds import Weight
from lib.params.section import section
from lib.pruning.gradual import Gradual, gradual
from lib.pruning.method import Method, Request
from lib.pruning.scores import norms


@section
class RegulariseSettings(Gradual):
    """strength: weight of the penalty in the loss."""

    strength: Weight


def method(network: Network, params: RegulariseSettings, request: Request) -> Method:
    """Hard pruning by norm under a penalty on similarity."""
    made = gradual(network, params, request, lambda _: norms(network.filters(), 2))
    masks = made.masks()
    filters = network.filters()

    def penalty() -> Tensor:
        return params.strength * torch.stack([similarity(weight, masks[name]) for name, weight in filters.items()]).sum()

    return replace(made, penalty=penalty)


def similarity(weight: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute cosine over the pairs of different kept filters of (C_out, C_in, kH, kW); 0 where there is no pair."""
    unit = functional.normalize(weight.flatten(1).float(), dim=1) * mask[:, None]
    count = mask.sum()
    pairs = (unit @ unit.T).abs().fill_diagonal_(0.0)
    return pairs.sum() / (count * (count - 1)).clamp_min(1)
