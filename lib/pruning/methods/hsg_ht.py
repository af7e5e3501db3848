"""HSG-HT: AHSG-HT without acceleration: plain gradient steps, growing mini-batches, and the hard threshold.

Zhou, Yuan, Feng, "Efficient Stochastic Gradient Hard Thresholding", NeurIPS 2018, algorithm 1,
https://papers.nips.cc/paper/2018/hash/ec5aa0b7846082a2415f0902f0da88f2-Abstract.html
Reference: none of its own; favorxin/AHSG-HT-pruning-with-KD with the heavy ball at 0.

The preset of `ahsg_ht` with variant paper and heavy ball 0: no momentum and no decay, whatever the training's settings say.
Departs: as `ahsg_ht` does.
"""

import torch

from lib.networks.network import Network
from lib.params.section import section
from lib.pruning.method import Method, Request
from lib.pruning.thresholding import Thresholding, thresholding
from lib.training.ahsg import AHSG
from lib.training.sgd import Sgd


@section
class HsgHtSettings(Thresholding):
    """Those of the threshold."""


def method(network: Network, params: HsgHtSettings, request: Request) -> Method:
    """Hard thresholding in training. Raises ValueError when the warm-up leaves no epoch to prune in."""

    def optimizer(parameters: list[torch.nn.Parameter], settings: Sgd) -> torch.optim.Optimizer:
        plain = {"heavy_ball": 0.0, "momentum": 0.0, "weight_decay": 0.0}
        return AHSG(parameters, variant="paper", lr=settings.lr, nesterov=False, **plain)

    return thresholding(network, params, request, optimizer)
