"""What foreign networks leave in filters that are zero: their batch norms make constants of zeros.

Where all that reads a channel takes a constant in exactly (linear layers, and 1x1 convolutions without padding), it is moved
into the bias or the running mean of the reader; where an activation cuts it off it was zero all along; elsewhere the network
would compute something else without the channel, which is refused.
"""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from lib.channels.flow import presence
from lib.channels.proxies import seen
from lib.channels.reading import arguments, run
from lib.channels.steps import Concat, Depthwise, Elementwise, Join, Layer, Move, Scale, Step, Value
from lib.masks.kept import Kept, apply_
from lib.networks.network import Network

SILENT = 1e-12  # what a running mean leaves that has decayed for a whole training


@torch.no_grad()
def silence_(network: Network, kept: Kept) -> bool:
    """Zero all that belongs to dropped filters, so that the network in eval mode still computes the same.

    Returns whether constants were moved into what reads them. Raises ValueError naming the layers whose constants cannot
    be moved, before anything is changed.
    """
    steps = network.description.steps
    there = presence(steps, kept.filters, torch.empty(0))
    constants = _constants(network, steps, there)
    moves: list[tuple[Layer, Tensor]] = []
    stuck: dict[str, int] = {}
    for step in steps:
        for value in step.inputs:
            absent = constants[value].masked_fill(there[value] > 0, 0.0) if value in constants else torch.zeros(0)
            loud = ~(absent.abs() <= SILENT)  # what is no constant is loud too
            if _passes(step):  # into a channel that is there, or from which something would be made
                loud &= there[step.output] > 0 if len(loud) == step.output.width else torch.zeros_like(loud)
            if not bool(loud.any()):
                continue
            if isinstance(step, Layer) and _takes_constants(network, step) and not bool(absent.isnan().any()):
                moves.append((step, absent))
            else:
                stuck |= {name: count for name, count in _named(steps, value, loud).items() if count}
    if stuck:
        raise ValueError(_told(stuck))
    for step, values in moves:
        _move_(network, step, values)
    apply_(network, kept)
    return bool(moves)


def _constants(network: Network, steps: tuple[Step, ...], there: Mapping[Value, Tensor]) -> dict[Value, Tensor]:
    """What every absent channel of every value is, in float64; NaN where it is no constant, and where a channel is there."""
    found: dict[Value, Tensor] = {}
    tensors: dict[str, Tensor] = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    for step in steps:
        out = step.output
        if out.axis is None:
            continue
        if step.node.op == "get_attr":  # one of its own for each channel
            found[out] = _held(step.node, tensors).flatten()
        else:
            found[out] = _constant(network, step, found, tensors).masked_fill(there[out] > 0, torch.nan)
    return found


def _constant(network: Network, step: Step, found: Mapping[Value, Tensor], tensors: Mapping[str, Tensor]) -> Tensor:
    nothing = torch.zeros(step.output.width, dtype=torch.float64)
    if isinstance(step, Layer | Depthwise):
        # Of a zero filter its bias is left. A depthwise convolution that sees constants is refused.
        return tensors[f"{step.name}.bias"].double().cpu() if _has_bias(network, step) else nothing
    if isinstance(step, Concat):
        return torch.cat([found[value] for value in step.inputs])
    if isinstance(step, Move):
        moved = torch.where(step.source >= 0, found[step.inputs[0]][step.source.clamp_min(0)], 0.0)
        return moved.masked_fill((moved != 0.0) & any(step.pads), torch.nan)  # zeros lie around it
    if not isinstance(step, Elementwise | Scale | Join):
        return nothing
    made = _computed(network, step, found, tensors)
    silent = [found[value].expand(step.output.width) == 0.0 for value in step.inputs if value in found]
    if isinstance(step, Join):
        return made.masked_fill(torch.stack(silent).any(0), 0.0) if step.product else made
    return made.masked_fill(silent[0], 0.0) if isinstance(step, Elementwise) and step.keeps_zero else made


