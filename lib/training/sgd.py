"""Stochastic gradient descent, and the settings that every optimizer shares."""

import inspect
from collections.abc import Callable

import torch
from torch import nn

from lib.params.bounds import BelowOne, Fraction, Rate
from lib.params.section import section


@section
class Sgd:
    """Stochastic gradient descent. lr: the learning rate where the schedule's factor is 1. momentum: share of the last step
    that goes on. nesterov: look ahead by the momentum. weight_decay: of all parameters.
    """

    lr: Rate
    momentum: BelowOne
    nesterov: bool
    weight_decay: Fraction

    def __post_init__(self) -> None:
        """There is something to look ahead by."""
        if self.nesterov and self.momentum == 0.0:
            msg = "nesterov looks ahead by the momentum, which is 0.0; set nesterov to false or momentum above 0"
            raise ValueError(msg)


class _EagerSGD(torch.optim.SGD):
    """torch's SGD whose first step does not import torch's compiler (a second of every process) only to keep it out."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step; returns the closure's loss where a closure is given."""
        loss: float | None = inspect.unwrap(torch.optim.SGD.step)(self, closure)
        return loss


def sgd(parameters: list[nn.Parameter], settings: Sgd) -> torch.optim.Optimizer:
    """torch's SGD with fused (foreach) steps."""
    return _EagerSGD(
        parameters,
        lr=settings.lr,
        momentum=settings.momentum,
        nesterov=settings.nesterov,
        weight_decay=settings.weight_decay,
        foreach=True,
    )
