"""A network's forward pass as a graph of operations, each with the shape of what it gives.

The pass runs once, in eval mode, on tensors without memory (device meta), and torch.fx records it.
"""

import copy
import functools
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from lib.channels.proxies import SEEN, recorded, seen
from lib.compiler import spare_shapes
from lib.foreign_code import FAILURES

MET = "is not on the expected device"  # what torch says where a constant on the CPU meets images on device meta
FACTORIES = ("zeros", "ones", "empty", "rand", "randn")


def outlined(module: nn.Module) -> nn.Module:
    """A copy in eval mode whose parameters and buffers have shapes and no memory (device meta).

    Hooks are not copied: whoever watches a network, or masks it, may need numbers.
    """
    memo: dict[int, Any] = {}
    for part in module.modules():
        memo |= {id(hooks): OrderedDict() for hooks in (part._forward_hooks, part._forward_pre_hooks)}
    for parameter in module.parameters():
        memo[id(parameter)] = nn.Parameter(parameter.detach().to("meta"), parameter.requires_grad)
    for buffer in module.buffers():
        memo[id(buffer)] = buffer.to("meta")
    return copy.deepcopy(module, memo).float().eval()


def trace(outline: nn.Module, shape: tuple[int, int, int]) -> fx.Graph:
    """The graph of a network on device meta for one image (C, H, W).

    Raises ValueError for a network whose forward cannot be followed: it looks at values, or torch.fx cannot see through it.
    """
    spare_shapes()
    try:
        with _sizes_in_one_piece():
            return _traced(outline, shape)
    except FAILURES as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        msg = (
            f"{type(outline).__name__} cannot be traced on images of {'x'.join(map(str, shape))} ({reason}); its forward must "
        )
        msg += "not look at the values of tensors, and must take images of this size"
        raise ValueError(msg) from error


@contextmanager
def _sizes_in_one_piece() -> Iterator[None]:
    """torch.zeros(n, 8) is torch.zeros((n, 8)) while a network is traced: torch takes a proxy in a tuple of sizes alone."""

    def packing(make: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(make)
        def made(*sizes: Any, **options: Any) -> Any:
            apart = len(sizes) > 1 and any(isinstance(size, fx.Proxy) for size in sizes)
            return make(sizes, **options) if apart else make(*sizes, **options)

        return made

    with ExitStack() as patched:
        for name in FACTORIES:
            patched.enter_context(mock.patch.object(torch, name, packing(getattr(torch, name))))
        yield


def _traced(outline: nn.Module, shape: tuple[int, int, int]) -> fx.Graph:
    """Followed without memory; with it where forward makes constants of its own, whose numbers must be known."""
    try:
        graph = recorded(outline, torch.zeros(1, *shape, device="meta"))
    except FAILURES as error:
        if MET not in str(error):
            raise
    else:
        if not any(is_constant(outline, node) and seen(node).is_meta for node in graph.nodes):
            return graph
    whole = copy.deepcopy(outline).to_empty(device="cpu")
    for tensor in (*whole.parameters(), *whole.buffers()):
        tensor.detach().zero_()
    graph = recorded(whole, torch.zeros(1, *shape))
    for node in graph.nodes:
        if not is_constant(outline, node):
            node.meta[SEEN] = pytree.tree_map(_without_memory, node.meta.get(SEEN))
    return graph


def is_constant(outline: nn.Module, node: fx.Node) -> bool:
    """Whether a node is a tensor that forward makes: no parameter and no buffer."""
    if node.op != "get_attr":
        return False
    names = {name for name, _ in (*outline.named_parameters(), *outline.named_buffers())}
    return str(node.target) not in names


def _without_memory(value: Any) -> Any:
    return value.to("meta") if isinstance(value, Tensor) else value
