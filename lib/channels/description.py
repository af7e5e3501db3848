"""What a network says of its channels once it was traced: which layers may lose filters, and what hangs together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor, fx, nn

from lib.channels import layer_rules
from lib.channels.channel_rules import RULES
from lib.channels.parts import Part, batch_norms, calls, parts, sole_readers, used_elsewhere
from lib.channels.reading import Reader
from lib.channels.steps import Layer, Step
from lib.channels.tracing import trace

ALL_RULES = (
    layer_rules.convolution,
    layer_rules.linear,
    layer_rules.batch_norm,
    layer_rules.instance_norm,
    layer_rules.prelu,
    *RULES,
)


@dataclass(frozen=True)
class Prunable:
    """A layer that may lose filters. kind: convolution or linear layer. batch_norm: the one that alone reads it.

    classes: by filter, the channel class it writes (C_out,): what filters of one class write, in whatever layers, is added or
    multiplied.
    """

    name: str
    kind: Literal["conv", "linear"]
    part: Part
    batch_norm: str | None
    classes: Tensor

    @property
    def width(self) -> int:
        """Its filters."""
        return len(self.classes)


@dataclass(frozen=True)
class Description:
    """The channels of a network.

    graph, steps: of its pass, in order. known: the values, or the number, of each node. layers: that may lose filters, by
    name, in order. locked: the others, with the reason. carries: pairs of classes (2, n): where a shortcut carries the first,
    the second must stay if the first does. segments: by class, a number; equally many classes of each number must stay where
    layers are grouped. classes: of every channel number of the steps. whole: the layers and norms whose weights something else
    reads too, so that they cannot be cut.
    """

    graph: fx.Graph
    steps: tuple[Step, ...]
    known: Mapping[fx.Node, Any]
    layers: Mapping[str, Prunable]
    locked: Mapping[str, str]
    carries: Tensor
    segments: Tensor
    classes: Tensor
    whole: frozenset[str]

    @cached_property
    def writers(self) -> Mapping[int, tuple[str, ...]]:
        """The layers that write each class."""
        found: dict[int, list[str]] = {}
        for layer in self.layers.values():
            for channel in dict.fromkeys(layer.classes.tolist()):
                found.setdefault(channel, []).append(layer.name)
        return {channel: tuple(names) for channel, names in found.items()}

    @cached_property
    def calls(self) -> Mapping[str, tuple[Step, ...]]:
        """The steps of each convolution, linear layer, norm and PReLU, by its name: one, or several that share its weights."""
        return calls(self.steps)

    @cached_property
    def once(self) -> tuple[Step, ...]:
        """The steps without later calls of a layer, norm or PReLU."""
        later = {step for own in self.calls.values() for step in own[1:]}
        return tuple(step for step in self.steps if step not in later)

    @property
    def prunable_share(self) -> float:
        """Filters of prunable layers over all filters but those of the network's output."""
        free = sum(layer.width for layer in self.layers.values())
        written = [step for step in self.once if isinstance(step, Layer)]
        return free / max(1, sum(step.output.width for step in written if step.name != self.head))

    def __deepcopy__(self, _: dict[int, Any]) -> "Description":
        """Shared by the copies of a network: nothing in it changes."""
        return self

    def readers(self, name: str) -> tuple[str, ...]:
        """The layers that read the filters of one layer as they are, each input channel one filter; none where anything else
        reads or writes these channels.
        """
        return sole_readers(self.steps, name)

    @property
    def head(self) -> str:
        """The last layer: it writes the logits."""
        return next((step.name for step in reversed(self.steps) if isinstance(step, Layer)), "")


def describe(outline: nn.Module, shape: tuple[int, int, int]) -> Description:
    """Trace a network on device meta for images (C, H, W). Raises ValueError with the reason where that cannot be done."""
    graph = trace(outline, shape)
    reader = Reader(outline, ALL_RULES)
    reader.read(graph)
    known = calls(reader.steps)
    whole = used_elsewhere(graph, known)
    for name in sorted(whole):  # in one order, as the first reason is told
        for call in known[name]:
            reader.lock([*call.inputs, call.output], f"{name} is used in other ways, too")
    classes = _classes(reader)
    reasons = {number: reason for numbers, reason in reversed(reader.locked) for number in classes[numbers].tolist()}
    carries = [torch.stack([classes[one], classes[other]]) for one, other in reader.carried]
    kinds, norms = parts(reader.steps), batch_norms(reader.steps)
    layers, locked = {}, {}
    for step in reader.steps:
        if not isinstance(step, Layer):
            continue
        own = classes[step.output.numbers]
        why = next((reasons[number] for number in own.tolist() if number in reasons), None)
        if why is not None:
            locked[step.name] = why
            continue
        kind: Literal["conv", "linear"] = "linear" if isinstance(outline.get_submodule(step.name), nn.Linear) else "conv"
        layers[step.name] = Prunable(step.name, kind, kinds[step.name], norms.get(step.name), own)
    return Description(
        graph,
        tuple(reader.steps),
        reader.known,
        layers,
        locked,
        torch.cat(carries, 1) if carries else torch.empty((2, 0), dtype=torch.int64),
        _segments(reader, classes),
        classes,
        whole,
    )


def _classes(reader: Reader) -> Tensor:
    """The class of every channel number: numbers that are joined, directly or not, are of one class."""
    pairs = [torch.stack(pair) for pair in reader.joined]
    one, other = torch.cat(pairs, 1).numpy() if pairs else np.empty((2, 0), dtype=np.int64)
    joined = coo_array((np.ones(len(one), dtype=np.int8), (one, other)), shape=(reader.count, reader.count))
    return torch.from_numpy(connected_components(joined, directed=False)[1]).long()


def _segments(reader: Reader, classes: Tensor) -> Tensor:
    """A number for each class: of the runs that grouped layers read and write it in."""
    labels: list[tuple[int, ...]] = [()] * (int(classes.max()) + 1)
    for layer, (numbers, groups) in enumerate(reader.segments):
        run = len(numbers) // groups
        for place, channel in enumerate(classes[numbers].tolist()):
            if (layer, place // run) not in zip(labels[channel][::2], labels[channel][1::2], strict=True):
                labels[channel] += (layer, place // run)
    known: dict[Sequence[int], int] = {}
    return torch.tensor([known.setdefault(label, len(known)) for label in labels], dtype=torch.int64)
