"""What stands for values while a network is traced, and records what is done with them.

A proxy knows what it stands for, so code that looks at shapes, counts chunks or branches on a number takes the way it takes
for these images. Reference: torch.fx (Reed et al., "torch.fx: Practical Program Capture and Transformation", MLSys 2022,
https://arxiv.org/abs/2112.08429), whose own proxies refuse such code.
"""

import inspect
import operator
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

SEEN = "seen"  # of a node's meta: what it gave
ENDS = "ends"  # of a node's meta: the modules whose output it is, innermost first, each with which of its calls it is
OWN = "own"  # of a node's meta: whether its type of numbers was read off a tensor, and not asked for by name
WHOLE_MODULES = ("DropPath", "StochasticDepth")  # drop whole images' branches: nothing inside concerns channels
LOOKS = ("item", "tolist", "numpy", "nonzero", "argwhere", "masked_select", "unique", "equal", "allclose")
BATCH_NORM = nn.modules.batchnorm._BatchNorm  # takes torch 10 ms on device meta, and gives the shape that it is given


def seen(node: fx.Node) -> Any:
    """What a node gave: a tensor on device meta, a number, or several of them."""
    return node.meta[SEEN]


def recorded(network: nn.Module, images: Tensor) -> fx.Graph:
    """The graph of a network's pass on images; each node's meta says what it gave. Raises TypeError if it looks at values."""
    graph: fx.Graph = _Tracer(images).trace(network)
    return graph


class _Proxy(fx.Proxy):
    """Stands for a value in the recorded graph and knows the one of this pass."""

    @property
    def _now(self) -> Any:
        return self.node.meta[SEEN]

    def __getattr__(self, name: str) -> Any:
        value = self.node.meta.get(SEEN)
        if isinstance(value, Tensor) and name in ("shape", "ndim"):
            return self.tracer.create_proxy("call_function", getattr, (self, name), {})
        if isinstance(value, Tensor) and name == "dtype":
            assert isinstance(self.tracer, _Tracer)
            self.tracer.asked = True
        if isinstance(value, tuple):  # x.max(1).values
            places = [place for place, item in enumerate(value) if item is getattr(value, name, None)]
            return operator.getitem(self, places[0]) if places else super().__getattr__(name)
        if isinstance(value, Tensor) and name in ("dtype", "device", "is_cuda", "requires_grad", "layout"):
            return getattr(value, name)
        return super().__getattr__(name)

    def __iter__(self) -> Iterator[Any]:
        return iter([operator.getitem(self, index) for index in range(len(self._now))])

    def __len__(self) -> int:
        return len(self._now)

    def __bool__(self) -> bool:
        if isinstance(self._now, Tensor):
            msg = "its forward branches on the value of a tensor"
            raise TypeError(msg)
        return bool(self._now)

    @property
    def _number(self) -> Any:
        if isinstance(self._now, Tensor):
            msg = "its forward makes a number of a tensor"
            raise TypeError(msg)
        return self._now

    def __index__(self) -> int:
        return int(self._number)

    __int__ = __index__

    def __float__(self) -> float:
        return float(self._number)

    def __repr__(self) -> str:
        """A number as it is, for messages of the network's own."""
        value = self.node.meta.get(SEEN)
        return super().__repr__() if value is None or isinstance(value, Tensor) else repr(value)

    def __hash__(self) -> int:
        return id(self)


