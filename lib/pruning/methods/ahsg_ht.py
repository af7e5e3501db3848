"""AHSG-HT: gradient steps with a heavy ball, growing mini-batches, and a hard threshold on filters after the step.

Zhou, Yuan, Feng, "Efficient Stochastic Gradient Hard Thresholding", NeurIPS 2018,
https://papers.nips.cc/paper/2018/hash/ec5aa0b7846082a2415f0902f0da88f2-Abstract.html
Reference: favorxin/AHSG-HT-pruning-with-KD, AHSG_HT.py and iter_pruning/cifar10_resnet_or.py.

After a step every layer keeps the filters of largest L2 norm and zeroes the weights, bias and batch-norm shift of the others
(the Euclidean projection onto networks with so many filters). Gradients stay whole, so a dropped filter may come back.
Departs: the heavy ball acts (see `lib.optim.ahsg`); layers are found by name; all layers of one width are thresholded at once
on the device; thresholding may start after a dense warm-up and happen only every so many steps; the batch norm's scale is
zeroed with the final masks, where the reference leaves it to decay. `start: scratch` with no warm-up is the reference's
recipe, in which the random initial norms decide almost at once which filters live.
"""

from typing import Annotated

import torch
from pydantic import Field, PositiveInt

from lib.networks.network import Network
from lib.optim.ahsg import AHSG, Variant
from lib.params import section
from lib.pruning.masks import Holder, Masks, changed
from lib.pruning.method import Common, Method, Moment, Request, Sgd
from lib.pruning.scores import norms
from lib.pruning.selection import Selection
from lib.schedules import BatchSize


@section
class Params(Common):
    """variant, heavy_ball: of the optimizer. warmup_epochs, warmup_steps: train densely for both of them first, then threshold
    after every so many steps (every).

    mask_momentum: also clear the optimizer's buffers of dropped filters. batches: growing mini-batches (null: as the others).
    """

    variant: Variant
    heavy_ball: Annotated[float, Field(ge=0.0, lt=1.0)]
    warmup_epochs: Annotated[int, Field(ge=0)]
    warmup_steps: Annotated[int, Field(ge=0)]
    every: PositiveInt
    mask_momentum: bool
    batches: BatchSize | None


class Threshold:
    """Projects a network onto its strongest filters; remembers the masks of the last epoch to tell how many changed."""

    def __init__(self, network: Network, selection: Selection) -> None:
        self.selection = selection
        self.holder = Holder(network, scale=False)
        self.last = self.choose()

    def choose(self) -> Masks:
        """The filters of largest L2 norm."""
        return self.selection.choose(norms(self.holder.filters, 2))

    def __call__(self, optimizer: torch.optim.Optimizer | None) -> None:
        """Zero the others; with an optimizer, in its buffers too."""
        self.holder.hold_(self.choose(), optimizer)

    def churn(self) -> dict[str, float]:
        """How many filters changed sides since the last call."""
        now = self.choose()
        moved = changed(self.last, now)
        for name, mask in now.items():
            self.last[name].copy_(mask)
        return {"mask_changes": float(moved)}


def method(network: Network, params: Params, request: Request) -> Method:
    """Hard thresholding in training. Raises ValueError when the warm-up leaves no epoch to prune in."""
    if params.warmup_epochs >= request.epochs:
        msg = f"ahsg_ht: warmup_epochs must be below the {request.epochs} epochs of the training, got {params.warmup_epochs}"
        raise ValueError(msg)
    threshold = Threshold(network, Selection(network, request.keep_ratio, coupled=request.coupled))

    def optimizer(parameters: list[torch.nn.Parameter], settings: Sgd) -> torch.optim.Optimizer:
        return AHSG(
            parameters,
            variant=params.variant,
            lr=settings.lr,
            heavy_ball=params.heavy_ball,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
            nesterov=settings.nesterov,
        )

    def after_step(moment: Moment) -> None:
        warm = moment.epoch >= params.warmup_epochs and moment.step >= params.warmup_steps
        if warm and moment.step % params.every == 0:
            threshold(moment.optimizer if params.mask_momentum else None)

    return Method(
        masks=threshold.choose,
        optimizer=optimizer,
        after_step=after_step,
        after_epoch=threshold.churn,
        batches=params.batches,
        state=threshold.last,
    )
