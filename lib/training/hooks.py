"""What a training lets others do: the functions that the loop calls between its steps."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from lib.masks.kept import Kept
from lib.training.schedules import BatchSize
from lib.training.sgd import Sgd, sgd


@dataclass(frozen=True)
class Moment:
    """Where the training stands after a step (or an epoch); both count from 0, step through the whole training.

    whole: whether the network itself was trained, and not what remains of it: then what is dropped must be held at zero.
    """

    epoch: int
    step: int
    optimizer: torch.optim.Optimizer
    whole: bool = True


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """What happens in a training besides its steps; everything has a neutral default.

    optimizer: builds it for the parameters. parameters: extra ones to train. after_step: called after every optimizer step.
    after_epoch: called after an epoch, before its validation; returns numbers for the log. held: what stays from now on, where
    that is settled; the loop may then train what remains alone (`lib.training.remaining`). penalty: a scalar to add to the
    loss. batches: mini-batch sizes instead of the training's. state: tensors that a resumed training must find again, changed
    in place.
    """

    optimizer: Callable[[list[nn.Parameter], Sgd], torch.optim.Optimizer] = sgd
    parameters: tuple[nn.Parameter, ...] = ()
    after_step: Callable[[Moment], None] = lambda _: None
    after_epoch: Callable[[Moment], Mapping[str, float]] = lambda _: {}
    held: Callable[[], Kept | None] = lambda: None
    penalty: Callable[[], Tensor] | None = None
    batches: BatchSize | None = None
    state: Mapping[str, Tensor] = field(default_factory=dict)
