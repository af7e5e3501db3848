"""One training by several processes: each takes its share of every mini-batch, and all take the same step.

Order and augmentation are drawn for all images alike, so a process needs no more than its number to know its share. Every
process computes the loss of the whole mini-batch: what is made of the shares is gathered, and a gradient flows back as the sum
of what all processes make of it. That is the gradient as many times as there are processes, and DistributedDataParallel takes
the mean over them. Without torchrun's variables there is one process, and nothing is gathered.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed, nn

from lib.images.batches import Share

PATIENCE = timedelta(hours=1)  # for the slowest of all: the first process may write or download what others wait for


def share() -> Share:
    """What this process takes."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return Share(0, 1)
    return Share(distributed.get_rank(), distributed.get_world_size())


@contextmanager
def joined(device: torch.device) -> Iterator[None]:
    """With the others that torchrun started, inside; alone where it started none."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield
        distributed.barrier()
    finally:
        distributed.destroy_process_group()


def leave_to_first() -> None:
    """End this process unless it is the first: what follows is written once."""
    if int(os.environ.get("RANK", "0")):
        sys.exit(0)


def of_first(value: Any) -> Any:
    """The first process's value, in all."""
    if share().processes == 1:
        return value
    values = [value]
    distributed.broadcast_object_list(values, src=0)
    return values[0]


def gathered(part: Tensor, total: int) -> Tensor:
    """The rows of all processes, (total, ...), from those of each, in the order that `Batches.numbered` parted them in."""
    if share().processes == 1:
        return part
    whole: Tensor = _Gather.apply(part, total)
    return whole


def summed(value: Tensor) -> Tensor:
    """The sum over all processes, differentiable."""
    if share().processes == 1:
        return value
    total: Tensor = _Sum.apply(value)
    return total


class _Gather(torch.autograd.Function):
    """Zeros but for the own rows, summed: any sizes of shares, and every bit as it was."""

    @staticmethod
    def forward(ctx: Any, part: Tensor, total: int) -> Tensor:  # noqa: ARG004 (torch's signature)
        whole = part.new_zeros(total, *part.shape[1:])
        whole[_rows()] = part
        distributed.all_reduce(whole)
        return whole

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:  # noqa: ARG004
        whole = gradients[0].clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(whole)
        return whole[_rows()], None


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:  # noqa: ARG004
        total = value.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # noqa: ARG004
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total


def _rows() -> slice:
    own = share()
    return slice(own.process, None, own.processes)


class _Shared(nn.modules.batchnorm._BatchNorm):
    """Batch norm by the statistics of the whole mini-batch, in training; torch's SyncBatchNorm runs on GPUs only."""

    def forward(self, x: Tensor) -> Tensor:
        """Of images or vectors (b, C, ...), this process's share."""
        if not self.training:
            return super().forward(x)
        values = x.to(torch.promote_types(x.dtype, torch.float32))
        over = [axis for axis in range(values.dim()) if axis != 1]
        shape = [-1 if axis == 1 else 1 for axis in range(values.dim())]
        count = values.new_full((1,), values.numel() // values.shape[1])
        sums = summed(torch.cat([values.sum(over), count]))
        number = sums[-1].detach()
        mean = sums[:-1] / number
        centred = values - mean.view(shape)
        variance = summed(centred.square().sum(over)) / number
        self._note(mean.detach(), (variance * number / (number - 1)).detach())
        normal = centred * torch.rsqrt(variance + self.eps).view(shape)
        if self.affine:
            normal = normal * self.weight.view(shape) + self.bias.view(shape)
        return normal.to(x.dtype)

    @torch.no_grad()
    def _note(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        rate = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), rate)
        self.running_var.lerp_(variance.to(self.running_var.dtype), rate)

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002 (torch's name)
        """The layer that it stands in for has checked its images before."""


PLAIN = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@contextmanager
def shared_batch_norms(network: nn.Module) -> Iterator[None]:
    """A network's batch norms see the whole mini-batch, inside. They stay the same objects, with their hooks."""
    several = share().processes > 1
    kinds = {part: type(part) for part in network.modules() if several and type(part) in PLAIN}
    for part, kind in kinds.items():
        part.__class__ = _SHARED[kind]
    try:
        yield
    finally:
        for part, kind in kinds.items():
            part.__class__ = kind


_SHARED: Mapping[type, type] = {kind: type(f"Shared{kind.__name__}", (_Shared, kind), {}) for kind in PLAIN}
