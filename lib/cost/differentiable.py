"""What a network costs as a function of its masks, differentiable: the multiply-accumulates of its compact form."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from lib.channels.flow import flow, presence
from lib.channels.steps import Depthwise, Join, Layer, Move, Step, Value
from lib.cost.macs import count, shares_of_calls
from lib.networks.network import Network


class Macs:
    """MACs of the compact network of given masks; with masks of zeros and ones the same number that `lib.cost.macs` counts.

    A layer that loses all its inputs still reads one channel of zeros in a compact network; it costs nothing here.
    """

    def __init__(
        self, network: Network, shape: tuple[int, int, int], *, coupled: bool, batch_norms: bool = False, head: bool = True
    ) -> None:
        """shape: (C, H, W). coupled: streams lose channels too (`compaction.compact`). batch_norms: one more operation
        per output of a convolution, as KDFS counts. head: linear layers count too.
        """
        macs, share = count(network, shape).macs, shares_of_calls(network.description)
        self.steps, self.calls = network.description.steps, network.description.calls
        self.coupled, self.batch_norms = coupled, batch_norms
        shapes = {name: weight.shape for name, weight in network.named_parameters()}
        self.per_pair: dict[Layer | Depthwise, float] = {}  # by call of a layer, the MACs of one filter on one channel
        self.pixels: dict[Layer | Depthwise, float] = {}  # of a filter's output
        for step in self.steps:
            if isinstance(step, Layer | Depthwise) and (head or len(shapes[f"{step.name}.weight"]) > 2):
                shape_of = shapes[f"{step.name}.weight"]
                self.pixels[step] = macs[step.name] * share[step] / shape_of.numel()
                self.per_pair[step] = macs[step.name] * share[step] / (shape_of[0] * shape_of[1])
        self.all_read = not any(map(_may_leave, self.steps))
        self.rest = sum(macs[name] for name in macs.keys() - self._followed())

    def __call__(self, masks: Mapping[str, Tensor]) -> Tensor:
        """Masks (C_out,) of numbers in [0, 1] for every prunable layer -> a scalar, in float64: counts exceed float32."""
        like = torch.empty(0, dtype=torch.float64, device=next(iter(masks.values())).device)
        present, kept = self._flow(masks, like)
        total = like.new_zeros(()) + self.rest
        for step, each in self.per_pair.items():
            calls = self.calls[step.name]  # they share the weights, so each computes what any of them needs
            outputs = _most(kept, [call.output for call in calls])
            pairs = outputs
            if isinstance(step, Layer):
                inputs = _most(present.__getitem__, [call.inputs[0] for call in calls])
                pairs = outputs.view(step.groups, -1).sum(1) * inputs.view(step.groups, -1).sum(1)
            total = total + each * pairs.sum()
            if self.batch_norms:
                total = total + self.pixels[step] * outputs.sum()
        return total

    def _flow(self, masks: Mapping[str, Tensor], like: Tensor) -> tuple[Mapping[Value, Tensor], Callable[[Value], Tensor]]:
        """What is there, and what of it is kept; where all that is there is read, nothing need be followed backwards."""
        whole = not self.coupled
        if self.all_read:
            present = presence(self.steps, masks, like, whole_sums=whole)
            return present, present.__getitem__
        flowing = flow(self.steps, masks, like, whole_sums=whole)
        return flowing.present, flowing.kept

    def _followed(self) -> set[str]:
        return {step.name for step in self.steps if isinstance(step, Layer | Depthwise)}


def _most(of: Callable[[Value], Tensor], values: Sequence[Value]) -> Tensor:
    """What is there of any of several values."""
    first, *others = values
    found = of(first)
    for value in others:
        found = torch.maximum(found, of(value))
    return found


def _may_leave(step: Step) -> bool:
    """Whether it may leave channels that are there unread: where another factor is zero, or by going on with a part."""
    if isinstance(step, Move):
        return bool(step.source.unique().ge(0).sum() < step.inputs[0].width)
    return isinstance(step, Depthwise) or (isinstance(step, Join) and step.product)
