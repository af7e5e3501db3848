"""Which channels of every value are there when masks say what the layers write: present forwards, needed backwards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lib.channels.parts import calls
from lib.channels.steps import Depthwise, Elementwise, Join, Layer, Move, Scale, Step, Value


@dataclass(frozen=True)
class Flow:
    """present: numbers of presence (n,) of every value with channels. needed: how far any reader wants them.

    order: by value, the key (n,) that its kept channels are sorted by, where they do not stay in the network's own order.
    """

    present: Mapping[Value, Tensor]
    needed: Mapping[Value, Tensor]
    order: Mapping[Value, Tensor] = field(default_factory=dict)

    def kept(self, value: Value) -> Tensor:
        """Channels that are there and that something reads."""
        return torch.minimum(self.present[value], self.needed[value])

    def stays(self, *values: Value) -> Tensor:
        """The positions of the kept channels; of several values, of those that any of them keeps."""
        found = torch.stack([self.kept(value) for value in values]).amax(0).nonzero().flatten()
        first = values[0]
        return found[self.order[first][found].argsort(stable=True)] if first in self.order else found


def presence(
    steps: Sequence[Step], masks: Mapping[str, Tensor], like: Tensor, *, whole_sums: bool = False
) -> dict[Value, Tensor]:
    """What may be other than zero. masks: by layer, numbers in [0, 1] (C_out,); layers without one are whole.

    like: a tensor of the type and device wanted. whole_sums: residual streams count in full, as the sources have them.
    Differentiable in the masks. A norm or a depthwise convolution that is called several times has, in each call, what any of
    them has: its weights are no zeros there, so it may make something of a zero.
    """
    shared = _shared(steps)
    raised: dict[Value, Tensor] = {}
    while True:
        present = _presence(steps, masks, like, raised, whole_sums=whole_sums)
        most = {call.output: torch.stack([present[one.output] for one in own]).amax(0) for own in shared for call in own}
        if all(torch.equal(found, present[value]) for value, found in most.items()):
            return present
        raised = most


def _shared(steps: Sequence[Step]) -> list[tuple[Step, ...]]:
    """The calls of each norm, PReLU and depthwise convolution that has several."""
    return [found for found in calls(steps).values() if len(found) > 1 and not isinstance(found[0], Layer)]


def _presence(
    steps: Sequence[Step], masks: Mapping[str, Tensor], like: Tensor, raised: Mapping[Value, Tensor], *, whole_sums: bool
) -> dict[Value, Tensor]:
    """raised: what some values have at least."""
    present: dict[Value, Tensor] = {}
    for step in steps:
        if step.output.axis is not None and whole_sums and isinstance(step, Join) and not step.product:
            present[step.output] = like.new_ones(step.output.width)
        elif step.output.axis is not None:
            mask = masks.get(step.name) if isinstance(step, Layer) else None
            found = like.new_ones(step.output.width) if isinstance(step, Layer) else step.present(present.__getitem__, like)
            found = found if mask is None else mask.to(like)
            present[step.output] = torch.maximum(found, raised[step.output]) if step.output in raised else found
    return present


def direct(steps: Sequence[Step]) -> dict[Value, str]:
    """The values whose channels are there just where one layer's mask says, with that layer: no flow is needed for them."""
    found: dict[Value, str] = {}
    several = {step for own in _shared(steps) for step in own}
    for step in steps:
        if isinstance(step, Layer):
            found[step.output] = step.name
        elif step.inputs and step.inputs[0] in found and _passes(step) and step not in several:
            found[step.output] = found[step.inputs[0]]
    return found


def _passes(step: Step) -> bool:
    """Whether every channel is there where the same one of its only input is."""
    if isinstance(step, Depthwise | Move):
        return step.output.width == step.inputs[0].width and torch.equal(step.source, torch.arange(step.output.width))
    return isinstance(step, Scale | Elementwise) and step.keeps_zero


def flow(steps: Sequence[Step], masks: Mapping[str, Tensor], like: Tensor | None = None, *, whole_sums: bool = False) -> Flow:
    """Presence and need. A channel that is zero and read where it matters is needed too: compaction fills in zeros there."""
    like = torch.empty(0) if like is None else like
    present = presence(steps, masks, like, whole_sums=whole_sums)
    needed = {value: torch.zeros_like(there) for value, there in present.items()}
    for step in reversed(steps):
        output = step.output
        kept = torch.minimum(present[output], needed[output]) if output in present else like.new_ones(output.width)
        channels = [value for value in step.inputs if value in present]
        wanted = step.needed(kept) if output in present else [like.new_ones(value.width) for value in step.inputs]
        if not channels:
            continue
        for value, far in zip(step.inputs, wanted, strict=True):
            if value in present:
                needed[value] = torch.maximum(needed[value], far)
    return Flow(present, needed)
