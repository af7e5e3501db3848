"""What a pruning method is: a frozen record of functions that the training loop calls.

A method is one file in `lib/pruning/methods/` with a parameter section `Params` (a subclass of Common) and one function
`method(network, params, request) -> Method`. Only `masks` must be given; everything else has a neutral default.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from lib.networks.network import Network
from lib.params import section
from lib.pruning.masks import Holder, Masks, check
from lib.schedules import BatchSize


@section
class Sgd:
    """Stochastic gradient descent: learning rate at factor 1, momentum, decay of all parameters."""

    lr: Annotated[float, Field(gt=0.0)]
    momentum: Annotated[float, Field(ge=0.0, lt=1.0)]
    nesterov: bool
    weight_decay: Annotated[float, Field(ge=0.0)]


@section
class Common:
    """Settings that every method has.

    start: the trained network, or random weights (the training is then longer, so that every row of the table has seen as
    many epochs). guide: distillation terms that the teacher adds while pruning, with their weights; {} for none.
    """

    start: Literal["teacher", "scratch"]
    guide: Mapping[str, float]


@dataclass(frozen=True)
class Request:
    """What is asked of a method. epochs: of the training it prunes in. generator: for the choices it makes at random."""

    keep_ratio: float
    coupled: bool
    epochs: int
    generator: torch.Generator


@dataclass(frozen=True)
class Moment:
    """Where the training stands after a step; epoch and step count from 0, step through the whole training."""

    epoch: int
    step: int
    optimizer: torch.optim.Optimizer


def sgd(parameters: list[nn.Parameter], settings: Sgd) -> torch.optim.Optimizer:
    """torch's SGD with fused (foreach) steps."""
    return torch.optim.SGD(
        parameters,
        lr=settings.lr,
        momentum=settings.momentum,
        nesterov=settings.nesterov,
        weight_decay=settings.weight_decay,
        foreach=True,
    )


@dataclass(frozen=True)
class Method:
    """The hooks of a method.

    masks: the final masks, asked for when training ends. optimizer: builds it for the parameters. parameters: extra ones to
    train. after_step: called after every optimizer step. after_epoch: returns numbers for the epoch's log. penalty: a scalar
    to add to the loss. batches: mini-batch sizes of the method's own, instead of the training's. state: tensors that a
    resumed training must find again, changed in place.
    """

    masks: Callable[[], Masks]
    optimizer: Callable[[list[nn.Parameter], Sgd], torch.optim.Optimizer] = sgd
    parameters: tuple[nn.Parameter, ...] = ()
    after_step: Callable[[Moment], None] = lambda _: None
    after_epoch: Callable[[], Mapping[str, float]] = dict
    penalty: Callable[[], Tensor] | None = None
    batches: BatchSize | None = None
    state: Mapping[str, Tensor] = field(default_factory=dict)


def held(network: Network, masks: Masks) -> Method:
    """Train with fixed masks held: what is dropped stays zero through every step, momentum included."""
    check(network, masks)
    holder = Holder(network)
    holder.hold_(masks)
    return Method(masks=lambda: masks, after_step=lambda moment: holder.hold_(masks, moment.optimizer))
