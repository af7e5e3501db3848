"""What decides how long a network's layers take, and the numbers of channels at which that is measured."""

from dataclasses import dataclass
from typing import Literal

from lib.channels.steps import Depthwise, Layer, Step
from lib.networks.network import Network

# Channels between two points of the grid, at least: the form that ships is filled up to multiples of 8 for ONNX Runtime
# (`lib.compaction.shipping`), so what lies between is never run. Points along an axis, about.
FINEST, STEPS = 8, 32


@dataclass(frozen=True, order=True)
class LayerShape:
    """What decides how long a layer takes, beside its channels. inputs, outputs: of the dense network. groups: 1 but for
    grouped convolutions. kernel: (kH, kW). before, after: pixels (H, W); rows of a linear layer, (rows, 1).
    """

    kind: Literal["conv", "depthwise", "linear"]
    inputs: int
    outputs: int
    groups: int
    kernel: tuple[int, int]
    before: tuple[int, int]
    after: tuple[int, int]

    def __str__(self) -> str:
        """Its name in a table."""
        sizes = (self.inputs, self.outputs), self.kernel, self.before, self.after
        channels, kernel, before, after = (f"{one}x{other}" for one, other in sizes)
        return f"{self.kind} {channels} groups {self.groups} kernel {kernel} pixels {before} to {after}"

    @property
    def grid(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The numbers of channels to measure, read and written; a depthwise convolution reads what it writes."""
        if self.kind == "depthwise":
            return (1,), grid(self.outputs)
        return grid(self.inputs, self.groups), grid(self.outputs, self.groups)


def step_of(width: int) -> int:
    """Channels between two points of the grid of a layer: 1/STEPS of its width, a multiple of FINEST."""
    return FINEST * max(1, -(-(width // STEPS) // FINEST))


def grid(width: int, groups: int = 1) -> tuple[int, ...]:
    """Multiples of the step below a width, of as many channels in each group, and the width itself."""
    step = -(-step_of(width) // groups) * groups
    return (*range(step, width, step), width)


def layer_shapes(network: Network) -> dict[Step, LayerShape]:
    """The shapes of all layers of a dense network, by each of their calls."""
    parameters = dict(network.named_parameters())
    found: dict[Step, LayerShape] = {}
    for step in network.description.steps:
        if not isinstance(step, Layer | Depthwise):
            continue
        weight, before, after = parameters[f"{step.name}.weight"].shape, step.inputs[0].shape, step.output.shape
        if len(weight) == 2:
            rows = before[1:-1].numel()  # of an image: 1, or its tokens
            found[step] = LayerShape("linear", weight[1], weight[0], 1, (1, 1), (rows, 1), (rows, 1))
            continue
        kernel, pixels = (weight[2], weight[3]), ((before[2], before[3]), (after[2], after[3]))
        if isinstance(step, Depthwise):
            found[step] = LayerShape("depthwise", 1, weight[0], weight[0], kernel, *pixels)
        else:
            found[step] = LayerShape("conv", weight[1] * step.groups, weight[0], step.groups, kernel, *pixels)
    return found
