"""torch-pruning on the same network: does its dependency graph make it small, is it equal, and how long does it take?

Fang et al., "DepGraph: Towards Any Structural Pruning", CVPR 2023, https://arxiv.org/abs/2301.12900
Its masked form is the same network with the very channels set to zero that it takes away: filters with their biases, and scale
and shift of what it takes for a norm of those channels. The classifier is left alone, as it would be pruned otherwise.
"""

import copy
import time
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from lib.compaction.proof import FLOAT64_LIMIT, gap
from lib.foreign_code import FAILURES
from lib.networks.network import Network
from lib.steps import probe, specimen


@dataclass(frozen=True)
class Peer:
    """equal: to its own masked form; None where it made nothing. reason: why not."""

    network: str
    equal: bool | None = None
    max_relative_difference: float | None = None
    params_ratio: float | None = None
    seconds: float | None = None
    reason: str | None = None


def installed() -> bool:
    """Whether it can be imported."""
    try:
        import torch_pruning  # noqa: F401
    except ImportError:
        return False
    return True


def tried(network: Network, keep_ratio: float) -> Peer:
    """Prune a dense network, which is used up."""
    import torch_pruning

    images, head = specimen.images_for(network), network.description.head
    specimen.level_(network, images)
    module, zeroed, found = network.module, copy.deepcopy(network.module), Peer(network.architecture.name)
    before = _size(module)
    start = time.perf_counter()
    try:
        taken = _pruned(torch_pruning, module, head, images, keep_ratio)
        found = replace(found, seconds=time.perf_counter() - start)
        if not taken:
            return replace(found, reason="it takes nothing away")
        small = _logits(module, images)
        _zero_(torch_pruning, zeroed, images, taken)
        apart = gap(_logits(zeroed, images), small)
    except FAILURES as error:
        return replace(found, reason=probe.told(error))
    equal = apart.relative < FLOAT64_LIMIT
    reason = None if equal else "it is not equal to the same network with these channels at zero"
    ratio = _size(module) / before
    return replace(found, equal=equal, max_relative_difference=apart.relative, params_ratio=ratio, reason=reason)


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


Taken = list[tuple[str, list[int]]]  # by the first layer of each group, the channels taken away


def _pruned(library: Any, module: nn.Module, head: str, images: Tensor, keep_ratio: float) -> Taken:
    """What was taken away, group by group."""
    names = {part: name for name, part in module.named_modules()}
    pruner = library.pruner.BasePruner(
        module,
        images,
        importance=library.importance.RandomImportance(),
        pruning_ratio=1.0 - keep_ratio,
        ignored_layers=[module.get_submodule(head)],
        in_channel_groups={},  # its defaults are shared by all of them
        out_channel_groups={},
    )
    taken = []
    for group in pruner.step(interactive=True):
        first, places = group[0]
        taken.append((names[first.target.module], list(places)))
        group.prune()
    return taken


@torch.no_grad()
def _zero_(library: Any, module: nn.Module, images: Tensor, taken: Taken) -> None:
    with torch.enable_grad():
        graph = library.DependencyGraph().build_dependency(module, images)
    for name, places in taken:
        first = module.get_submodule(name)
        for one, channels in graph.get_pruning_group(first, graph.get_pruner_of_module(first).prune_out_channels, places):
            part = one.target.module
            if isinstance(part, nn.Parameter):
                axis = next((axis for axis, size in enumerate(part.shape) if size > 1), 0)
                part.index_fill_(axis, torch.tensor(channels), 0.0)
            elif graph.is_out_channel_pruning_fn(one.handler):
                for parameter in part._parameters.values():
                    if parameter is not None and len(parameter) > max(channels):
                        parameter[channels] = 0.0


@torch.no_grad()
def _logits(module: nn.Module, images: Tensor) -> Tensor:
    given = module.eval()(images)
    logits: Tensor = given if isinstance(given, Tensor) else given[0]
    return logits
