"""Keeping torch from importing its compiler, which takes a second in each of a suite's hundreds of processes.

Torch marks code that its compiler must not enter, and when such code runs first, imports the compiler to ask for a version of
it. Here the code is told to be that version itself. Where torch looks for it is private to it: should it change, the import is
back, no more.
"""

import functools
import inspect
from types import FunctionType

import torch


def spare_optimizers() -> None:
    """Let optimizers call their own methods, which are never compiled."""
    for method in vars(torch.optim.Optimizer).values():
        plain = inspect.unwrap(method)
        if plain is not method:
            plain.__dynamo_disable = plain


@functools.cache
def spare_shapes() -> None:
    """Let operations on tensors without memory (device meta), which torch writes in Python, call their own functions."""
    left = [function for table in torch._decomp.global_decomposition_table.values() for function in table.values()]
    met = set[FunctionType]()
    while left:
        function = left.pop()
        if isinstance(function, FunctionType) and function not in met:
            met.add(function)
            function.__dynamo_disable = function  # type: ignore[attr-defined]
            left += [cell.cell_contents for cell in function.__closure__ or ()]
