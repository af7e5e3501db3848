"""How filters that were set to zero grow back.

Behind a zero filter batch norm divides by sqrt(0 + eps), which makes its gradient some hundred times what it was: in a few
steps the filter's norm is far above all others, and a criterion that looks at norms keeps it for nothing it has learnt.
Damping gives a filter that grows back the gradient that batch norm would pass on at the size it had before.
"""

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor

from lib.masks.filters import Masks
from lib.networks.description import Wire
from lib.networks.network import Network

Revival = Literal["damped", "free"]
TINY = 1e-12


class Damping:
    """Scales the gradients of dropped filters by sqrt((v(now) + eps) / (v(before) + eps)), at most 1.

    v is the variance of a filter's output: its norm squared times the variance at norm 1, noted while it was in use. Filters
    in use keep their gradients.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.norms: dict[str, Tensor] = {}  # of the filters when they were last in use, (C_out,)
        self.variances: dict[str, Tensor] = {}  # of their outputs at norm 1, (C_out,)
        self.dropped: dict[str, Tensor] = {}  # by the masks noted last, bool (C_out,)
        for wire in network.wires:
            weight = network.conv(wire).weight
            self.norms[wire.conv], self.variances[wire.conv] = self._measure(wire)
            self.dropped[wire.conv] = torch.zeros(len(weight), dtype=torch.bool, device=weight.device)
            weight.register_hook(self._scaler(wire, weight))

    @property
    def state(self) -> Mapping[str, Tensor]:
        """What a resumed training must find again."""
        noted = {"norms": self.norms, "variances": self.variances, "dropped": self.dropped}
        return {f"revival.{kind}.{name}": value for kind, values in noted.items() for name, value in values.items()}

    @torch.no_grad()
    def note_(self, masks: Masks, *, measure: bool = True) -> None:
        """Note which filters are dropped, and (measure) the norms and variances of the others; call before zeroing."""
        for name, dropped in self.dropped.items():
            dropped.copy_(~masks[name])
        for wire in self.network.wires if measure else ():
            norm, variance = self._measure(wire)
            for noted, value in ((self.norms, norm), (self.variances, variance)):
                noted[wire.conv].copy_(torch.where(masks[wire.conv], value, noted[wire.conv]))

    @torch.no_grad()
    def _measure(self, wire: Wire) -> tuple[Tensor, Tensor]:
        norm = self.network.conv(wire).weight.flatten(1).norm(dim=1)
        running = self.network.batch_norm(wire).running_var
        assert running is not None
        return norm, running / norm.square().clamp_min(TINY)

    def _scaler(self, wire: Wire, weight: Tensor) -> Callable[[Tensor], Tensor]:
        eps = self.network.batch_norm(wire).eps

        def scale(gradient: Tensor) -> Tensor:
            unit = self.variances[wire.conv]
            now = unit * weight.detach().flatten(1).square().sum(1)
            before = unit * self.norms[wire.conv].square()
            damped = ((now + eps) / (before + eps)).sqrt().clamp_max(1.0)
            return gradient * torch.where(self.dropped[wire.conv], damped, 1.0).view(-1, 1, 1, 1)

        return scale
