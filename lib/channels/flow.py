"""Which channels of every value are there when masks say what the layers write: present forwards, needed backwards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lib.channels.steps import Layer, Step, Value


@dataclass(frozen=True)
class Flow:
    """present: numbers of presence (n,) of every value with channels. needed: how far any reader wants them."""

    present: Mapping[Value, Tensor]
    needed: Mapping[Value, Tensor]

    def kept(self, value: Value) -> Tensor:
        """Channels that are there and that something reads."""
        return torch.minimum(self.present[value], self.needed[value])

    def stays(self, value: Value) -> Tensor:
        """The positions of the kept channels."""
        return self.kept(value).nonzero().flatten()


def presence(steps: Sequence[Step], masks: Mapping[str, Tensor], like: Tensor) -> dict[Value, Tensor]:
    """What may be other than zero. masks: by layer, numbers in [0, 1] (C_out,); layers without one are whole.

    like: a tensor of the type and device wanted. Differentiable in the masks.
    """
    present: dict[Value, Tensor] = {}
    for step in steps:
        if step.output.axis is not None:
            mask = masks.get(step.name) if isinstance(step, Layer) else None
            found = like.new_ones(step.output.width) if isinstance(step, Layer) else step.present(present.__getitem__, like)
            present[step.output] = found if mask is None else mask.to(like)
    return present


def flow(steps: Sequence[Step], masks: Mapping[str, Tensor], like: Tensor | None = None) -> Flow:
    """Presence and need. A channel that is zero and read where it matters is needed too: compaction fills in zeros there."""
    like = torch.empty(0) if like is None else like
    present = presence(steps, masks, like)
    needed = {value: torch.zeros_like(there) for value, there in present.items()}
    for step in reversed(steps):
        output = step.output
        of = present.__getitem__
        kept = torch.minimum(present[output], needed[output]) if output in present else like.new_ones(output.width)
        channels = [value for value in step.inputs if value in present]
        wanted = step.needed(kept, of) if output in present else [like.new_ones(value.width) for value in step.inputs]
        if not channels:
            continue
        for value, far in zip(step.inputs, wanted, strict=True):
            if value in present:
                needed[value] = torch.maximum(needed[value], far)
    return Flow(present, needed)
