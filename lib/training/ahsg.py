"""SGD with a heavy ball on the iterates, for accelerated hybrid stochastic gradient hard thresholding (AHSG-HT).

Zhou, Yuan, Feng, "Efficient Stochastic Gradient Hard Thresholding", NeurIPS 2018,
https://papers.nips.cc/paper/2018/hash/ec5aa0b7846082a2415f0902f0da88f2-Abstract.html
Reference: favorxin/AHSG-HT-pruning-with-KD, AHSG_HT.py.

Per parameter w with gradient g, at each step, all values being those after any projection the caller made:

    reference   d = g + decay w;  b <- momentum b + d;  d <- d + momentum b (Nesterov) or b;   w <- w - lr d
    sgd         the same, and    w <- w - lr d + heavy_ball (w - w_before)
    paper       w <- w - lr g + heavy_ball (w - w_before)          (no momentum, no decay)

where w_before is the iterate one step earlier, equal to w at the first step.
Departs: the reference refreshes w_before just before using it, so its heavy ball is always zero; here it is stored inside the
step. Hard thresholding is not done here but by the pruning method after the step: the optimizer knows nothing of filters.
"""

from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch
from torch import Tensor, nn

Variant = Literal["paper", "sgd", "reference"]
BUFFER, BEFORE = "momentum_buffer", "before"


class AHSG(torch.optim.Optimizer):
    """See the module's docstring. Works on any device; every operation covers all parameters of a group at once."""

    def __init__(
        self,
        params: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        *,
        variant: Variant,
        lr: float,
        heavy_ball: float,
        momentum: float,
        weight_decay: float,
        nesterov: bool,
    ) -> None:
        """params: parameters, or groups of them with a weight decay of their own. heavy_ball in [0, 1).

        Raises ValueError for numbers out of range or Nesterov without momentum."""
        for name, value, below in (
            ("lr", lr, float("inf")),
            ("heavy_ball", heavy_ball, 1.0),
            ("momentum", momentum, 1.0),
        ):
            if not 0.0 <= value < below:
                msg = f"{name} must be at least 0 and below {below}, got {value}"
                raise ValueError(msg)
        if weight_decay < 0.0 or (nesterov and momentum == 0.0):
            msg = f"weight_decay must not be negative and Nesterov needs momentum, got {weight_decay} and {momentum}"
            raise ValueError(msg)
        plain = variant == "paper"
        hyper = {
            "lr": lr,
            "heavy_ball": 0.0 if variant == "reference" else heavy_ball,
            "momentum": 0.0 if plain else momentum,
            "weight_decay": 0.0 if plain else weight_decay,
            "nesterov": nesterov and not plain,
        }
        super().__init__(params, hyper)
        if plain:
            for group in self.param_groups:
                group["weight_decay"] = 0.0

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore buffers and iterates; the hyper-parameters stay those this optimizer was made with."""
        own = [{k: v for k, v in group.items() if k != "params"} for group in self.param_groups]
        super().load_state_dict(state_dict)
        for group, hyper in zip(self.param_groups, own, strict=True):
            group.update(hyper)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step; returns the closure's loss where a closure is given."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if parameters:
                self._step(parameters, group)
        return loss

    def _step(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        states = self._states(parameters, group)
        direction = self._direction(parameters, states, group)
        if group["heavy_ball"] == 0.0:
            torch._foreach_add_(parameters, direction, alpha=-group["lr"])
            return
        values = [parameter.data for parameter in parameters]
        before = [state[BEFORE] for state in states]
        # w + heavy_ball (w - before) is a point on the line from `before` through w: computed where `before` lies,
        # which then trades places with w, so that the term costs a single pass and no copy.
        torch._foreach_lerp_(before, values, 1.0 + group["heavy_ball"])
        torch._foreach_add_(before, direction, alpha=-group["lr"])
        for parameter, state, old, new in zip(parameters, states, values, before, strict=True):
            state[BEFORE], parameter.data = old, new

    def _states(self, parameters: list[Tensor], group: dict[str, Any]) -> list[dict[str, Tensor]]:
        states = [self.state[parameter] for parameter in parameters]
        for parameter, state in zip(parameters, states, strict=True):
            if group["momentum"] != 0.0 and BUFFER not in state:
                state[BUFFER] = torch.zeros_like(parameter)
            if group["heavy_ball"] != 0.0 and BEFORE not in state:
                state[BEFORE] = parameter.detach().clone()
        return states

    @staticmethod
    def _direction(parameters: list[Tensor], states: list[dict[str, Tensor]], group: dict[str, Any]) -> list[Tensor]:
        """What the learning rate is multiplied with; the gradients themselves are never changed."""
        given = [parameter.grad for parameter in parameters if parameter.grad is not None]
        decay, momentum = group["weight_decay"], group["momentum"]
        gradients = list(torch._foreach_add(given, parameters, alpha=decay)) if decay != 0.0 else given
        if momentum == 0.0:
            return gradients
        buffers = [state[BUFFER] for state in states]
        torch._foreach_mul_(buffers, momentum)
        torch._foreach_add_(buffers, gradients)
        return list(torch._foreach_add(gradients, buffers, alpha=momentum)) if group["nesterov"] else buffers