class _Tracer(fx.Tracer):
    """running: whether an operation is run just now, and its modules must not be recorded. calls: of each module so far. now:
    what stands for a value since an operation changed it in place. asked: whether a type of numbers was read since the last
    operation.
    """

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        self.images, self.running = images, False
        self.calls: Counter[str] = Counter()
        self.now: dict[fx.Node, fx.Node] = {}
        self.asked = False

    @cached_property
    def paths(self) -> Mapping[int, str]:
        """Of each parameter and buffer, by identity: looked up once, as fx would look through all of them at every use."""
        return {id(tensor): path for path, tensor in (*self.root.named_buffers(), *self.root.named_parameters())}

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, fx.Proxy]) -> Any:  # noqa: ARG002
        path = self.paths.get(id(attr_val)) if isinstance(attr_val, Tensor) and not self.running else None
        if path is None:
            return attr_val
        if path not in parameter_proxy_cache:
            parameter_proxy_cache[path] = self.create_proxy("get_attr", path, (), {})
        return parameter_proxy_cache[path]

    def create_arg(self, a: Any) -> Any:
        path = self.paths.get(id(a)) if isinstance(a, Tensor) else None
        made = super().create_arg(a) if path is None else self.create_node("get_attr", path, (), {})
        if isinstance(a, Tensor) and isinstance(made, fx.Node):
            made.meta[SEEN] = a
        while isinstance(made, fx.Node) and made in self.now:
            made = self.now[made]
        return made

    def create_args_for_root(self, root_fn: Callable[..., Any], *_: Any) -> tuple[Callable[..., Any], list[Any]]:
        """Only the images are given: every other argument of forward has its default."""
        names = list(inspect.signature(root_fn).parameters)
        return root_fn, [self.root, self.create_proxy("placeholder", names[1], (), {})]

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Proxy(node, self)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return type(m).__name__ in WHOLE_MODULES or super().is_leaf_module(m, module_qualified_name)

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self.running:
            return forward(*args, **kwargs)
        out = super().call_module(m, forward, args, kwargs)
        path = self.path_of_module(m)
        if isinstance(out, fx.Proxy):
            out.node.meta.setdefault(ENDS, []).append((path, self.calls[path]))
        self.calls[path] += 1
        return out

    def create_proxy(self, kind: str, target: Any, args: Any, kwargs: Any, *rest: Any, **named: Any) -> fx.Proxy:
        proxy = super().create_proxy(kind, target, args, kwargs, *rest, **named)
        proxy.node.meta[OWN], self.asked = self.asked, False
        before = {node: seen(node)._version for node in proxy.node.all_input_nodes if isinstance(node.meta.get(SEEN), Tensor)}
        constants = [item for item in pytree.tree_leaves((args, kwargs)) if isinstance(item, Tensor)]
        versions = [constant._version for constant in constants]
        self.running = True
        try:
            with torch.no_grad():
                proxy.node.meta[SEEN] = self._run(kind, target, _values(args), _values(kwargs))
        finally:
            self.running = False
        if versions != [constant._version for constant in constants]:
            msg = "its forward changes a constant in place; write `s = s * x` instead of `s *= x`"
            raise RuntimeError(msg)  # a TypeError would be taken as leave to try `s * x`
        for node, version in before.items():
            if seen(node)._version != version and seen(node) is seen(proxy.node):
                self.now[node] = proxy.node
        return proxy

    def _run(self, kind: str, target: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        assert isinstance(self.root, nn.Module)
        if (target if kind == "call_method" else getattr(target, "__name__", "")) in LOOKS:
            msg = f"its forward looks at values: {target}"
            raise TypeError(msg)
        if kind == "placeholder":
            return self.images
        if kind == "get_attr":
            return _attribute(self.root, target)
        if kind == "call_module":
            module = self.root.get_submodule(target)
            return args[0].clone() if args and isinstance(module, BATCH_NORM) else module(*args, **kwargs)
        if kind == "call_method":
            return getattr(args[0], target)(*args[1:], **kwargs)
        if args and target is nn.functional.batch_norm:
            return args[0].clone()
        return target(*args, **kwargs) if kind == "call_function" else None


def _attribute(module: nn.Module, path: str) -> Any:
    """What lies below a module under a dotted path."""
    value: Any = module
    for name in path.split("."):
        value = getattr(value, name)
    return value


def _values(arguments: Any) -> Any:
    def value(item: Any) -> Any:
        return item._now if isinstance(item, _Proxy) else item

    return pytree.tree_map(value, arguments, is_leaf=lambda item: isinstance(item, fx.Proxy))
