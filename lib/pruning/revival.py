"""How filters that were set to zero grow back.

Behind a zero filter batch norm divides by sqrt(0 + eps), which makes its gradient some hundred times what it was: in a few
steps the filter's norm is far above all others, and a criterion that looks at norms keeps it for nothing it has learnt.
Damping gives a filter that grows back the gradient that batch norm would pass on at the size it had before.
"""

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor

from lib.channels.description import Prunable
from lib.masks.filters import Masks
from lib.networks.network import Network

Revival = Literal["damped", "free"]
TINY = 1e-12


class Damping:
    """Scales the gradients of dropped filters by sqrt((v(now) + eps) / (v(before) + eps)), at most 1.

    v is the variance of a filter's output: its norm squared times the variance at norm 1, noted while it was in use. Filters
    in use keep their gradients, and so do layers without a batch norm, which blows nothing up.
    """

    def __init__(self, network: Network) -> None:
        """Raises ValueError for a batch norm that notes no variance."""
        self.network = network
        self.layers = [layer for layer in network.layers if network.batch_norm(layer) is not None]
        self.norms: dict[str, Tensor] = {}  # of the filters when they were last in use, (C_out,)
        self.variances: dict[str, Tensor] = {}  # of their outputs at norm 1, (C_out,)
        self.dropped: dict[str, Tensor] = {}  # by the masks noted last, bool (C_out,)
        for layer in self.layers:
            weight = network.weight(layer.name)
            self.norms[layer.name], self.variances[layer.name] = self._measure(layer)
            self.dropped[layer.name] = torch.zeros(len(weight), dtype=torch.bool, device=weight.device)
            if weight.requires_grad:  # one that the user froze gets no gradient
                weight.register_hook(self._scaler(layer, weight))

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
        for layer in self.layers if measure else ():
            norm, variance = self._measure(layer)
            for noted, value in ((self.norms, norm), (self.variances, variance)):
                noted[layer.name].copy_(torch.where(masks[layer.name], value, noted[layer.name]))

    @torch.no_grad()
    def _measure(self, layer: Prunable) -> tuple[Tensor, Tensor]:
        norm = self.network.weight(layer.name).flatten(1).norm(dim=1)
        batch_norm = self.network.batch_norm(layer)
        assert batch_norm is not None
        running = batch_norm.running_var
        if running is None:
            msg = f"revival: damped takes the running variance of {layer.batch_norm}, which has none (track_running_stats); "
            msg += "set revival: free"
            raise ValueError(msg)
        return norm, running / norm.square().clamp_min(TINY)

    def _scaler(self, layer: Prunable, weight: Tensor) -> Callable[[Tensor], Tensor]:
        batch_norm = self.network.batch_norm(layer)
        assert batch_norm is not None
        eps = batch_norm.eps

        def scale(gradient: Tensor) -> Tensor:
            unit = self.variances[layer.name]
            now = unit * weight.detach().flatten(1).square().sum(1)
            before = unit * self.norms[layer.name].square()
            damped = ((now + eps) / (before + eps)).sqrt().clamp_max(1.0)
            return gradient * torch.where(self.dropped[layer.name], damped, 1.0).view(-1, *[1] * (gradient.dim() - 1))

        return scale
