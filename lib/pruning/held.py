"""Training with masks that are chosen already: what is dropped stays zero."""

from lib.masks.kept import Keeper, Kept
from lib.networks.network import Network
from lib.pruning.method import Method
from lib.training.hooks import Moment


def held(network: Network, kept: Kept) -> Method:
    """Train with fixed masks held: what is dropped stays zero through every step, momentum included."""
    keeper = Keeper(network, kept)
    keeper.hold_()

    def after_step(moment: Moment) -> None:
        if moment.whole:
            keeper.hold_(moment.optimizer)

    return Method(kept=lambda: kept, after_step=after_step, held=lambda: kept)
