"""Training what remains: once masks are settled, the compact network takes the masked one's steps, at its widths.

The same function and, in exact arithmetic, the same steps: what the masks drop is zero and gets no gradient, so nothing is
missed without it. What no kept filter reads (columns over dropped channels) stays as it was, where the masked network would
let it decay; nothing ever reads it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from lib.channels.flow import Flow, flow
from lib.channels.observing import points
from lib.channels.steps import Scale, Step
from lib.compaction.compact import compact
from lib.masks.kept import Kept, apply_
from lib.networks.network import Network, trains_otherwise
from lib.networks.placing import put_back_
from lib.training.objective import Objective
from lib.training.taps import Tapped


@dataclass(frozen=True)
class Remaining:
    """What remains of a masked network, and the objective that sees it as if it were that network."""

    network: Network
    objective: Objective

    def put_back_(self, masked: Network) -> None:
        """Write the weights and statistics into the masked network."""
        put_back_(masked, self.network)


def remaining(network: Network, kept: Kept, objective: Objective) -> Remaining | None:
    """What remains of a network whose masks are settled; None where the network itself must be trained.

    That is where single weights are masked, nothing is dropped or the network is compact already; where a term of the
    objective looks at what the compact network does not have; where dropout would draw other numbers, for fewer channels;
    where a batch norm has the statistics of several calls, some of which leave channels unread that others need; and where
    code of the network's own looks at the mode, as that of stochastic depth: the compact one has what it does in eval mode
    alone.
    """
    dropped = any(not bool(mask.all()) for mask in kept.filters.values())
    if kept.weights or not dropped or network.architecture.kept is not None or trains_otherwise(network.architecture):
        return None
    steps = network.description.steps
    there = flow(steps, {name: mask.cpu() for name, mask in kept.filters.items()})
    if not _seen(network, there, objective.student.taps) or any(_draws_less(network, there, step) for step in steps):
        return None
    if any(_sees_less(there, calls) for calls in network.description.calls.values()):
        return None
    apply_(network, kept)
    small = compact(network, kept, "coupled").train(network.training)
    for part in small.modules():  # those of the masked network's layers came with them
        part._forward_hooks.clear()
        part._forward_pre_hooks.clear()
    small.to(network.device)
    return Remaining(small, replace(objective, student=Tapped(small, objective.student.taps, whole=True)))


def _seen(network: Network, there: Flow, taps: tuple[str, ...]) -> bool:
    """Whether all that the taps see of the masked network is in the compact one, or zero."""
    known = points(network.description)
    if not set(taps) <= known.keys():
        return False
    values = [known[tap][0] for tap in taps]
    return all(torch.equal(there.kept(value), there.present[value]) for value in values if value.axis is not None)


def _sees_less(there: Flow, calls: Sequence[Step]) -> bool:
    """Whether the calls of one batch norm keep different channels."""
    kept = [there.kept(call.output) > 0 for call in calls if isinstance(call, Scale) and call.is_batch_norm]
    return any(not torch.equal(one, kept[0]) for one in kept[1:])


def _draws_less(network: Network, there: Flow, step: Step) -> bool:
    """Whether a step is dropout over fewer channels than the masked network has."""
    if step.output not in there.present or len(there.stays(step.output)) == step.output.width:
        return False
    if step.node.op == "call_module":
        module = network.get_submodule(str(step.node.target))
        return isinstance(module, nn.modules.dropout._DropoutNd) and module.p > 0.0
    return "dropout" in str(getattr(step.node.target, "__name__", step.node.target))
