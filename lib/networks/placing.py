"""Where the weights of a compact network stand in the dense one, and putting them back there.

Nothing here knows how layers are cut: a dense network whose every tensor holds its own positions is cut like any other, and
what is left are the positions that stay.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import torch
from torch import Tensor

from lib.channels.steps import Depthwise, Layer, Scale, Source, Step
from lib.networks import build, cut
from lib.networks.architecture import Architecture
from lib.networks.network import Network


@lru_cache(maxsize=8)
def places(architecture: Architecture) -> Mapping[str, Tensor]:
    """By tensor of a compact network, where each of its elements stands in the dense network's tensor, flattened."""
    numbered = build(architecture.dense)
    numbered.module.double()  # exact for every position there can be
    dense = {name: tensor for name, tensor in _tensors(numbered).items() if tensor.dtype != torch.bool}
    with torch.no_grad():
        for tensor in dense.values():
            tensor.copy_(torch.arange(tensor.numel()).view(tensor.shape))
    return {name: tensor.long() for name, tensor in _tensors(cut(numbered, architecture)).items() if name in dense}


@torch.no_grad()
def put_back_(dense: Network, compact: Network) -> None:
    """Write a compact network's weights and statistics into the dense network that it was made from; the rest stays."""
    target, found = _tensors(dense), _tensors(compact)
    for name, index in places(compact.architecture).items():
        whole = target[name]
        flat = whole.reshape(-1).index_copy(0, index.flatten().to(whole.device), found[name].flatten().to(whole))
        whole.copy_(flat.view(whole.shape))


def masked(compact: Network) -> Network:
    """The dense network that computes the same, zero wherever the compact one has nothing; on its device, in eval mode."""
    dense = build(compact.architecture.dense)
    tensors = _tensors(dense)
    gone = _of_channels(dense.description.steps) & tensors.keys()  # some layers may have vanished altogether
    with torch.no_grad():
        for name in places(compact.architecture).keys() | gone:
            tensors[name].zero_()
    put_back_(dense, compact)
    return dense.to(compact.device, compact.dtype).eval()


def _of_channels(steps: Sequence[Step]) -> set[str]:
    """The paths of all weights, biases, scales and parameters that have a part a channel."""
    found: set[str] = set()
    for step in steps:
        if isinstance(step, Layer | Depthwise):
            found |= {f"{step.name}.weight", f"{step.name}.bias"}
        elif isinstance(step, Scale):
            found |= set(step.held)
        elif isinstance(step, Source) and step.node.op == "get_attr" and step.output.axis is not None:
            found.add(str(step.node.target))
    return found


def _tensors(network: Network) -> dict[str, Tensor]:
    return {**dict(network.named_parameters()), **dict(network.named_buffers())}
