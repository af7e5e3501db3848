"""Networks without memory: a builder runs, its parameters are made on device meta, and no more of them than a file may ask.

What a file says of its network is data of others, and a small header can ask for a builder of gigabytes. So an outline never
takes the memory of the network's parameters, and building is given up early where it grows beyond the size of the file.
"""

import contextvars
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_module_registration_hook, register_module_parameter_registration_hook
from torch.overrides import TorchFunctionMode
from torch.utils._device import _device_constructors

from lib.networks.architecture import Architecture
from lib.networks.builders import module as dense_module
from lib.params.named import is_own_code

REAL = 2**20  # numbers of a tensor that a builder may compute with
MOST = 2**16, 2**24  # modules with parameters and parameters, channels of weights: far above what any network here has
OF_A_FILE = 2**12, 2**21  # the same that any file may ask for: some ten megabytes
BYTES = 500, 10  # of a file, for each more


class TooLargeError(ValueError):
    """A builder makes more than a file may ask for."""


_most: contextvars.ContextVar[tuple[int, int]] = contextvars.ContextVar("most", default=MOST)


@contextmanager
def for_a_file(length: int) -> Iterator[None]:
    """Inside, outlines are refused (ValueError) that are too large for a file of so many bytes, before they take memory."""
    parts, channels = (most + length // each for most, each in zip(OF_A_FILE, BYTES, strict=True))
    token = _most.set((min(parts, MOST[0]), min(channels, MOST[1])))
    try:
        yield
    finally:
        _most.reset(token)


def outline_of(architecture: Architecture) -> nn.Module:
    """The dense module with shapes and without memory (device meta).

    A builder that looks at numbers while it builds gets real ones of those that are no parameters. One of the user's own code
    that even so cannot do without its parameters is built as it is. Raises ValueError as the builder's name and arguments ask.
    """
    ways: list[AbstractContextManager[Any]] = [torch.device("meta"), _Sparing()]
    ways += [nullcontext()] * is_own_code(architecture.name)
    for way in ways[:-1]:
        try:
            return _built(architecture, way)
        except ValueError as error:
            if isinstance(error.__cause__, TooLargeError):
                raise
    return _built(architecture, ways[-1])


def _built(architecture: Architecture, way: AbstractContextManager[Any]) -> nn.Module:
    with torch.random.fork_rng(devices=[]), _counted(), way:
        return dense_module(architecture)


@contextmanager
def _counted() -> Iterator[None]:
    """Inside, a module that has more parts or channels than it may is not built to its end."""
    most_parts, most_channels = _most.get()
    parts = channels = 0

    def count(_module: nn.Module, _name: str, part: nn.Module | nn.Parameter | None) -> None:
        nonlocal parts, channels
        parts += 1
        channels += sum(part.shape[:2]) if isinstance(part, Tensor) else 0
        if parts > most_parts or channels > most_channels:
            msg = f"it has more than {most_parts:,} parts or {most_channels:,} channels, which its file cannot hold"
            raise TooLargeError(msg)

    hooks = register_module_parameter_registration_hook(count), register_module_module_registration_hook(count)
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


class _Sparing(TorchFunctionMode):
    """Inside, tensors are made on device meta where they are large or their values are still to come, as those of layers."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        if func in _device_constructors() and given.get("device") is None:
            drawn = func(*args, **{**given, "device": "meta"})
            if func is torch.empty or drawn.numel() > REAL:
                return drawn
        return func(*args, **given)
