"""Half precision on a processor without instructions for it: float32 kernels on rounded numbers.

torch has only plain loops for it there: a convolution takes 15 times as long as in float32
(https://github.com/pytorch/pytorch/issues/183815).
"""

from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

CONVOLUTIONS = frozenset({torch.conv1d, torch.conv2d, torch.conv3d})
TRANSPOSED = frozenset({torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d})
PRODUCTS = frozenset({functional.linear, torch.matmul, torch.mm, torch.bmm, torch.addmm, torch.baddbmm})
METHODS = frozenset(
    {
        torch.Tensor.matmul,
        torch.Tensor.__matmul__,
        torch.Tensor.mm,
        torch.Tensor.bmm,
        torch.Tensor.addmm,
        torch.Tensor.baddbmm,
    }
)
EMULATED = CONVOLUTIONS | TRANSPOSED | PRODUCTS | METHODS


def native(half: torch.dtype) -> bool:
    """Whether the processor computes in bfloat16 or float16, as torch sees it."""
    if not torch.backends.mkldnn.is_available():
        return False
    asked = torch.ops.mkldnn
    return bool(asked._is_mkldnn_bf16_supported() if half == torch.bfloat16 else asked._is_mkldnn_fp16_supported())


class Emulated(torch.autocast):
    """Autocast on the CPU that computes convolutions and products by float32 kernels.

    They round what goes in and what comes out, and multiply and add in float32 between, gradients too. So do the instructions
    of processors that have them; only the order of adding differs. All else is torch's autocast. In a compiled network torch
    leaves out a rounding where it joins two steps, as in any half precision.
    """

    def __init__(self, half: torch.dtype, *, cached: bool = True) -> None:
        super().__init__("cpu", half, cache_enabled=cached)
        self.kernels = _Float32Kernels()

    def __enter__(self) -> "Emulated":
        super().__enter__()
        self.kernels.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.kernels.__exit__(kind, error, trace)
        super().__exit__(kind, error, trace)


class _Float32Kernels(TorchFunctionMode):
    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = kwargs or {}
        if function not in EMULATED or not _cast([*args, *named.values()]):
            return function(*args, **named)
        half = torch.get_autocast_dtype("cpu")
        with torch.autocast("cpu", enabled=False):
            found = function(*(_rounded(value, half) for value in args), **{key: _rounded(named[key], half) for key in named})
        return found.to(half)


def _cast(values: list[Any]) -> bool:
    """Whether autocast would make them half: it is on, and leaves float64 and other devices alone."""
    tensors = [value for value in values if isinstance(value, Tensor)]
    return torch.is_autocast_enabled("cpu") and all(value.is_cpu and value.dtype != torch.float64 for value in tensors)


def _rounded(value: Any, half: torch.dtype) -> Any:
    return value.to(half).float() if isinstance(value, Tensor) else value
