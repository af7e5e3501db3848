"""Masks of single weights, for non-structured pruning: by layer a bool tensor shaped like its weight, True = keep.

The network keeps its shape: dense kernels compute the zeros too, so nothing gets faster. Stage `measure` reports the share of
zeros; sparse storage and entropy coding are what gains.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from lib.channels.steps import Depthwise, Layer
from lib.masks.filters import kept_count, multiply_, top_k
from lib.networks.network import Network, described

Sparsity = dict[str, Tensor]


def weights(network: Network) -> dict[str, Tensor]:
    """The weights of all convolutions and linear layers, by layer; biases and batch norms are never pruned singly.

    Those that the network calls as functions too: in its compact form they are no modules, but still go by their names.
    """
    layers = {name: module for name, module in network.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)}
    found: dict[str, Tensor] = {name: layer.weight for name, layer in layers.items()}
    parameters = dict(network.named_parameters())
    for step in described(network.architecture.dense).steps:
        if isinstance(step, Layer | Depthwise) and step.functional and f"{step.name}.weight" in parameters:
            found.setdefault(step.name, parameters[f"{step.name}.weight"])
    return found


def check(network: Network, sparsity: Sparsity) -> None:
    """Raise ValueError unless there is a mask of the right shape for every convolution and linear layer."""
    expected = {name: tuple(weight.shape) for name, weight in weights(network).items()}
    got = {name: tuple(mask.shape) for name, mask in sparsity.items()}
    if got != expected or any(mask.dtype != torch.bool for mask in sparsity.values()):
        wrong = sorted(name for name in expected.keys() | got.keys() if expected.get(name) != got.get(name))
        msg = f"masks of single weights must be bool, shaped like the weights; wrong: {wrong or 'their type'}"
        raise ValueError(msg)


def strongest(magnitudes: Mapping[str, Tensor], keep_ratio: float, *, everywhere: bool) -> Sparsity:
    """Keep exactly floor(n keep_ratio) of n weights, the largest; of equal ones the first.

    In each layer by itself, or of all layers together (everywhere); in both cases every layer keeps at least its largest.
    """
    flat = {name: values.flatten() for name, values in magnitudes.items()}
    if everywhere:
        joined = torch.cat([values.masked_fill(top_k(values, 1), torch.inf) for values in flat.values()])
        count = max(kept_count(joined.numel(), keep_ratio), len(flat))
        parts = top_k(joined, count).split([values.numel() for values in flat.values()])
        kept = dict(zip(flat, parts, strict=True))
    else:
        kept = {name: top_k(values, kept_count(values.numel(), keep_ratio)) for name, values in flat.items()}
    return {name: mask.view_as(magnitudes[name]) for name, mask in kept.items()}


def zero_share(network: Network) -> float:
    """Zeros over weights, all convolutions and linear layers together."""
    found = list(weights(network).values())
    return sum(int((weight == 0).sum()) for weight in found) / sum(weight.numel() for weight in found)


class Zeros:
    """Keeps single weights at zero: parameters, and the optimizer's buffers."""

    def __init__(self, network: Network) -> None:
        self.weights = weights(network)

    @torch.no_grad()
    def hold_(self, sparsity: Sparsity, optimizer: torch.optim.Optimizer | None = None) -> None:
        """Zero what is dropped, in the optimizer's buffers too where one is given. Layers without a mask stay whole."""
        found = [(self.weights[name], mask.to(self.weights[name].device)) for name, mask in sparsity.items()]
        if found:
            multiply_([weight for weight, _ in found], [mask for _, mask in found], optimizer)
