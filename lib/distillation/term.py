"""What a distillation term is, and what it sees of the student and the teacher.

A term is one file in `lib/distillation/terms/` with a parameter section `Params`, the names of the points it looks at
(`TAPS`, see Network.taps) and one function `term(params, student, teacher) -> Term`, called once with example outputs so
that it can fit its own parameters to the shapes, or refuse them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from lib.networks.network import Network


@dataclass(frozen=True)
class Outputs:
    """logits: (B, num_classes), float32. features: what the taps saw, float32, by tap name."""

    logits: Tensor
    features: Mapping[str, Tensor]


@dataclass(frozen=True)
class Term:
    """loss(student, teacher, labels) -> scalar; parameters: the term's own, trained with the student, never kept."""

    loss: Callable[[Outputs, Outputs, Tensor], Tensor]
    parameters: tuple[nn.Parameter, ...] = ()


class Tapped:
    """A network together with forward hooks that note what passes its taps."""

    def __init__(self, network: Network, taps: tuple[str, ...]) -> None:
        """Raises ValueError for a tap the network does not have."""
        unknown = [tap for tap in taps if tap not in network.taps]
        if unknown:
            msg = f"{network.architecture.name} has no tap {unknown}; it has: {', '.join(network.taps)}"
            raise ValueError(msg)
        self.network = network
        self.seen: dict[str, Tensor] = {}
        for tap in taps:
            module, side = network.taps[tap]
            network.get_submodule(module).register_forward_hook(self._observer(tap, side))

    def _observer(self, tap: str, side: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def observe(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            self.seen[tap] = inputs[0] if side == "input" else output

        return observe

    def __call__(self, images: Tensor) -> Outputs:
        """Run the network on normalised images (B, C, H, W)."""
        logits = self.network(images)
        return Outputs(logits.float(), {tap: seen.float() for tap, seen in self.seen.items()})
