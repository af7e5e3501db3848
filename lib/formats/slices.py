"""Reading a safetensors file only when it holds what is expected."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from lib.formats.header import shown

Table = Mapping[str, tuple[str, tuple[int, ...]]]  # by name: type as safetensors calls it, and shape


def read_expected(file: Any, expected: Table) -> dict[str, Tensor]:
    """The tensors of an open file. Raises ValueError before any is read unless names, types and shapes are as expected."""
    names = set(file.keys())
    wrong = [
        f"{shown(name, 60)} is {'missing' if name in expected else 'unknown'}" for name in sorted(names ^ expected.keys())
    ]
    for name in sorted(names & expected.keys()):
        part = file.get_slice(name)
        found = part.get_dtype(), tuple(part.get_shape())
        if found != expected[name]:
            wrong.append(f"{name} is {found[0]} {shown(str(found[1]), 60)} and not {expected[name][0]} {expected[name][1]}")
    if wrong:
        msg = f"the weights do not fit the network its header describes: {'; '.join(wrong[:5])}"
        raise ValueError(msg)
    return {name: file.get_tensor(name) for name in expected}
