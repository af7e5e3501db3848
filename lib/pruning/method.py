"""What a pruning method is: a frozen record of functions that the training loop calls.

A method is one file in `lib/pruning/methods/` with a parameter section `Params` (a subclass of Common) and one function
`method(network, params, request) -> Method`. Only `masks` must be given; everything else has a neutral default.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from lib.networks.network import Network
from lib.params import section
from lib.pruning.masks import Holder, Masks, check
from lib.pruning.selection import Layers, Selection
from lib.pruning.sparsity import Sparsity, Zeros
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


Sample = Callable[[int, int], Iterator[tuple[Tensor, Tensor]]]


@dataclass(frozen=True)
class Request:
    """What is asked of a method.

    epochs: of the training it prunes in. generator: for the choices it makes at random. shape: (C, H, W) of the images.
    sample(count, size): so many training images in random order, augmented, as mini-batches (images, labels) of `size`; the
    same ones at every call.
    """

    keep_ratio: float
    coupled: bool
    epochs: int
    generator: torch.Generator
    layers: Layers
    shape: tuple[int, int, int]
    sample: Sample

    def selection(self, network: Network) -> Selection:
        """The rule that turns scores into masks."""
        return Selection(network, self.keep_ratio, coupled=self.coupled, layers=self.layers)


@dataclass(frozen=True)
class Moment:
    """Where the training stands after a step (or an epoch); both count from 0, step through the whole training."""

    epoch: int
    step: int
    optimizer: torch.optim.Optimizer


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


@dataclass(frozen=True)
class Method:
    """The hooks of a method.

    masks: the final masks, asked for when training ends. sparsity: the final masks of single weights, for a method that
    prunes those. optimizer: builds it for the parameters. parameters: extra ones to train. after_step: called after every
    optimizer step. after_epoch: called after an epoch, before its validation; returns numbers for the log. penalty: a scalar
    to add to the loss. batches: mini-batch sizes of the method's own, instead of the training's. state: tensors that a
    resumed training must find again, changed in place. remark: what the user should know of the outcome; empty for nothing.
    """

    masks: Callable[[], Masks]
    sparsity: Callable[[], Sparsity] | None = None
    optimizer: Callable[[list[nn.Parameter], Sgd], torch.optim.Optimizer] = sgd
    parameters: tuple[nn.Parameter, ...] = ()
    after_step: Callable[[Moment], None] = lambda _: None
    after_epoch: Callable[[Moment], Mapping[str, float]] = lambda _: {}
    penalty: Callable[[], Tensor] | None = None
    batches: BatchSize | None = None
    state: Mapping[str, Tensor] = field(default_factory=dict)
    remark: Callable[[], str] = lambda: ""


def held(network: Network, masks: Masks, sparsity: Sparsity | None = None) -> Method:
    """Train with fixed masks held: what is dropped stays zero through every step, momentum included."""
    check(network, masks)
    filters, weights = Holder(network), Zeros(network)
    there = {name: mask.to(filters.filters[name].device) for name, mask in masks.items()}  # once, not at every step
    kept = {name: mask.to(weights.weights[name].device) for name, mask in (sparsity or {}).items()}

    def hold(optimizer: torch.optim.Optimizer | None) -> None:
        filters.hold_(there, optimizer)
        weights.hold_(kept, optimizer)

    hold(None)
    return Method(
        masks=lambda: masks,
        sparsity=(lambda: kept) if sparsity else None,
        after_step=lambda moment: hold(moment.optimizer),
    )
