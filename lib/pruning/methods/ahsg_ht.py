"""AHSG-HT: gradient steps with a heavy ball, growing mini-batches, and a hard threshold on filters after the step.

Zhou, Yuan, Feng, "Efficient Stochastic Gradient Hard Thresholding", NeurIPS 2018,
https://papers.nips.cc/paper/2018/hash/ec5aa0b7846082a2415f0902f0da88f2-Abstract.html
Reference: favorxin/AHSG-HT-pruning-with-KD, AHSG_HT.py and iter_pruning/cifar10_resnet_or.py.

The threshold is `lib.pruning.thresholding`.
Departs: the heavy ball acts (see `lib.training.ahsg`); layers are found by name; all layers of one width are thresholded at
once on the device; thresholding may start after a dense warm-up and happen only every so many steps. Dropped filters come back
at the size their gradients had in use (revival: damped; free is the reference). The final masks zero the batch norm's scale,
where the reference leaves it to decay. `start: scratch` with no warm-up is the reference's recipe, in which the random initial
norms decide almost at once which filters live.
"""

import torch

from lib.networks.network import Network
from lib.params.bounds import BelowOne
from lib.params.section import section
from lib.pruning.method import Method, Request
from lib.pruning.thresholding import Thresholding, thresholding
from lib.training.ahsg import AHSG, Variant
from lib.training.sgd import Sgd, groups


@section
class AhsgHtSettings(Thresholding):
    """variant: what makes a step (`lib.training.ahsg`): momentum, weight decay and the heavy ball (sgd), the gradient and the
    heavy ball (paper), or momentum and weight decay (reference: in the released code the heavy ball is always zero).

    heavy_ball: how much of a weight's last change is added to its next one.
    """

    variant: Variant
    heavy_ball: BelowOne


def method(network: Network, params: AhsgHtSettings, request: Request) -> Method:
    """Hard thresholding in training. Raises ValueError when the warm-up leaves no epoch to prune in."""

    def optimizer(parameters: list[torch.nn.Parameter], settings: Sgd) -> torch.optim.Optimizer:
        return AHSG(
            groups(parameters, settings),
            variant=params.variant,
            lr=settings.lr,
            heavy_ball=params.heavy_ball,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
            nesterov=settings.nesterov,
        )

    return thresholding(network, params, request, optimizer)
