"""A network's forward pass as a graph of operations, each with the shape of what it gives.

The pass runs once, in eval mode, on tensors without memory (device meta), and torch.fx records it. A proxy here knows what it
stands for, so code that looks at shapes, counts chunks or branches on a number takes the way it takes for these images.
Reference: torch.fx (Reed et al., "torch.fx: Practical Program Capture and Transformation", MLSys 2022,
https://arxiv.org/abs/2112.08429), whose own proxies refuse such code.
"""

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

SEEN, ENDS = "seen", "ends"  # of a node's meta: what it gave, and the modules whose output it is
WHOLE_MODULES = ("DropPath", "StochasticDepth")  # drop whole images' branches: nothing inside concerns channels
_CALL, _GETATTR = nn.Module.__call__, nn.Module.__getattr__


def outlined(module: nn.Module) -> nn.Module:
    """A copy in eval mode whose parameters and buffers have shapes and no memory (device meta)."""
    memo: dict[int, Any] = {}
    for parameter in module.parameters():
        memo[id(parameter)] = nn.Parameter(parameter.detach().to("meta"), parameter.requires_grad)
    for buffer in module.buffers():
        memo[id(buffer)] = buffer.to("meta")
    return copy.deepcopy(module, memo).float().eval()


def trace(outline: nn.Module, shape: tuple[int, int, int]) -> fx.Graph:
    """The graph of a network on device meta for one image (C, H, W).

    Raises ValueError for a network whose forward cannot be followed: it looks at values, or calls code that torch.fx cannot see.
    """
    tracer = _Tracer(torch.zeros(1, *shape, device="meta"))
    try:
        return tracer.trace(outline)
    except (TypeError, ValueError, RuntimeError, AttributeError, IndexError, KeyError, NotImplementedError) as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        msg = f"{type(outline).__name__} cannot be traced on images of {'x'.join(map(str, shape))} ({reason}); its forward must "
        msg += "not look at the values of tensors, and must take images of this size"
        raise ValueError(msg) from error


def seen(node: fx.Node) -> Any:
    """What a node gave: a tensor on device meta, a number, or several of them."""
    return node.meta[SEEN]


@contextmanager
def _plain_modules() -> Iterator[None]:
    """Inside, a module's call runs it: while torch.fx traces, it would be recorded instead."""
    now = nn.Module.__call__, nn.Module.__getattr__
    nn.Module.__call__, nn.Module.__getattr__ = _CALL, _GETATTR  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        nn.Module.__call__, nn.Module.__getattr__ = now  # type: ignore[method-assign, assignment]


class _Proxy(fx.Proxy):
    """Stands for a value in the recorded graph and knows the one of this pass."""

    @property
    def _now(self) -> Any:
        return self.node.meta[SEEN]

    def __getattr__(self, name: str) -> Any:
        value = self.node.meta.get(SEEN)
        if isinstance(value, Tensor) and name in ("shape", "ndim"):
            return self.tracer.create_proxy("call_function", getattr, (self, name), {})
        if isinstance(value, Tensor) and name in ("dtype", "device", "is_cuda", "requires_grad", "layout"):
            return getattr(value, name)
        return super().__getattr__(name)

    def __iter__(self) -> Iterator[Any]:
        return iter([self[index] for index in range(len(self._now))])

    def __len__(self) -> int:
        return len(self._now)

    def __bool__(self) -> bool:
        if isinstance(self._now, Tensor):
            msg = "its forward branches on the value of a tensor"
            raise TypeError(msg)
        return bool(self._now)

    def __index__(self) -> int:
        return int(self._now)

    __int__ = __index__

    def __float__(self) -> float:
        return float(self._now)

    def __hash__(self) -> int:
        return id(self)


class _Tracer(fx.Tracer):
    def __init__(self, images: Tensor) -> None:
        super().__init__()
        self.images = images

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Proxy(node, self)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return type(m).__name__ in WHOLE_MODULES or super().is_leaf_module(m, module_qualified_name)

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        out = super().call_module(m, forward, args, kwargs)
        if isinstance(out, fx.Proxy):
            out.node.meta.setdefault(ENDS, []).append(self.path_of_module(m))
        return out

    def create_proxy(self, kind: str, target: Any, args: Any, kwargs: Any, *rest: Any, **named: Any) -> fx.Proxy:
        proxy = super().create_proxy(kind, target, args, kwargs, *rest, **named)
        with torch.no_grad(), _plain_modules():
            proxy.node.meta[SEEN] = self._run(kind, target, _values(args), _values(kwargs))
        return proxy

    def _run(self, kind: str, target: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        assert isinstance(self.root, nn.Module)
        if kind == "placeholder":
            return self.images
        if kind == "get_attr":
            return attribute(self.root, target)
        if kind == "call_module":
            return self.root.get_submodule(target)(*args, **kwargs)
        if kind == "call_method":
            return getattr(args[0], target)(*args[1:], **kwargs)
        return target(*args, **kwargs) if kind == "call_function" else None


def attribute(module: nn.Module, path: str) -> Any:
    """What lies below a module under a dotted path."""
    value: Any = module
    for name in path.split("."):
        value = getattr(value, name)
    return value


def _values(arguments: Any) -> Any:
    def value(item: Any) -> Any:
        return item._now if isinstance(item, _Proxy) else item

    return pytree.tree_map(value, arguments, is_leaf=lambda item: isinstance(item, fx.Proxy))
