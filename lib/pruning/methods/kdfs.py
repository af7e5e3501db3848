"""KDFS: a sampler learns which filters to draw, under a penalty on the MACs, while the network learns with those drawn.

Li, Chen, Zhang, Zheng, Wang, "Distilling Knowledge by a Differential Filter Sampler", 2023, https://arxiv.org/abs/2307.00198
Reference: Osilly/KDFS, train.py, model/student, utils/loss.py (7b429e2).

loss = CE + guide terms (the source: kd 0.05 and rc 1000, masked filter modelling) + penalty (macs / dense macs - target)^2.
After the search the masks are fixed and the network is trained on for `finetune_epochs`.
Departs: masks multiply outputs (of batch norms, and of layers that have none) and not the weights, so that the compact network
is exactly the searched one; MACs are those of `lib.cost.differentiable`, right for every network; batch-norm statistics are
averaged anew when masks are fixed; a layer keeps at least one filter; masks are fixed where the MACs meet the target
(threshold: budget) or at even odds (zero, the source); the guide goes on through the fine-tuning, where the source has the
cross entropy alone; which layers are searched is `prune.layers` (the source: convention blocks); schedule and length are the
suite's, and Adamax runs at `lr_factor` times its rate; numbers of filters follow `prune.layers.multiple`, and a budget of
`prune.layers.allocation` takes the odds for scores. The source begins from random weights: start: scratch with keep_bias 0.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from lib.channels.description import Description
from lib.channels.flow import direct, presence
from lib.channels.steps import Depthwise, Join, Layer, Scale, Step, Value
from lib.cost.differentiable import Macs
from lib.masks.filters import Holder, Masks, full
from lib.masks.kept import Kept
from lib.networks.batch_norms import BATCH, recalibrate_
from lib.networks.network import Network
from lib.params.bounds import Calibration, EpochsOrNone, Factor, Share, Temperature, Weight
from lib.params.section import section
from lib.pruning.allocation import fitted
from lib.pruning.groups import Group
from lib.pruning.kdfs_sampler import Sampler, nearest, temperature_at
from lib.pruning.method import Common, Method, Request
from lib.training.hooks import Moment
from lib.training.sgd import Sgd, groups

TOLERANCE = 0.01  # of the target, beyond which the run says by how much it missed


@section
class KdfsSettings(Common):
    """macs_ratio: target share of the dense MACs; null: what the cell's keep ratio leaves if every layer keeps that share.

    penalty: weight of the penalty on the MACs in the loss. finetune_epochs: of the training's epochs, those after the search.
    temperature_first: what the search begins from; each epoch, the first one too, multiplies by the same factor.
    temperature_last: in the last epoch of the search. keep_bias: how much the samplers prefer to keep at first.
    lr_factor: what Adamax trains weights at, times the training's learning rate. sampler_lr_factor: the same for the samplers.
    decoupled_decay: weights decay apart from Adamax's scaling, which otherwise shrinks dropped filters at full rate.
    threshold: masks are fixed where the MACs meet the target (budget), or at even odds (zero, the source).
    calibration: images to average batch-norm statistics over.
    """

    macs_ratio: Share | None
    penalty: Weight
    finetune_epochs: EpochsOrNone
    temperature_first: Temperature
    temperature_last: Temperature
    keep_bias: Annotated[float, Field(ge=-100.0, le=100.0)]
    lr_factor: Factor
    sampler_lr_factor: Factor
    decoupled_decay: bool
    threshold: Literal["budget", "zero"]
    calibration: Calibration


class Search:
    """The sampled network: hooks on the batch norms, the masks of the moment, and their end."""

    def __init__(self, network: Network, params: KdfsSettings, request: Request) -> None:
        """Raises ValueError when fine-tuning leaves no epoch to search in."""
        self.epochs = request.epochs - params.finetune_epochs
        if self.epochs < 1:
            msg = f"kdfs: finetune_epochs must be below the {request.epochs} epochs, got {params.finetune_epochs}"
            raise ValueError(msg)
        self.network, self.params, self.request = network, params, request
        self.holder = Holder(network)
        self.device = network.device
        self.selection = request.selection(network)
        self.groups = self.selection.pruned
        if not self.groups:
            msg = "kdfs: prune.layers leaves no layer to search in; widen its convention or shorten leave_out"
            raise ValueError(msg)
        self.sampler = Sampler([group.width for group in self.groups], params.keep_bias, request.generator, self.device)
        self.macs = Macs(network, request.shape, coupled=request.coupled)
        self.all_kept = {name: mask.to(self.device) for name, mask in full(network).items()}
        self.dense = float(self.macs(self.all_kept))
        self.target = self._evenly() if params.macs_ratio is None else params.macs_ratio
        self.epoch = torch.zeros((), dtype=torch.int64)  # finished ones
        self.masks = {name: mask.clone() for name, mask in self.all_kept.items()}  # final once the search is over
        self.drawn = self.spread(self.sampler.ticket())
        self.direct, self.gates = direct(network.description.steps), gates(network, coupled=request.coupled)
        self.there = self.spread_out(self.drawn)
        network.register_forward_pre_hook(self._draw)
        for name, value in self.gates.items():
            network.get_submodule(name).register_forward_hook(self._mask(value))

    @property
    def over(self) -> bool:
        """Whether the masks are final."""
        return int(self.epoch) >= self.epochs

    def spread(self, kept: Tensor) -> dict[str, Tensor]:
        """Decisions of all groups (N,) -> by layer; layers that are not pruned are whole."""
        parts = kept.split(self.sampler.widths)
        chosen = dict(zip(self.groups, parts, strict=True))
        return self.selection.spread(chosen, {name: mask.to(kept.dtype) for name, mask in self.all_kept.items()})

    def spread_out(self, masks: dict[str, Tensor]) -> Mapping[Value, Tensor]:
        """How far every channel of every value is there."""
        found = {value: masks[layer] for value, layer in self.direct.items() if layer in masks}
        if all(value in found for value in self.gates.values()):
            return found
        return presence(self.network.description.steps, masks, next(iter(masks.values())))

    def share(self, masks: dict[str, Tensor]) -> Tensor:
        """MACs over the dense network's."""
        return self.macs(masks) / self.dense

    def penalty(self) -> Tensor:
        """Squared miss of the target by the masks drawn last; 0 once they are final."""
        if self.over:
            return self.sampler.logits.sum() * 0.0
        return (self.params.penalty * (self.share(self.drawn) - self.target).square()).float()

    def _evenly(self) -> float:
        """The share of the MACs to reach: what the keep ratio leaves in every layer, or means itself under a budget."""
        if self.selection.budget is not None:
            return self.request.keep_ratio
        evenly = replace(self.request.layers, allocation="uniform")
        ones = {name: mask.float() for name, mask in self.all_kept.items()}
        uniform = replace(self.request, layers=evenly).selection(self.network).choose(ones)
        return float(self.macs(uniform)) / self.dense

    def decide(self) -> Masks:
        """The masks without noise: at even odds, or at the odds whose MACs come closest to the target.

        Under a budget of prune.layers they are what it chooses by these odds.
        """
        if self.selection.budget is not None:
            return self._spread_all(self.selection.allocated(self._preferred(), lambda keep_ratio: keep_ratio))
        if self.params.threshold == "zero":
            return self._fitted(self.sampler.ticket())
        levels = self.sampler.margins().unique()  # rising; above a higher one fewer filters stay
        best = nearest(len(levels), lambda index: float(self.share(self._above(levels, index))), self.target)
        return self._above(levels, best)

    def finish(self, optimizer: torch.optim.Optimizer) -> None:
        """Fix the masks; the weights go on with a fresh optimizer state."""
        for name, mask in self.decide().items():
            self.masks[name].copy_(mask)
        self.holder.hold_(self.masks)
        optimizer.state.clear()
        sample = self.request.sample(self.params.calibration, BATCH)
        recalibrate_(self.network, (images.to(self.network.dtype) for images, _ in sample))

    def after_epoch(self, moment: Moment) -> dict[str, float]:
        """End the search in its last epoch; tells where the masks stand."""
        searching = not self.over
        self.epoch += 1
        if searching and self.over:
            self.finish(moment.optimizer)
        masks = self.masks if self.over else self.spread(self.sampler.ticket())
        return {"macs_ratio": float(self.share(masks)), "undecided_bits": self.sampler.uncertainty()}

    def remark(self) -> str:
        """By how much the target was missed, where that is worth a word."""
        if self.selection.budget is not None:  # met, in its own measure
            return ""
        got = float(self.share(self.final()))
        missed = got / self.target - 1.0
        if abs(missed) <= TOLERANCE:
            return ""
        return f"kdfs: {got:.4f} of the dense MACs are left, {abs(missed):.1%} {'above' if missed > 0 else 'below'} the target"

    def final(self) -> Masks:
        """The masks that training ends with."""
        return self.masks if self.over else self.decide()

    def _above(self, levels: Tensor, index: int) -> Masks:
        return self._fitted(self.sampler.ticket(float("-inf") if index < 0 else float(levels[index])))

    def _fitted(self, kept: Tensor) -> Masks:
        """Decisions of all groups (N,) -> masks of as many filters as may stay (`prune.layers.multiple`), by preference."""
        if all(group.multiple == 1 and group.runs == 1 for group in self.selection.groups):
            return self.spread(kept)
        chosen = dict(zip(self.groups, kept.split(self.sampler.widths), strict=True))
        whole = {group: torch.ones(group.width, dtype=torch.bool, device=self.device) for group in self.selection.groups}
        return self._spread_all(fitted(self.selection.groups, self.selection.arrivals, self._preferred(), whole | chosen))

    def _preferred(self) -> dict[Group, Tensor]:
        """How much keeping is preferred, (width,) by group; groups that are not pruned keep all alike."""
        found = dict(zip(self.groups, self.sampler.margins().split(self.sampler.widths), strict=True))
        return {group: found.get(group, torch.ones(group.width, device=self.device)) for group in self.selection.groups}

    def _spread_all(self, chosen: Mapping[Group, Tensor]) -> Masks:
        return self.selection.spread(chosen, self.all_kept)

    def _draw(self, network: nn.Module, _: object) -> None:
        if self.over:
            return
        ends = self.params.temperature_first, self.params.temperature_last
        temperature = temperature_at(*ends, int(self.epoch) + 1, self.epochs)
        self.drawn = self.spread(self.sampler.draw(temperature) if network.training else self.sampler.ticket())
        self.there = self.spread_out(self.drawn)

    def _mask(self, value: Value) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
        assert value.axis is not None
        shape = [-1, *[1] * (len(value.shape) - value.axis - 1)]  # the same for all calls of a module

        def mask(_: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> Tensor:
            return output if self.over else output * self.there[value].to(output.dtype).view(shape)

        return mask


def gates(network: Network, *, coupled: bool) -> dict[str, Value]:
    """The modules whose outputs masks multiply: batch norms, and layers that something else reads, depthwise ones too.

    Raises ValueError for a network that calls one of them as a function.
    """
    found: dict[str, Value] = {}
    normed = _normed(network.description, coupled=coupled)
    for step in network.description.steps:
        if (isinstance(step, Layer | Depthwise) and step.output not in normed) or _multiplied(step):
            name = step.module if isinstance(step, Scale) else step.name  # type: ignore[attr-defined]
            if step.functional:  # type: ignore[attr-defined]
                msg = f"kdfs multiplies the outputs of modules, and {network.architecture.name} calls {name} as a function; "
                msg += "take another method"
                raise ValueError(msg)
            found[name] = step.output
    return found


def _normed(description: Description, *, coupled: bool) -> set[Value]:
    """The values that multiplied batch norms read and nothing else, or, coupled, nothing but sums of channels that share a
    mask, which such batch norms read in turn.
    """
    readers: dict[Value, list[Step]] = defaultdict(list)
    for step in description.steps:
        for value in step.inputs:
            readers[value].append(step)
    found: set[Value] = set()
    for step in reversed(description.steps):
        classes = description.classes[step.output.numbers]
        others = [one for one in readers[step.output] if not _multiplied(one)]
        summed = [isinstance(one, Join) and torch.equal(description.classes[one.output.numbers], classes) for one in others]
        shared = coupled and all(summed) and all(one.output in found for one in others)
        if len(others) < len(readers[step.output]) and (shared or not others):
            found.add(step.output)
    return found


def _multiplied(step: Step) -> bool:
    return isinstance(step, Scale) and step.is_batch_norm and step.keeps_zero


def _decaying(group: dict[str, Any], params: KdfsSettings) -> dict[str, Any]:
    """A group of weights that decays in Adamax's own way or apart from it."""
    decay = {"weight_decay": 0.0, "decoupled_decay": group["weight_decay"]} if params.decoupled_decay else {}
    return {**group, **decay, "lr_factor": params.lr_factor}


def method(network: Network, params: KdfsSettings, request: Request) -> Method:
    """Search, then fine-tuning with the masks held."""
    search = Search(network, params, request)

    def optimizer(parameters: list[nn.Parameter], settings: Sgd) -> torch.optim.Optimizer:
        weights = [parameter for parameter in parameters if parameter is not search.sampler.logits]
        parted = [_decaying(group, params) for group in groups(weights, settings)]
        sampler = {"params": [search.sampler.logits], "weight_decay": 0.0, "lr_factor": params.sampler_lr_factor}
        return torch.optim.Adamax([*parted, sampler], lr=settings.lr, eps=1e-7, foreach=True)

    def after_step(moment: Moment) -> None:
        for group in moment.optimizer.param_groups:
            if group.get("decoupled_decay"):
                with torch.no_grad():
                    torch._foreach_mul_(group["params"], 1.0 - group["lr"] * group["decoupled_decay"])
        if search.over and moment.whole:
            search.holder.hold_(search.masks, moment.optimizer)

    return Method(
        kept=lambda: Kept(search.final()),
        optimizer=optimizer,
        parameters=(search.sampler.logits,),
        after_step=after_step,
        after_epoch=search.after_epoch,
        held=lambda: Kept(search.masks) if search.over else None,
        penalty=search.penalty,
        state={**search.masks, "kdfs.epoch": search.epoch, "kdfs.draws": search.sampler.draws},
        remark=search.remark,
    )
