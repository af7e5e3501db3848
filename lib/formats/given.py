"""Weights that a network starts from: somebody's file, read as plain tensors, or a checkpoint of this project."""

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from lib.formats import foreign_tensors
from lib.formats.checkpoint import load
from lib.formats.foreign_tensors import shown
from lib.images.fetching import fetch
from lib.networks.network import Network
from lib.params.named import Weights

COUNTER = "num_batches_tracked"  # files of old versions of torch lack it; it decides nothing


@torch.no_grad()
def start_(network: Network, weights: Weights, cache: Path) -> str:
    """Load weights into a fresh network; what the user should know of it, or nothing.

    The classifier is left fresh where the file has another number of classes. Raises ValueError for a file that cannot be
    read, is another one, or does not fit: no name or shape may differ but the classifier's.
    """
    path = fetch(weights.source, weights.sha256, cache)
    state = _state(path, weights)
    for pattern, replacement in weights.rename:
        state = {re.sub(pattern, replacement, name): tensor for name, tensor in state.items()}
    own, head = network.state_dict(), network.description.head
    replaced = [name for name in own if name.startswith(f"{head}.") and name in state and own[name].shape != state[name].shape]
    wrong = [name for name in own if name not in state and not name.endswith(COUNTER)]
    wrong += [name for name in state if name not in own]
    wrong += [name for name in own if name in state and name not in replaced and own[name].shape != state[name].shape]
    if wrong:
        names = ", ".join(shown(name) for name in wrong[:4]) + (f" and {len(wrong) - 4} more" if len(wrong) > 4 else "")
        msg = f"the weights of {path} do not fit {network.architecture.name} (missing, unknown or of another shape: {names}); "
        msg += "correct `rename`, `state`, `builder` or `arguments`"
        raise ValueError(msg)
    for name, tensor in own.items():
        if name in state and name not in replaced:
            if not bool(state[name].isfinite().all()):
                msg = f"{path}: {shown(name)} holds NaN or infinite numbers; get it anew"
                raise ValueError(msg)
            tensor.copy_(state[name])
    if not replaced:
        return ""
    return f"{path.name} knows {len(state[replaced[0]])} classes, the data has {len(own[replaced[0]])}: {head} starts fresh"


def _state(path: Path, weights: Weights) -> dict[str, Tensor]:
    if _is_checkpoint(path):
        checkpoint = load(path)
        if checkpoint.network.architecture.kept is not None:
            msg = f"{path} is compact: it has no place for the filters that are gone; start from the masked checkpoint"
            raise ValueError(msg)
        return dict(checkpoint.network.state_dict())
    content = foreign_tensors.read(path)
    keyed = content if isinstance(content, Mapping) else {}
    found = content if weights.state is None else keyed.get(weights.state)
    if not isinstance(found, Mapping) or not all(isinstance(one, Tensor) for one in found.values()):
        names = ", ".join(shown(str(key)) for key in list(keyed)[:10]) or "none"
        msg = f"{path} holds no tensors under {weights.state!r}; its keys: {names}; correct `state`"
        raise ValueError(msg)
    return {str(name): tensor for name, tensor in found.items()}


def _is_checkpoint(path: Path) -> bool:
    if path.suffix != ".safetensors":
        return False
    try:
        with safe_open(path, framework="pt") as file:
            return "header" in (file.metadata() or {})
    except (OSError, SafetensorError) as error:
        msg = f"{path} cannot be read: {error}"
        raise ValueError(msg) from error
