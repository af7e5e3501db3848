"""Pruning while training: masks chosen again after some epochs, on a keep ratio that may fall, held hard or softly.

soft: what is dropped is set to zero after the epoch and then trained on like everything else, so it may come back (He et al.,
"Soft Filter Pruning", IJCAI 2018). hard: weights, batch norm and momentum of what is dropped stay zero through every step,
and what was dropped once is never chosen again.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from lib.masks.filters import Holder, Masks, changed, full
from lib.masks.kept import Kept
from lib.networks.network import Network
from lib.params.bounds import Every
from lib.params.section import section
from lib.pruning.keep_schedule import KeepSchedule, keep_at
from lib.pruning.method import Common, Method, Request
from lib.pruning.revival import Damping, Revival
from lib.pruning.selection import Goal
from lib.training.hooks import Moment


@section
class Gradual(Common):
    """every: epochs between choices (the last epoch always ends with one); null: once, before the first epoch.

    keep_schedule: the keep ratio at the choices on the way to the cell's.
    """

    every: Every | None
    keep_schedule: KeepSchedule


@section
class Soft(Gradual):
    """revival: how filters grow back (`lib.pruning.revival`): damped, or free as batch norm blows their gradients up."""

    revival: Revival


Update = Literal["soft", "hard"]
Score = Callable[[Masks], Mapping[str, Tensor]]
Choose = Callable[[Goal, Masks], Masks]


class Pruner:
    """Chooses masks at their times. What a mask covers (filters or single weights) is the caller's affair."""

    def __init__(self, params: Gradual, epochs: int, update: Update, masks: Masks, choose: Choose) -> None:
        """masks: the ones to start from, which keep everything; choose(goal, masks so far) -> masks.

        Raises ValueError for soft pruning that chooses once: what was dropped would be trained and then dropped for good.
        """
        if update == "soft" and params.every is None:
            msg = "soft pruning needs `every`, the epochs between choices of masks, got null; write a number"
            raise ValueError(msg)
        self.params = params
        self.epochs = epochs
        self.hard = update == "hard"
        self.everything = {name: mask.clone() for name, mask in masks.items()}
        self.masks = masks
        self.choose = choose

    @property
    def begins_pruned(self) -> bool:
        """From random weights nothing is dropped before it was trained, unless the one choice must be made there."""
        return self.params.start == "dense" or self.params.every is None

    def due(self, epoch: int) -> bool:
        """Whether masks are chosen again after an epoch (counted from 0)."""
        every = self.params.every
        return every is not None and ((epoch + 1) % every == 0 or epoch + 1 == self.epochs)

    def goal(self, done: float) -> Goal:
        """From a final keep ratio to that of a moment of the training (0 to 1)."""
        return lambda keep_ratio: keep_at(self.params.keep_schedule, keep_ratio, done)

    def refresh(self, done: float) -> int:
        """Choose for a moment of the training (0 to 1); returns how many changed sides."""
        if self.params.every is None:
            done = 1.0
        so_far = self.masks if self.hard else self.everything
        chosen = self.choose(self.goal(done), so_far)
        moved = changed(self.masks, chosen)
        for name, mask in chosen.items():
            self.masks[name].copy_(mask)
        return moved


def gradual(network: Network, params: Gradual, request: Request, score: Score, revival: Revival | None = None) -> Method:
    """Prune filters by `score`, which is given the masks of the filters that may be chosen; softly where revival says how."""
    selection, holder = request.selection(network), Holder(network)
    damping = Damping(network) if revival == "damped" else None
    update: Update = "hard" if revival is None else "soft"

    def choose(goal: Goal, so_far: Masks) -> Masks:
        scores = score(so_far)
        allowed = {name: values.masked_fill(~so_far[name], -torch.inf) for name, values in scores.items()}
        return selection.choose(allowed, goal)

    def hold(masks: Masks, optimizer: torch.optim.Optimizer | None) -> None:
        if update == "hard":
            holder.hold_(masks, optimizer)
        else:
            if damping is not None:
                damping.note_(masks)
            holder.zero_weights_(masks)

    masks = {name: mask.to(holder.filters[name].device) for name, mask in full(network).items()}
    made = pruning(Pruner(params, request.epochs, update, masks, choose), hold, lambda: Kept(masks))
    return made if damping is None else replace(made, state={**made.state, **damping.state})


Hold = Callable[[Masks, torch.optim.Optimizer | None], None]


def pruning(pruner: Pruner, hold: Hold, kept: Callable[[], Kept]) -> Method:
    """The hooks that drive a pruner. hold(masks, optimizer): zero what is dropped.

    Raises ValueError, before any training, where no curve of the schedule leads to a layer's keep ratio.
    """
    if pruner.begins_pruned:
        pruner.refresh(0.0)
        hold(pruner.masks, None)
    else:
        pruner.choose(pruner.goal(0.0), pruner.everything)  # for its refusals alone

    def after_step(moment: Moment) -> None:
        if pruner.hard:
            hold(pruner.masks, moment.optimizer)

    def after_epoch(moment: Moment) -> dict[str, float]:
        if not pruner.due(moment.epoch):
            return {}
        moved = pruner.refresh((moment.epoch + 1) / pruner.epochs)
        hold(pruner.masks, moment.optimizer)
        return {"mask_changes": float(moved)}

    return Method(kept=kept, after_step=after_step, after_epoch=after_epoch, state=pruner.masks)
