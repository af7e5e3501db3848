"""ASFP: soft filter pruning whose pruned share grows asymptotically, so that little is lost at once.

He, Dong, Kang, Fu, Yan, Yang, "Asymptotic Soft Filter Pruning for Deep Convolutional Neural Networks", IEEE Transactions on
Cybernetics 2019, https://arxiv.org/abs/1808.07471
Reference: none was released; the schedule is the paper's, in closed form (`lib.pruning.keep_schedule`): a exp(-k t) + b
through first_pruned at the start, 3/4 of the goal at 1/8 of the training and the goal at its end, hence k = 11.09.

Departs: as `sfp` does; the choice after epoch e (from 0) uses t = e + 1, so the last one reaches the goal exactly, where the
paper leaves t open.
"""

from typing import Literal

from lib.networks.network import Network
from lib.params.section import section
from lib.pruning.gradual import Soft, gradual
from lib.pruning.method import Method, Request
from lib.pruning.scores import norms


@section
class AsfpSettings(Soft):
    """order: 2 for the Euclidean norm (the paper), 1 for the sum of absolute weights.

    keep_schedule: the keep ratio on the way to the cell's; its kind must be asymptotic.
    """

    order: Literal[1, 2]

    def __post_init__(self) -> None:
        """With another schedule this would be sfp under a wrong name."""
        if self.keep_schedule.kind != "asymptotic":
            msg = f"keep_schedule.kind must be asymptotic, got {self.keep_schedule.kind}; use sfp for other schedules"
            raise ValueError(msg)


def method(network: Network, params: AsfpSettings, request: Request) -> Method:
    """Soft pruning by norm on the asymptotic schedule. Raises ValueError when it is to choose only once."""
    return gradual(network, params, request, lambda _: norms(network.filters(), params.order), params.revival)
