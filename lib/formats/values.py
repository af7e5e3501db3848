"""The values that a network's tensors may have. Both formats ask, when they write and when they read."""

from collections.abc import Mapping

import torch
from torch import Tensor

TYPES = (torch.float32, torch.int64, torch.bool)
NEVER_NEGATIVE = ("running_var", "num_batches_tracked")


def check(state: Mapping[str, Tensor]) -> None:
    """Raise ValueError, naming the tensor, for other types than float32, NaN, infinities, or statistics below zero."""
    other = [f"{name} ({tensor.dtype})" for name, tensor in state.items() if tensor.dtype not in TYPES]
    if other:
        msg = (
            f"files hold float32, int64 and bool alone, got {', '.join(other[:5])}; build the network so, or convert it with "
        )
        msg += ".float()"
        raise ValueError(msg)
    for name, tensor in state.items():
        if tensor.numel() == 0:
            continue
        if tensor.dtype == torch.bool:
            _check_bool(name, tensor)
        else:
            _check_numbers(name, tensor)


def _check_bool(name: str, tensor: Tensor) -> None:
    highest = int(tensor.view(torch.uint8).max())
    if highest > 1:
        msg = f"{name} must hold zeros and ones, got {highest}"
        raise ValueError(msg)


def _check_numbers(name: str, tensor: Tensor) -> None:
    lowest, highest = (float(value) for value in tensor.aminmax())  # one pass, no memory; NaN comes through
    if not (lowest > -torch.inf and highest < torch.inf):
        msg = f"{name} holds NaN or infinite values; its training diverged: lower the learning rate and train again"
        raise ValueError(msg)
    if lowest < 0.0 and name.endswith(NEVER_NEGATIVE):
        msg = f"{name} must not be negative, got {lowest:g}"
        raise ValueError(msg)
