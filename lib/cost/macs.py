"""What a network costs: parameters and multiply-accumulates (MACs), counted from its real integer shapes.

MACs are those of convolutions and linear layers, one per multiply-add; batch norm, activations, pooling, additions and biases
are not counted. Papers call the same number FLOPs.
"""

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lib.networks.description import Part
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
    """The cost of one image of `shape` (C, H, W), observed in a forward pass."""
    macs: dict[str, int] = {}
    handles = [
        module.register_forward_hook(_observer(name, macs))
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    ]
    training = network.training
    try:
        with torch.no_grad():
            weight = next(network.parameters())
            network.eval()(torch.zeros(1, *shape, dtype=weight.dtype, device=weight.device))
    finally:
        network.train(training)
        for handle in handles:
            handle.remove()
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
    writers = Counter(carry.target for carry in network.carries)
    pruned: set[str] = set()  # spaces that a pruned convolution has written to so far
    total = 0.0
    for wire in network.wires:
        inputs = keep_ratio if writers[wire.reads] == 1 and wire.reads in pruned else 1.0
        outputs = 1.0 if wire.part in left_out else keep_ratio
        total += macs[wire.conv] * outputs * inputs
        writers[wire.writes] += 1
        if wire.part not in left_out:
            pruned.add(wire.writes)
    return total
