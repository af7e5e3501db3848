"""No pruning at all: the control that shows what the same extra training does to the whole network."""

from lib.masks.kept import everything
from lib.networks.network import Network
from lib.pruning.method import Common, Method, Request


def method(network: Network, params: Common, request: Request) -> Method:  # noqa: ARG001 (nothing to set)
    """Keep every filter. Raises ValueError when asked to keep fewer."""
    if request.keep_ratio != 1.0:
        msg = f"dense keeps every filter, so its keep_ratio must be 1.0, got {request.keep_ratio}"
        raise ValueError(msg)
    kept = everything(network)
    return Method(kept=lambda: kept)
