"""Averaged weights: what a training ends with is the average of its last steps, with batch norms estimated anew.

Izmailov, Podoprikhin, Garipov, Vetrov, Wilson, "Averaging Weights Leads to Wider Optima and Better Generalization", UAI 2018,
https://arxiv.org/abs/1803.05407; Polyak, Juditsky, "Acceleration of Stochastic Approximation by Averaging", 1992.
Reference: timgaripov/swa, train.py and utils.py.

    n-th average = (n-1)-th average + share * (weights - (n-1)-th average),   share = 1 / n (swa) or 1 - decay (ema)

Departs: every step counts, where the reference takes one sample an epoch; the schedule of the learning rate goes on.
"""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from lib.networks.batch_norms import recalibrate_
from lib.params.bounds import BelowOne, Calibration, Inside
from lib.params.section import section


@section
class Swa:
    """The plain mean of the weights. start: share of the training before it. images: of the training split, to estimate the
    batch norms of the averaged network with.
    """

    kind: Literal["swa"]
    start: BelowOne
    images: Calibration


@section
class Ema:
    """An exponential moving average. decay: share of the average that a step leaves. start, images: as for swa."""

    kind: Literal["ema"]
    decay: Inside
    start: BelowOne
    images: Calibration


Averaging = Annotated[Swa | Ema, Field(discriminator="kind")]


class Average:
    """The average of a network's parameters so far."""

    def __init__(self, network: nn.Module, settings: Swa | Ema) -> None:
        self.parameters: list[Tensor] = list(network.parameters())
        self.settings = settings
        self.values: list[Tensor] = []
        self.count = 0

    @torch.no_grad()
    def add_(self) -> None:
        """Take the weights of the moment in."""
        self.count += 1
        if self.count == 1:
            self.values = [parameter.detach().clone() for parameter in self.parameters]
            return
        share = 1.0 - self.settings.decay if isinstance(self.settings, Ema) else 1.0 / self.count
        torch._foreach_mul_(self.values, 1.0 - share)
        torch._foreach_add_(self.values, self.parameters, alpha=share)

    @torch.no_grad()
    def put_(self, network: nn.Module, images: Iterable[Tensor]) -> None:
        """Make the average the network's weights, and estimate its batch norms by mini-batches (B, C, H, W)."""
        torch._foreach_copy_(self.parameters, self.values)
        recalibrate_(network, images)

    def forget_(self) -> None:
        """Begin anew."""
        self.values, self.count = [], 0

    def state(self) -> dict[str, Any]:
        """What a resumed training must find again."""
        return {"values": self.values, "count": self.count}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.count = state["count"]
        self.values = [value.to(parameter.device) for value, parameter in zip(state["values"], self.parameters, strict=False)]


def first_step(settings: Swa | Ema, steps: int) -> int:
    """The first of a training's steps after which the average takes weights in; at least the last one counts."""
    return min(int(settings.start * steps), steps - 1)
