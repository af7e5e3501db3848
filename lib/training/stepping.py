"""One step of a training: losses, gradients, optimizer; by one process or several."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lib.channels.steps import Scale
from lib.networks.network import Network
from lib.training.averaging import Average
from lib.training.hooks import Hooks, Moment
from lib.training.objective import Losses, Objective
from lib.training.processes import PLAIN, share
from lib.training.remaining import Remaining


class _Losses(nn.Module):
    """All that a step differentiates through, as one module: so DistributedDataParallel finds every parameter.

    Network, taps, hooks and masks stay what they are.
    """

    def __init__(self, network: Network, objective: Objective, hooks: Hooks) -> None:
        super().__init__()
        self.network = network
        self.others = nn.ParameterList([*objective.parameters, *hooks.parameters])
        self.parts = (objective, hooks)  # no modules

    def forward(self, images: Tensor, labels: Tensor, indices: Tensor) -> tuple[Tensor, Mapping[str, Tensor], Tensor]:
        objective, hooks = self.parts
        losses = objective(images, labels, indices)
        parts, total = dict(losses.parts), losses.total
        if hooks.penalty is not None:
            parts["penalty"] = hooks.penalty()
            total = total + parts["penalty"]
        return total, parts, losses.logits


@dataclass(frozen=True)
class Now:
    """What is trained at the moment: the network itself or what remains of it, by which objective and optimizer."""

    network: Network
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    remaining: Remaining | None
    losses: nn.Module
    average: Average | None

    def moment(self, epoch: int, step: int) -> Moment:
        """Where it stands."""
        return Moment(epoch, step, self.optimizer, whole=self.remaining is None)

    def step(self, images: Tensor, labels: Tensor, indices: Tensor, precision: torch.autocast) -> Losses:
        """Take a step on a mini-batch, see `Objective`; the losses are those before it."""
        with precision:
            total, parts, logits = self.losses(images, labels, indices)
        self.optimizer.zero_grad()
        self.scaler.scale(total).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return Losses(total, parts, logits)


def losses(network: Network, objective: Objective, hooks: Hooks) -> nn.Module:
    """What gives the losses of a mini-batch. Raises ValueError for a network that several processes cannot share."""
    made = _Losses(network, objective, hooks)
    if share().processes == 1:
        return made
    if problem := unshareable(network):
        raise ValueError(problem)
    # Of layouts, which cost it time and no bits, and of an option that it will call otherwise in some version.
    warnings.filterwarnings("ignore", "Grad strides do not match|.broadcast_buffers. is deprecated")
    return nn.parallel.DistributedDataParallel(made, broadcast_buffers=False, find_unused_parameters=True)


def unshareable(network: Network) -> str:
    """Why several processes cannot train a network as one would; empty where they can."""
    kinds = nn.modules.batchnorm._BatchNorm
    strange = [
        f"{name} is a {type(part).__name__}"
        for name, part in network.named_modules()
        if isinstance(part, kinds) and type(part) not in PLAIN
    ]
    scales = (step for step in network.description.steps if isinstance(step, Scale) and step.is_batch_norm)
    strange += [f"{step.module} is called as a function" for step in scales if step.functional]
    if not strange:
        return ""
    msg = f"compute.processes: {strange[0]}, a batch norm that would see only its share of a mini-batch; set processes to 1, "
    return msg + "or use torch's batch norms as modules"
