"""What a distillation term is to the loop, and what it sees of a network: the outputs of chosen modules."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lib.channels.aligning import Point
from lib.channels.observing import Tap
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

        Raises ValueError for a tap that is neither one of the network's nor the name of a module of it, and for one that no
        module shows.
        """
        named: Mapping[str, Tap | None] = {} if isinstance(network, Ensemble) else network.taps
        modules = {name: Tap(name, "output") for name, _ in network.named_modules() if name}
        self.network, self.taps = network, taps
        self.compiled: tuple[int, Callable[[Tensor], Tensor]] | None = None  # for mini-batches of so many images
        self.seen: dict[str, Tensor] = {}
        self.calls: Counter[str] = Counter()  # by tap, how often its module was called in this pass
        self.by_name = [tap for tap in taps if tap not in named]
        for name in taps:
            if name not in named and name not in modules:
                msg = f"{_name(network)} has no tap {name}; it has: {', '.join(named)}, or a module's name"
                raise ValueError(msg)
            tap = named.get(name, modules.get(name))
            if tap is None:
                msg = f"{_name(network)} hides {name} between functions; let a module write or read it, as nn.ReLU() in place "
                raise ValueError(msg + "of functional.relu, or take terms that look elsewhere")
            network.get_submodule(tap.module).register_forward_hook(self._observer(name, tap, whole=whole))

    def _observer(self, name: str, tap: Tap, *, whole: bool) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def observe(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            if self.calls[name] == tap.call:
                seen = inputs[0] if tap.side == "input" else output
                self.seen[name] = module.whole(seen) if whole and isinstance(module, Point) else seen
            self.calls[name] += 1

        return observe

    def compile_(self, size: int) -> None:
        """Run mini-batches of so many images by compiled code from now on; a network that hooks look into stays as it is."""
        if not any(part._forward_hooks or part._forward_pre_hooks for part in self.network.modules()):
            self.compiled = size, torch.compile(self.network, dynamic=False)

    def __call__(self, images: Tensor) -> Outputs:
        """Run the network on normalised images (B, C, H, W). Raises ValueError where a module has several outputs to show."""
        self.calls.clear()
        logits = self.compiled[1](images) if self.compiled and len(images) == self.compiled[0] else self.network(images)
        for name in self.by_name:
            if self.calls[name] != 1:
                msg = f"{_name(self.network)} calls {name} {self.calls[name]} times; take a module that it calls once"
                raise ValueError(msg)
        return Outputs(exact(logits), dict(self.seen))


def _name(network: Network | Ensemble) -> str:
    return network.name if isinstance(network, Ensemble) else network.architecture.name
