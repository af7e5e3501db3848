"""A physically smaller network that computes the same function as the masked one.

What stays of every channel follows from the masks alone: it is there when anything writes it, and needed when anything reads
it. Two modes, both exact. *coupled*: a residual stream loses the channels that nobody writes, which are many where its writers
share a mask. *scatter*: every layer keeps its own filters, the stream stays at full width, as in the sources, and what a block
computes is added into it at its places.

After favorxin/AHSG-HT-pruning-with-KD (Prun_Resnet.py) and he-y/soft-filter-pruning (utils/get_small_model.py).
Departs: masks decide what is kept (the references count anew and keep one filter more); any network is cut, by its traced
channels, and not two by hand; biases are copied; the kept channels are stored with the network; nothing is added in place;
equality is checked on real images.
"""

import torch

from lib.masks.kept import Kept, as_indices, check
from lib.networks import cut
from lib.networks.architecture import Architecture, Mode
from lib.networks.network import Network


def shrunk(network: Network, kept: Kept, mode: Mode) -> Architecture:
    """The architecture of what stays. Raises ValueError for masks that do not fit or a network that is compact already."""
    check(network, kept)
    if network.architecture.kept is not None:
        msg = "the network is compact already; compact the masked network it was made from"
        raise ValueError(msg)
    return network.architecture.with_kept({name: tuple(indices) for name, indices in as_indices(kept.filters).items()}, mode)


@torch.no_grad()
def compact(network: Network, kept: Kept, mode: Mode) -> Network:
    """The small network, in eval mode, on the masked network's device and in its precision."""
    return cut(network, shrunk(network, kept, mode)).eval()
