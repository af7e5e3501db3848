"""The weights in a file of somebody's, under the names that the network here has for them."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lib.formats import foreign_tensors
from lib.formats.foreign_tensors import shown
from lib.networks.network import Network
from lib.params.named import Rename


def weights(path: Path, state: str | None, rename: Rename) -> dict[str, Tensor]:
    """By new name. state: the key of the weights in the file (None: it is the weights). rename: as in `params.named`.

    Raises ValueError, one line, when the file cannot be read, holds anything but plain tensors there, or two get one name.
    """
    return renamed(path, _under(path, state), rename)


def renamed(path: Path, state: Mapping[Any, Any], rename: Rename) -> dict[str, Tensor]:
    """Tensors by name -> by new name. Raises ValueError for anything else, and for two of one new name."""
    found: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if not isinstance(name, str):
            msg = f"{path} has a weight whose name is a {type(name).__name__}, not text; correct `state`"
            raise ValueError(msg)
        if not isinstance(tensor, Tensor) or tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
            msg = f"{path}: {shown(name)} is no plain tensor; correct `state`, or save the weights alone where it was made"
            raise ValueError(msg)
        new = name
        for pattern, replacement in rename:
            new = re.sub(pattern, replacement, new)
        if new in found:
            msg = f"{path}: `rename` gives two weights the name {shown(new)}, {shown(name)} is the second; correct it"
            raise ValueError(msg)
        found[new] = tensor
    return found


def kind(tensor: Tensor) -> tuple[torch.Size, bool]:
    """The shape, and whether it holds real numbers with a point: what must agree with the network's own."""
    return tensor.shape, tensor.is_floating_point()


def some(names: Sequence[str]) -> str:
    """The first names, for a message."""
    return ", ".join(shown(name) for name in names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def check_values(path: Path, network: Network) -> None:
    """Raise ValueError, naming file and tensor, for numbers that no trained network has."""
    for name, tensor in network.state_dict().items():
        if not bool(tensor.isfinite().all()) or (name.endswith("running_var") and bool((tensor < 0).any())):
            msg = f"{path}: {name} holds NaN, infinite numbers or negative variances; get or train the network anew"
            raise ValueError(msg)


def _under(path: Path, state: str | None) -> Mapping[Any, Any]:
    content = foreign_tensors.read(path)
    keyed = content if isinstance(content, Mapping) else {}
    found = keyed.get(state) if state is not None else content
    if not isinstance(found, Mapping):
        names = ", ".join(shown(key) for key in list(keyed)[:10] if isinstance(key, str)) or "none"
        msg = f"{path} has no weights under {state!r}; its keys: {names}; correct `state`"
        raise ValueError(msg)
    return found
