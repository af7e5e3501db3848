"""Small networks to damage."""

from functools import cache

import torch

from lib.compaction.compact import compact
from lib.formats.checkpoint import Checkpoint
from lib.masks.kept import Kept, apply_
from lib.masks.weights import strongest, weights
from lib.networks import build
from lib.networks.architecture import Architecture, Mode
from lib.networks.network import Network
from lib.pruning.scores import uniform
from lib.pruning.selection import Selection
from lib.randomness import stream

MODES: tuple[Mode, ...] = ("coupled", "scatter")


@cache
def unmasked() -> tuple[Checkpoint, ...]:
    """Compact networks whose weights have few values, also one with hidden layers; and a dense one."""
    compacts = [compact(*_masked(hidden), mode) for mode, hidden in zip((*MODES, "coupled"), ((), (), (5, 6)), strict=True)]
    return tuple(_checkpoint(network) for network in (*compacts, _network(())))


@cache
def masked() -> tuple[Checkpoint, ...]:
    """A network with masks of filters, and one with masks of single weights too."""
    network, kept = _masked(())
    sparsity = strongest({name: weight.detach().abs() for name, weight in weights(network).items()}, 0.5, everywhere=False)
    return _checkpoint(network, kept), _checkpoint(network, Kept(kept.filters, sparsity))


@torch.no_grad()
def _network(hidden: tuple[int, ...]) -> Network:
    architecture = Architecture("resnet8", 4, 3, (8, 8)).with_arguments({"hidden": hidden} if hidden else {})
    network = build(architecture, stream(0, "initialisation")).eval()
    for buffer in network.buffers():
        if buffer.is_floating_point():
            buffer.add_(0.25)
    return network


@torch.no_grad()
def _masked(hidden: tuple[int, ...]) -> tuple[Network, Kept]:
    network = _network(hidden)
    kept = Kept(Selection(network, 0.25, coupled=True).choose(uniform(network.filters(), stream(0, "masks"))))
    for parameter in network.parameters():
        parameter.mul_(16.0).round_().div_(16.0)
    apply_(network, kept)
    return network, kept


def _checkpoint(network: Network, kept: Kept | None = None) -> Checkpoint:
    notes = {"epochs": 3, "trained_on": {"device": "cpu"}}
    return Checkpoint(network, kept, (3, 8, 8), (0.1, 0.2, 0.3), (0.25,) * 3, notes)
