"""Training with masks that are chosen already: what is dropped stays zero."""

from lib.masks.kept import Keeper, Kept
from lib.networks.network import Network
from lib.pruning.method import Method


def held(network: Network, kept: Kept) -> Method:
    """Train with fixed masks held: what is dropped stays zero through every step, momentum included."""
    keeper = Keeper(network, kept)
    keeper.hold_()
    return Method(kept=lambda: kept, after_step=lambda moment: keeper.hold_(moment.optimizer))
