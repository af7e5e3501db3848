"""Stochastic gradient descent, and the settings that every optimizer shares."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import nn

from lib.params.bounds import BelowOne, Fraction, Rate
from lib.params.section import section


@section
class Sgd:
    """Stochastic gradient descent. lr: the learning rate where the schedule's factor is 1. momentum: share of the last step
    that goes on. nesterov: look ahead by the momentum. weight_decay: how strongly parameters are drawn to zero. decayed: all,
    or the weights of convolutions and linear layers alone, neither biases nor batch norms.
    """

    lr: Rate
    momentum: BelowOne
    nesterov: bool
    weight_decay: Fraction
    decayed: Literal["all", "weights"]

    def __post_init__(self) -> None:
        """There is something to look ahead by."""
        if self.nesterov and self.momentum == 0.0:
            msg = "nesterov looks ahead by the momentum, which is 0.0; set nesterov to false or momentum above 0"
            raise ValueError(msg)


def groups(parameters: Sequence[nn.Parameter], settings: Sgd) -> list[dict[str, Any]]:
    """The parameters as an optimizer's groups, by whether they decay; a group that would be empty is left out."""
    if settings.decayed == "all":
        return [{"params": list(parameters), "weight_decay": settings.weight_decay}]
    weights = [parameter for parameter in parameters if parameter.dim() > 1]
    others = [parameter for parameter in parameters if parameter.dim() <= 1]
    parted = ((weights, settings.weight_decay), (others, 0.0))
    return [{"params": some, "weight_decay": decay} for some, decay in parted if some]


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
        groups(parameters, settings),
        lr=settings.lr,
        momentum=settings.momentum,
        nesterov=settings.nesterov,
        foreach=True,
    )
