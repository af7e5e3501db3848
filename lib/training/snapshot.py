"""What a training must find again to go on as if nothing had happened: after an epoch, or in the middle of one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from lib.networks.network import Network
from lib.training.hooks import Hooks
from lib.training.objective import Objective
from lib.training.stepping import Now
from lib.training.tally import LogRow, Tally


@dataclass(frozen=True)
class Part:
    """The part of an epoch that is done: its steps, what they add up to, and where the random stream of dropout stands."""

    steps: int
    sums: dict[str, Tensor]
    samples: int
    drawn: list[Tensor]

    def tally(self) -> Tally:
        """One that goes on."""
        return Tally(self.sums, self.samples)

    def draw_on(self) -> None:
        """Let the global random streams go on where they stood."""
        torch.set_rng_state(self.drawn[0])
        if len(self.drawn) > 1:
            torch.cuda.set_rng_state(self.drawn[1])


def part(steps: int, tally: Tally, device: torch.device) -> Part:
    """Where an epoch stands after so many steps."""
    drawn = [torch.get_rng_state()]
    if device.type == "cuda":
        drawn.append(torch.cuda.get_rng_state(device))
    return Part(steps, tally.sums, tally.samples, drawn)


def take(
    network: Network, objective: Objective, hooks: Hooks, now: Now, rows: Sequence[LogRow], done: Part | None
) -> dict[str, Any]:
    """All of it as tensors and plain values."""
    if now.remaining is not None:
        now.remaining.put_back_(network)
    return {
        "network": network.state_dict(),
        "optimizer": now.optimizer.state_dict(),
        "scaler": now.scaler.state_dict(),
        "extra": [parameter.detach() for parameter in _extra(objective, hooks)],
        "average": None if now.average is None else now.average.state(),
        "hooks": dict(hooks.state),
        "rows": list(rows),
        "remaining": now.remaining is not None,
        "part": None if done is None else vars(done),
    }


@torch.no_grad()
def restore_(network: Network, objective: Objective, hooks: Hooks, state: dict[str, Any]) -> None:
    """Put back what is not the optimizer's: weights, the terms' parameters, the hooks' tensors."""
    network.load_state_dict(state["network"])
    for parameter, value in zip(_extra(objective, hooks), state["extra"], strict=True):
        parameter.copy_(value)
    for name, tensor in hooks.state.items():
        tensor.copy_(state["hooks"][name])


def done(state: dict[str, Any], device: torch.device) -> Part | None:
    """The part of an epoch that is done, on the training's device; None after a whole one."""
    if state["part"] is None:
        return None
    found = Part(**state["part"])
    return replace(found, sums={name: value.to(device) for name, value in found.sums.items()})


def _extra(objective: Objective, hooks: Hooks) -> list[nn.Parameter]:
    return [*objective.parameters, *hooks.parameters]
