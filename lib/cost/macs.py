"""What a network costs: parameters and multiply-accumulates (MACs), counted from its real integer shapes.

MACs are those of convolutions and linear layers, one per multiply-add; batch norm, activations, pooling, additions and biases
are not counted. Papers call the same number FLOPs.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lib.channels.parts import Part, written_by
from lib.channels.steps import Depthwise, Layer
from lib.channels.tracing import outlined
from lib.networks.network import Network


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
    macs: dict[str, int] = {}
    outline = outlined(network)
    for name, module in outline.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(_observer(name, macs))
    with torch.no_grad():
        outline(torch.zeros(1, *shape, device="meta"))
    if isinstance(network, Network):
        for step in network.description.steps:  # layers that the network calls as functions on their parameters
            if isinstance(step, Layer | Depthwise) and step.functional:
                macs[step.name] = network.weight(step.name)[0].numel() * step.output.shape[1:].numel()
    return Cost(sum(parameter.numel() for parameter in network.parameters()), macs)


def _observer(name: str, macs: dict[str, int]) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
    def observe(module: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            per_output = module.weight[0].numel()
        else:
            assert isinstance(module, nn.Linear)
            per_output = module.in_features
        macs[name] = per_output * output[0].numel()

    return observe


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
    total = 0.0
    for step in network.description.steps:
        if isinstance(step, Layer) and step.name in layers and layers[step.name].kind == "conv":
            before = sources[step.inputs[0]]
            alone = len(before) == 1 and (only := next(iter(before))) in layers and layers[only].part not in left_out
            outputs = 1.0 if layers[step.name].part in left_out else keep_ratio
            total += macs[step.name] * outputs * (keep_ratio if alone else 1.0)
    return total
