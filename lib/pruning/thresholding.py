"""Hard thresholding while training: after the step every layer keeps its strongest filters and zeroes the others.

The Euclidean projection onto networks with so many filters: the weights, bias and batch-norm shift of filters of small L2 norm
become zero. Their gradients go on, so a dropped filter may come back (`lib.pruning.revival` says how).
"""

from collections.abc import Callable

import torch

from lib.masks.filters import Holder, Masks, changed
from lib.masks.kept import Kept
from lib.networks.network import Network
from lib.params.bounds import EpochsOrNone, Every, Steps
from lib.params.section import section
from lib.pruning.method import Common, Method, Request
from lib.pruning.revival import Damping, Revival
from lib.pruning.scores import norms
from lib.pruning.selection import Selection
from lib.training.hooks import Moment
from lib.training.schedules import BatchSize
from lib.training.sgd import Sgd

MEASURE_EVERY = 20  # thresholds; what filters in use look like changes slowly


@section
class Thresholding(Common):
    """warmup_epochs: epochs of dense training before the first threshold. warmup_steps: the same in steps; the longer one
    counts. every: steps from one threshold to the next.

    mask_momentum: also clear the optimizer's buffers of dropped filters. revival: how filters come back
    (`lib.pruning.revival`): damped, or free as batch norm blows their gradients up (the reference). batches: growing
    mini-batches (null: as the others).
    """

    warmup_epochs: EpochsOrNone
    warmup_steps: Steps
    every: Every
    mask_momentum: bool
    revival: Revival
    batches: BatchSize | None


class Threshold:
    """Projects a network onto its strongest filters; remembers the masks of the last epoch to tell how many changed."""

    def __init__(self, network: Network, selection: Selection, revival: Revival) -> None:
        self.selection = selection
        self.damping = Damping(network) if revival == "damped" else None
        self.holder = Holder(network, scale=False)
        self.last = self.choose()

    def choose(self) -> Masks:
        """The filters of largest L2 norm."""
        return self.selection.choose(norms(self.holder.filters, 2))

    def __call__(self, optimizer: torch.optim.Optimizer | None, *, measure: bool) -> None:
        """Zero the others; with an optimizer, in its buffers too. measure: let the damping look at the filters in use."""
        masks = self.choose()
        if self.damping is not None:
            self.damping.note_(masks, measure=measure)
        self.holder.hold_(masks, optimizer)

    def churn(self, _: Moment) -> dict[str, float]:
        """How many filters changed sides since the last call."""
        now = self.choose()
        moved = changed(self.last, now)
        for name, mask in now.items():
            self.last[name].copy_(mask)
        return {"mask_changes": float(moved)}


Optimizer = Callable[[list[torch.nn.Parameter], Sgd], torch.optim.Optimizer]


def thresholding(network: Network, params: Thresholding, request: Request, optimizer: Optimizer) -> Method:
    """The hooks. Raises ValueError when the warm-up leaves no epoch to prune in."""
    if params.warmup_epochs >= request.epochs:
        msg = f"warmup_epochs must be below the {request.epochs} epochs of the training, got {params.warmup_epochs}"
        raise ValueError(msg)
    threshold = Threshold(network, request.selection(network), params.revival)

    def after_step(moment: Moment) -> None:
        warm = moment.epoch >= params.warmup_epochs and moment.step >= params.warmup_steps
        if warm and moment.step % params.every == 0:
            measure = moment.step // params.every % MEASURE_EVERY == 0
            threshold(moment.optimizer if params.mask_momentum else None, measure=measure)

    return Method(
        kept=lambda: Kept(threshold.choose()),
        optimizer=optimizer,
        after_step=after_step,
        after_epoch=threshold.churn,
        batches=params.batches,
        state={**threshold.last, **(threshold.damping.state if threshold.damping else {})},
    )
