"""The form of a compact network that ships: nothing left but convolutions, additions and what the user wrote.

Compaction leaves two things that a fast runtime cannot fuse: index-adds, where a block adds fewer channels than a stream has,
and gathers, where a shortcut carries channels that do not lie side by side. Here the layers that add to a stream write all of
its channels, zeros where they have none; a stream is sorted by what the shortcut into it carries, so that what is carried lies
side by side; and batch norms are folded into the layers that they alone read.

Departs from He et al. (get_small_model.py of soft-filter-pruning, arXiv 1808.06866), whose small networks scatter at every
block: users found them slower than the dense network.
"""

from collections import defaultdict
from collections.abc import Mapping, Set

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from lib.channels.description import Description
from lib.channels.emission import emit
from lib.channels.flow import Flow, flow
from lib.channels.steps import Layer, Scale, Value
from lib.networks import masks
from lib.networks.network import Network, described
from lib.networks.placing import masked

# Zero filters cost multiplications, and a gather before the sum costs time for every element: a layer writes zeros if that is
# at most so many multiplications an element of the stream. Measured: see `python -m bench.zero_rows`.
MACS_FOR_AN_ELEMENT = 300
IDLE = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)  # in eval mode


@torch.no_grad()
def ship(network: Network, multiple: int = 1) -> fx.GraphModule:
    """A dense or compact network for inference: images (B, C, H, W) -> logits (B, num_classes), on its device.

    multiple: channels are filled up with zeros to multiples of it, where the dense network has as many: kernels work in blocks
    of 4, 8 or 16 channels, and one that is not full may cost more than a full one.
    """
    dense = network if network.architecture.kept is None else masked(network)
    description = described(dense.architecture)
    small = emit(dense.module, description, _widened(dense, masks(network.architecture), multiple), ships=True).eval()
    _return_logits_(small)
    _fold_(small.double(), {step.module for step in description.steps if isinstance(step, Scale)})
    _clean_(small)
    return small.to(network.dtype)


def _widened(dense: Network, kept: Mapping[str, Tensor], multiple: int) -> Flow:
    """What stays when all layers that write a stream write all of it, in multiples."""
    description = described(dense.architecture)
    least = flow(description.steps, kept)
    if not kept:
        return least
    alive = _filled(description, _alive(description, least), multiple)
    wide = {name: alive[layer.classes] for name, layer in description.layers.items()}
    wide |= {name: kept[name] for name in _dear(dense, least, wide, kept)}
    found = flow(description.steps, wide)
    return Flow(found.present, found.needed, _order(description, alive))


def _alive(description: Description, least: Flow) -> Tensor:
    """By class of channels, whether any value holds one of them, bool (classes,)."""
    alive = torch.zeros(int(description.classes.max()) + 1, dtype=torch.bool)
    for value in least.present:
        alive[description.classes[value.numbers[least.stays(value)]]] = True
    source, target = description.carries
    while bool((alive[source] & ~alive[target]).any()):
        alive[target] |= alive[source]
    return alive


def _filled(description: Description, alive: Tensor, multiple: int) -> Tensor:
    """With further classes, in order, of every set of layers that write channels together, up to a multiple or to all."""
    if multiple == 1:
        return alive
    filled, together = alive.clone(), defaultdict(list)
    for channel, names in description.writers.items():
        together[names].append(channel)
    source, target = description.carries
    for channels in map(torch.tensor, together.values()):
        filled[target] |= filled[source]  # sources come before what they are carried to
        dropped = channels[~filled[channels]]
        filled[dropped[: -(len(channels) - len(dropped)) % multiple]] = True
    return filled


def _dear(dense: Network, least: Flow, wide: Mapping[str, Tensor], kept: Mapping[str, Tensor]) -> list[str]:
    """The layers whose zero filters would cost more than a gather."""
    found = []
    for step in dense.description.steps:
        if isinstance(step, Layer) and step.name in kept:
            zeros, width = int((wide[step.name] & ~kept[step.name]).sum()), int(wide[step.name].sum())
            reads = len(least.stays(step.inputs[0])) // step.groups * dense.weight(step.name)[0, 0].numel()
            if zeros * reads > MACS_FOR_AN_ELEMENT * width:
                found.append(step.name)
    return found


def _order(description: Description, alive: Tensor) -> dict[Value, Tensor]:
    """Keys by which what a shortcut carries comes first where it arrives, in the order in which it starts."""
    keys = torch.arange(int(description.classes.max()) + 1)
    arrived = torch.zeros_like(keys, dtype=torch.bool)
    for source, target in sorted(description.carries.T.tolist(), key=lambda pair: pair[1]):
        if alive[source] and not arrived[target]:
            keys[target], arrived[target] = keys[source], True
    found = {}
    for step in description.steps:
        value = step.output
        if value.axis is not None and not value.is_spread and bool(arrived[description.classes[value.numbers]].any()):
            found[value] = keys[description.classes[value.numbers]]
    return found


def _return_logits_(small: fx.GraphModule) -> None:
    """Of several outputs the first; what only the others need goes."""
    output = next(iter(reversed(small.graph.nodes)))
    if isinstance(output.args[0], list | tuple):
        output.args = (output.args[0][0],)
    small.graph.eliminate_dead_code(lambda node: node.op in ("placeholder", "output"))
    small.recompile()


def _fold_(small: fx.GraphModule, by_channel: Set[str]) -> None:
    """Batch norms into the convolutions and linear layers that they alone read, behind every call of them. by_channel: those
    that scale channels, and not, say, the positions of a sequence.
    """
    modules = dict(small.named_modules())
    calls: dict[str, list[fx.Node]] = defaultdict(list)
    for node in small.graph.nodes:
        if node.op == "call_module":
            calls[str(node.target)].append(node)
    functional = {str(node.target).rpartition(".")[0] for node in small.graph.nodes if node.op == "get_attr"}
    for name, nodes in calls.items():
        layer, behind = modules[name], [list(node.users) for node in nodes]
        targets = {str(users[0].target) if len(users) == 1 and users[0].op == "call_module" else "" for users in behind}
        target = next(iter(targets)) if len(targets) == 1 else ""
        norm = modules.get(target) if target in by_channel and name not in functional else None
        if not isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d) or norm.running_mean is None:
            continue
        if isinstance(layer, nn.Conv2d):
            small.set_submodule(name, fuse_conv_bn_eval(layer, norm))
        elif isinstance(layer, nn.Linear):
            small.set_submodule(name, fuse_linear_bn_eval(layer, norm))
        else:
            continue
        for node, (read,) in zip(nodes, behind, strict=True):
            read.replace_all_uses_with(node)
            small.graph.erase_node(read)


def _clean_(small: fx.GraphModule) -> None:
    """Without modules that do nothing in eval mode, and without those that nothing calls."""
    modules = dict(small.named_modules())
    for node in list(small.graph.nodes):
        if node.op == "call_module" and isinstance(modules[str(node.target)], IDLE):
            node.replace_all_uses_with(node.args[0])
            small.graph.erase_node(node)
    small.delete_all_unused_submodules()
    small.recompile()
