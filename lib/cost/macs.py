"""What a network costs: parameters and multiply-accumulates (MACs), counted from its real integer shapes.

MACs are those of convolutions, transposed ones too, and linear layers, one per multiply-add; batch norm, activations, pooling,
additions and biases are not counted. Papers call the same number FLOPs.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from lib.channels.description import Description
from lib.channels.parts import Part, written_by
from lib.channels.steps import Layer, Step
from lib.channels.tracing import outlined
from lib.networks.network import Network

TRANSPOSED = (nn.functional.conv_transpose1d, nn.functional.conv_transpose2d, nn.functional.conv_transpose3d)
COUNTED = (nn.functional.conv1d, nn.functional.conv2d, nn.functional.conv3d, *TRANSPOSED, nn.functional.linear)
ATTENTION = nn.functional.multi_head_attention_forward  # its linear layers are inside of it


@dataclass(frozen=True)
class Cost:
    """params: all parameters. macs: by layer name, for one image."""

    params: int
    macs: dict[str, int]

    @property
    def total_macs(self) -> int:
        """The MACs of one image."""
        return sum(self.macs.values())


def count(network: nn.Module, shape: tuple[int, int, int]) -> Cost:
    """The cost of one image of `shape` (C, H, W), observed in a forward pass of shapes alone."""
    outline = outlined(network)
    names = {id(parameter): name.removesuffix(".weight") for name, parameter in outline.named_parameters()}
    with torch.no_grad(), _Counter(names) as counter:
        outline(torch.zeros(1, *shape, device="meta"))
    return Cost(sum(parameter.numel() for parameter in network.parameters()), counter.macs)


class _Counter(TorchFunctionMode):
    """Inside, where one image passes, all convolutions and linear layers are counted, by the name of their weight; also those
    that are functions, and those of torch's attention, by the name of its last one.

    names: of layers, by the id of their weight. One whose weight is computed from others has the name of its operation.
    """

    def __init__(self, names: Mapping[int, str]) -> None:
        super().__init__()
        self.names = names
        self.macs: dict[str, int] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        gave = func(*args, **given)
        if func in COUNTED:
            taken, weight = (args[at] if len(args) > at else given[key] for at, key in enumerate(("input", "weight")))
            name = self.names.get(id(weight), f"{func.__name__}_{len(self.macs)}")
            one = taken if func in TRANSPOSED else gave  # each of its numbers meets one row of the weight
            self.macs[name] = self.macs.get(name, 0) + weight[0].numel() * one.numel()
        elif func is ATTENTION:
            self._attend(signature(func).bind(*args, **given).arguments)
        return gave

    def _attend(self, given: Mapping[str, Any]) -> None:
        """The projections of query, key and value (length, B, channels), and of what is attended to."""
        kinds, packed, out = ("query", "key", "value"), given["in_proj_weight"], given["out_proj_weight"]
        parts = [given[f"{kind[0]}_proj_weight"] for kind in kinds] if packed is None else packed.chunk(3)
        pairs = [(given[kind], part) for kind, part in zip(kinds, parts, strict=True)]
        name = self.names.get(id(out), f"attention_{len(self.macs)}")
        total = sum(tokens.numel() // tokens.shape[-1] * weight.numel() for tokens, weight in [*pairs, (given["query"], out)])
        self.macs[name] = self.macs.get(name, 0) + total


def shares_of_calls(description: Description) -> Mapping[Step, float]:
    """What share of the MACs of its layer each call has: 1 where it is the only one, else as many as its pixels."""
    found: dict[Step, float] = {}
    for calls in description.calls.values():
        sizes = [call.output.shape.numel() for call in calls]
        found |= {call: size / sum(sizes) for call, size in zip(calls, sizes, strict=True)}
    return found


def fractional_macs(
    network: Network, shape: tuple[int, int, int], keep_ratio: float, *, left_out: Collection[Part] = ()
) -> float:
    """The sources' closed form: MACs of the convolutions of the dense `network` at real-valued widths C * keep_ratio.

    A convolution's outputs shrink by keep_ratio unless its part of the network is left out. Its inputs shrink too when a
    single pruned convolution made them, while a residual stream counts in full. After he-y/soft-filter-pruning,
    utils/cifar_resnet_flop.py.
    """
    macs = count(network, shape).macs
    layers = network.description.layers
    sources = written_by(network.description.steps)
    share = shares_of_calls(network.description)
    total = 0.0
    for step in network.description.steps:
        if isinstance(step, Layer) and step.name in layers and layers[step.name].kind == "conv":
            before = sources[step.inputs[0]]
            alone = len(before) == 1 and (only := next(iter(before))) in layers and layers[only].part not in left_out
            outputs = 1.0 if layers[step.name].part in left_out else keep_ratio
            total += macs[step.name] * share[step] * outputs * (keep_ratio if alone else 1.0)
    return total