def _computed(network: Network, step: Step, found: Mapping[Value, Tensor], tensors: Mapping[str, Tensor]) -> Tensor:
    """What an operation makes of constant channels, by running it; NaN where that is not the same at all pixels."""
    out, known = step.output, network.description.known
    unknown = False

    def operand(node: fx.Node) -> Any:
        nonlocal unknown
        value = known[node]
        if isinstance(value, Value) and value in found and value in step.inputs:
            row = [-1 if axis == value.axis else 1 for axis in range(len(value.shape))]
            several = [2, *value.shape[1:]] if value.axis and value.shape[0] == 1 else value.shape  # as batch norms may need
            return found[value].view(row).expand(several).clone()
        if node.op == "get_attr":
            return _held(node, tensors)
        unknown |= isinstance(value, Value)
        return seen(node)

    args, kwargs = pytree.tree_map(_in_double, arguments(step.node, operand))
    if unknown:
        return torch.full((out.width,), torch.nan, dtype=torch.float64)
    module = network.get_submodule(str(step.node.target)) if step.node.op == "call_module" else None
    made: Tensor = run(None if module is None else copy.deepcopy(module).double().cpu().eval(), step.node, args, kwargs)
    assert out.axis is not None
    rows = made.movedim(out.axis, 0).flatten(1)
    low, high = rows.amin(1), rows.amax(1)
    return high.masked_fill(high - low > SILENT * (1.0 + high.abs()), torch.nan)


def _held(node: fx.Node, tensors: Mapping[str, Tensor]) -> Tensor:
    """A parameter or buffer, or a constant of the forward pass."""
    held: Tensor = tensors.get(str(node.target), seen(node))
    return held.double().cpu()


def _in_double(item: Any) -> Any:
    """An argument for a pass on the CPU in float64, where the one that was traced was on device meta in float32."""
    if isinstance(item, torch.device):
        return torch.device("cpu")
    return torch.float64 if item is torch.float32 else item


def _has_bias(network: Network, step: Layer | Depthwise) -> bool:
    """Whether a call adds its layer's bias; one as a function need not."""
    given = any(str(node.target) == f"{step.name}.bias" for node in step.node.all_input_nodes)
    return network.get_submodule(step.name).bias is not None and (given or not step.functional)


def _passes(step: Step) -> bool:
    """Whether constants go on behind it, channel by channel."""
    depthwise = isinstance(step, Depthwise)
    return isinstance(step, Scale | Elementwise | Join | Concat | Move) and not depthwise


def _takes_constants(network: Network, step: Layer) -> bool:
    module = network.get_submodule(step.name)
    one_pixel = isinstance(module, nn.Conv2d) and set(module.kernel_size) == {1} and set(module.padding) == {0}
    layer = network.description.layers.get(step.name)
    batch_norm = None if layer is None else network.batch_norm(layer)
    has_mean = batch_norm is not None and batch_norm.running_mean is not None
    has_place = _has_bias(network, step) or has_mean
    # Else another call, or whatever reads the bias, would get them too.
    alone = len(network.description.calls[step.name]) == 1 and step.name not in network.description.whole
    return step.groups == 1 and alone and has_place and (isinstance(module, nn.Linear) or one_pixel)


def _move_(network: Network, step: Layer, constants: Tensor) -> None:
    """Add what the constant channels contribute to what reads them: to its bias, or off the mean of its batch norm."""
    module = network.get_submodule(step.name)
    weight = network.weight(step.name).double().flatten(1)
    if _has_bias(network, step):
        bias = module.get_parameter("bias")
        bias.add_((weight @ constants.to(weight)).to(bias))
        return
    batch_norm = network.batch_norm(network.description.layers[step.name])
    assert batch_norm is not None
    assert batch_norm.running_mean is not None
    batch_norm.running_mean.sub_((weight @ constants.to(weight)).to(batch_norm.running_mean))


def _named(steps: tuple[Step, ...], value: Value, loud: Tensor) -> dict[str, int]:
    """Where constants come from: the nearest batch norms or layers before a value."""
    makers = {step.output: step for step in steps}
    step = makers[value]
    if isinstance(step, Scale | Layer | Depthwise):
        return {step.module if isinstance(step, Scale) else step.name: int(loud.sum())}
    found: dict[str, int] = {}
    for before in step.inputs:
        part = loud if before.width == len(loud) else torch.ones(before.width, dtype=torch.bool)
        found |= _named(steps, before, part)
    return found


def _told(stuck: Mapping[str, int]) -> str:
    named = [f"{name} ({count})" for name, count in list(stuck.items())[:5]]
    more = f" and {len(stuck) - 5} more" if len(stuck) > 5 else ""
    return (
        f"filters are zero, but their batch norms make constants of them that what follows cannot take in exactly: "
        f"{', '.join(named)}{more}; without these channels the network would compute something else, so zero their shifts "
        f"and means and train it a little where it was made, or import the network before it was pruned"
    )
