"""What a distillation term is to the loop, and what it sees of a network: the outputs of chosen modules."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lib.channels.aligning import Point
from lib.networks.ensemble import Ensemble
from lib.networks.network import Network


def exact(values: Tensor) -> Tensor:
    """The same in float32 at least."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


@dataclass(frozen=True)
class Outputs:
    """logits: (B, num_classes), float32 at least. features: what the taps saw, by tap name, in the network's precision."""

    logits: Tensor
    features: Mapping[str, Tensor]

    @property
    def maps(self) -> list[Tensor]:
        """The features alone, in the order of their taps."""
        return list(self.features.values())

    def only(self, taps: tuple[str, ...]) -> "Outputs":
        """The same with the features of some taps, in their order."""
        return Outputs(self.logits, {tap: self.features[tap] for tap in taps})


Taps = tuple[str, ...]


@dataclass(frozen=True)
class Term:
    """loss(student, teacher, labels) -> scalar; parameters: the term's own, trained with the student, never kept.

    by_image: the loss is a mean over images, none of which is compared with another, so that several processes need not send
    one another what they see.
    """

    loss: Callable[[Outputs, Outputs, Tensor], Tensor]
    parameters: tuple[nn.Parameter, ...] = ()
    by_image: bool = False


@dataclass(frozen=True)
class Weighted:
    """A term with its weight in the loss and the taps it sees: of the student and of the teacher."""

    weight: float
    term: Term
    taps: tuple[Taps, Taps] = ((), ())


class Tapped:
    """A network together with forward hooks that note what passes its taps."""

    def __init__(self, network: Network | Ensemble, taps: Taps = (), *, whole: bool = False) -> None:
        """whole: a compact network is seen as wide as the dense one, with zeros for what it does not have.

        Raises ValueError for a tap that is neither one of the network's nor the name of a module of it.
        """
        named = {} if isinstance(network, Ensemble) else network.taps
        modules = {name for name, _ in network.named_modules() if name}
        unknown = [tap for tap in taps if tap not in named and tap not in modules]
        if unknown:
            name = network.name if isinstance(network, Ensemble) else network.architecture.name
            msg = f"{name} has no tap {unknown}; it has: {', '.join(named)}, or a module's name"
            raise ValueError(msg)
        self.network, self.taps = network, taps
        self.compiled: tuple[int, Callable[[Tensor], Tensor]] | None = None  # for mini-batches of so many images
        self.seen: dict[str, Tensor] = {}
        for tap in taps:
            module, side = named.get(tap, (tap, "output"))
            network.get_submodule(module).register_forward_hook(self._observer(tap, side, whole=whole))

    def _observer(self, tap: str, side: str, *, whole: bool) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def observe(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            seen = inputs[0] if side == "input" else output
            self.seen[tap] = module.whole(seen) if whole and isinstance(module, Point) else seen

        return observe

    def compile_(self, size: int) -> None:
        """Run mini-batches of so many images by compiled code from now on; a network that hooks look into stays as it is."""
        if not any(part._forward_hooks or part._forward_pre_hooks for part in self.network.modules()):
            self.compiled = size, torch.compile(self.network, dynamic=False)

    def __call__(self, images: Tensor) -> Outputs:
        """Run the network on normalised images (B, C, H, W)."""
        logits = self.compiled[1](images) if self.compiled and len(images) == self.compiled[0] else self.network(images)
        return Outputs(exact(logits), dict(self.seen))
