"""SFP: after every k-th epoch the filters of smallest norm are set to zero, and then trained on like all others.

He, Kang, Dong, Fu, Yang, "Soft Filter Pruning for Accelerating Deep Convolutional Neural Networks", IJCAI 2018,
https://arxiv.org/abs/1808.06866
Reference: he-y/soft-filter-pruning, pruning_cifar10_resnet.py and utils (919c399).

A dropped filter keeps its momentum and its batch norm and gets gradients, so it may grow back until the last epoch.
Departs: gradients of dropped filters have the size they had in use (revival: damped; free is the reference); from random
weights nothing is dropped before the first epoch (the reference does, and kills filters whose gate never opens again); the
last masks also zero the batch norm of what they drop, so that the small network is exactly the masked one; what is kept of a
layer is rounded as `prune.layers.rounding` says (the reference: pruned); projections are pruned or not by
`prune.layers.convention`.
"""

from typing import Literal

from lib.networks.network import Network
from lib.params.section import section
from lib.pruning.gradual import Soft, gradual
from lib.pruning.method import Method, Request
from lib.pruning.scores import norms


@section
class SfpSettings(Soft):
    """order: 2 for the Euclidean norm (the paper), 1 for the sum of absolute weights."""

    order: Literal[1, 2]


def method(network: Network, params: SfpSettings, request: Request) -> Method:
    """Soft pruning by norm. Raises ValueError when it is to choose only once."""
    return gradual(network, params, request, lambda _: norms(network.filters(), params.order), params.revival)
