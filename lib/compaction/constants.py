"""What foreign networks leave in filters that are zero: their batch norms make constants of zeros.

Where all that reads a channel takes a constant in exactly (linear layers, and 1x1 convolutions without padding), it is moved
into the bias or the running mean of the reader; where an activation cuts it off it was zero all along; elsewhere the network
would compute something else without the channel, which is refused.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from lib.channels.flow import presence
from lib.channels.reading import run_node
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
            loud = constants.get(value, torch.zeros(0)).abs() > SILENT
            if _passes(step):  # into a channel that is there, or from which something would be made
                loud &= there[step.output] > 0 if len(loud) == step.output.width else torch.zeros_like(loud)
            if not bool(loud.any()):
                continue
            if isinstance(step, Layer) and _takes_constants(network, step):
                moves.append((step, constants[value]))
            else:
                stuck |= {name: count for name, count in _named(steps, value, loud).items() if count}
    if stuck:
        raise ValueError(_told(stuck))
    for step, values in moves:
        _move_(network, step, values)
    apply_(network, kept)
    return bool(moves)


def _constants(network: Network, steps: tuple[Step, ...], there: Mapping[Value, Tensor]) -> dict[Value, Tensor]:
    """What every absent channel of every value is, in float64; 0 for channels that are there."""
    found: dict[Value, Tensor] = {}
    state = network.state_dict()
    for step in steps:
        out = step.output
        if out.axis is None:
            continue
        inputs = [found[value] for value in step.inputs if value in found]
        made = _constant(network, step, inputs, state)
        found[out] = made.masked_fill(there[out] > 0, 0.0)
    return found


def _constant(network: Network, step: Step, inputs: list[Tensor], state: Mapping[str, Tensor]) -> Tensor:
    if isinstance(step, Layer | Depthwise):
        return _written(step, inputs, state)
    if isinstance(step, Scale) and step.is_batch_norm:
        return _normalised(network.get_submodule(step.module), inputs[0])
    if isinstance(step, Elementwise) and step.activation:
        values: Tensor = run_node(network.module, step.node, inputs[0].view(1, -1, 1, 1))
        return values.flatten()
    if isinstance(step, Join) and len(inputs) == 2:
        one, other = (value.expand(step.output.width) for value in inputs)
        return one * other if step.product else one + other
    if isinstance(step, Concat):
        return torch.cat(inputs)
    return _moved(step, inputs)


def _written(step: Layer | Depthwise, inputs: list[Tensor], state: Mapping[str, Tensor]) -> Tensor:
    """Of a zero filter its bias is left. A depthwise filter sees constants, but zeros beyond the border (so it is refused)."""
    bias = state.get(f"{step.name}.bias")
    total = torch.zeros(step.output.width, dtype=torch.float64) if bias is None else bias.double().cpu()
    if isinstance(step, Depthwise):
        total = total + state[f"{step.name}.weight"].double().cpu().flatten(1).sum(1) * inputs[0][step.source]
    return total


def _normalised(module: nn.Module, values: Tensor) -> Tensor:
    """By the running statistics; where there are none, a constant is its own mean, of which nothing is left."""
    assert isinstance(module, nn.modules.batchnorm._BatchNorm)
    shift = torch.zeros_like(values) if module.bias is None else module.bias.double().cpu()
    if module.running_mean is None or module.running_var is None:
        return shift
    scale = 1.0 if module.weight is None else module.weight.double().cpu()
    centred = values - module.running_mean.double().cpu()
    return shift + scale * centred / (module.running_var.double().cpu() + module.eps).sqrt()


def _moved(step: Step, inputs: list[Tensor]) -> Tensor:
    if isinstance(step, Move):
        return torch.where(step.source >= 0, inputs[0][step.source.clamp_min(0)], 0.0)
    passes = isinstance(step, Elementwise | Scale) and bool(inputs)
    return inputs[0] if passes else torch.zeros(step.output.width, dtype=torch.float64)


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
    has_place = getattr(module, "bias", None) is not None or has_mean
    alone = len(network.description.calls[step.name]) == 1  # else the others would get them too
    return step.groups == 1 and alone and has_place and (isinstance(module, nn.Linear) or one_pixel)


def _move_(network: Network, step: Layer, constants: Tensor) -> None:
    """Add what the constant channels contribute to what reads them: to its bias, or off the mean of its batch norm."""
    module = network.get_submodule(step.name)
    weight = network.weight(step.name).double().flatten(1)
    if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
        module.bias.add_((weight @ constants.to(weight)).to(module.bias))
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
