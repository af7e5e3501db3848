"""Layers cut to the channels that stay."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lib.channels.flow import Flow
from lib.channels.steps import ABSENT, Depthwise, Layer, Step

GROUPS_PLACE = 6  # of the arguments of torch's function


@dataclass(frozen=True)
class Cut:
    """A layer cut. reads: positions of its input, ABSENT for zeros; writes: positions of the dense output."""

    module: nn.Module
    tensors: Mapping[str, Tensor]
    groups: int
    reads: Tensor
    writes: Tensor


def cut(module: nn.Module, step: Layer | Depthwise, calls: Sequence[Step], flow: Flow, *, whole: bool) -> Cut:
    """The part of a convolution or linear layer that stays: what any of its calls needs, with what one call (step) reads.

    whole: all of it, whatever of it is needed.
    """
    assert isinstance(module, nn.Conv2d | nn.Linear)
    kept = torch.arange(step.output.width) if whole else flow.stays(*(call.output for call in calls))
    if isinstance(step, Depthwise):
        weight, groups, reads = _depthwise(module.weight, step, kept)
        writes = kept
    elif step.groups == 1:
        value = step.inputs[0]
        inputs = torch.arange(value.width) if whole else flow.stays(*(call.inputs[0] for call in calls))
        columns = inputs if len(inputs) else torch.zeros(1, dtype=torch.int64)  # a layer that reads nothing reads one zero
        reads = torch.where(flow.present[value][columns] > 0, columns, ABSENT)
        weight, groups, writes = rows(rows(module.weight, kept, 0), columns, 1), 1, kept
    else:
        weight, groups, reads, writes = _grouped(module.weight, step, calls, flow, whole=whole)
    tensors = {"weight": weight}
    if module.bias is not None:
        tensors["bias"] = rows(module.bias, writes, 0)
    return Cut(_sized(module, tensors, groups, len(reads)), tensors, groups, reads, writes)


def scale(module: nn.Module, kept: Tensor) -> nn.Module:
    """A batch norm or PReLU cut to the kept channels."""
    small = copy.copy(module)
    small._parameters, small._buffers = dict(module._parameters), dict(module._buffers)
    for store in (small._parameters, small._buffers):
        for name, tensor in store.items():
            if tensor is not None and tensor.dim() == 1:
                store[name] = _like(tensor, rows(tensor, kept, 0))  # type: ignore[assignment]
            elif tensor is not None:
                store[name] = _like(tensor, tensor.detach().clone())  # type: ignore[assignment]
    for name in ("num_features", "num_parameters"):
        if hasattr(module, name):
            setattr(small, name, len(kept))
    return small


def rows(tensor: Tensor, index: Tensor, axis: int) -> Tensor:
    """A tensor's entries at positions of one axis."""
    return tensor.detach().index_select(axis, index.to(tensor.device))


def _like(tensor: Tensor, values: Tensor) -> Tensor:
    return nn.Parameter(values, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else values


def _depthwise(weight: Tensor, step: Depthwise, kept: Tensor) -> tuple[Tensor, int, Tensor]:
    """One group a channel where all channels keep equally many filters, one behind the other, else one a filter."""
    source = step.source[kept]
    channels, counts = source.unique_consecutive(return_counts=True)
    even = bool((counts == counts[0]).all()) and len(channels) == len(channels.unique())
    reads = channels if even else source
    return rows(weight, kept, 0), len(reads), reads


def _grouped(
    weight: Tensor, step: Layer, calls: Sequence[Step], flow: Flow, *, whole: bool
) -> tuple[Tensor, int, Tensor, Tensor]:
    """Groups of one size: those that keep fewer channels are filled up, with filters nobody reads and with zeros."""
    value, groups = step.inputs[0], step.groups
    written = torch.stack([flow.kept(call.output) for call in calls]).amax(0).view(groups, -1) > 0
    there = torch.stack([flow.present[call.inputs[0]] for call in calls]).amax(0).view(groups, -1) > 0
    written, there = written | whole, there | whole
    live = written.any(1).nonzero().flatten()
    outputs = _filled(written[live])
    inputs = _filled(there[live])
    per_output, per_input = written.shape[1], there.shape[1]
    writes = (live[:, None] * per_output + outputs).flatten()
    columns = (live[:, None] * per_input + inputs).flatten()
    reads = torch.where(flow.present[value][columns] > 0, columns, ABSENT)
    chosen = rows(weight, writes, 0).view(len(live), outputs.shape[1], *weight.shape[1:])
    parts = [rows(filters, index, 1) for filters, index in zip(chosen, inputs, strict=True)]
    return torch.cat(parts), len(live), reads, writes


def _filled(there: Tensor) -> Tensor:
    """By group, the positions that are there and, up to the largest group's number, others: ascending."""
    most = max(1, int(there.sum(1).max()))
    return there.logical_not().to(torch.uint8).argsort(dim=1, stable=True)[:, :most].sort(dim=1).values


def _sized(module: nn.Conv2d | nn.Linear, tensors: Mapping[str, Tensor], groups: int, inputs: int) -> nn.Module:
    small = copy.copy(module)
    small._parameters = dict(module._parameters)
    for name, tensor in tensors.items():
        small._parameters[name] = nn.Parameter(tensor.clone(), module.weight.requires_grad)
    outputs = len(tensors["weight"])
    if isinstance(small, nn.Linear):
        small.in_features, small.out_features = inputs, outputs
    else:
        small.in_channels, small.out_channels, small.groups = inputs, outputs, groups
    return small
