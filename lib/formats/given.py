"""Weights that a network starts from: somebody's file, read as plain tensors, or a checkpoint of this project."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from lib.formats.checkpoint import load
from lib.formats.foreign_weights import check_values, kind, renamed, some, weights
from lib.images.dataset import Normal
from lib.images.fetching import fetch
from lib.networks.network import Network
from lib.params.named import Weights

COUNTER = "num_batches_tracked"  # files of old versions of torch lack it; it decides nothing
SAME = 0.005  # of a mean or deviation in 0..1: less is rounding, or another sample of the same images


@torch.no_grad()
def start_(network: Network, given: Weights, cache: Path, normal: Normal) -> str:
    """Load weights into a fresh network; what the user should know of it, or nothing.

    normal: the mean and standard deviation, by channel, that the training's images are normalised with. The classifier is left
    fresh where the file has another number of classes. Raises ValueError for a file that cannot be read, is another one, or
    does not fit: no name, shape or type may differ but the classifier's shape.
    """
    path = fetch(given.source, given.sha256, cache)
    state, told = _state(path, given, normal)
    own, head = network.state_dict(), network.description.head
    replaced = [name for name in own if name.startswith(f"{head}.") and name in state and own[name].shape != state[name].shape]
    wrong = [name for name in own if name not in state and not name.endswith(COUNTER)]
    wrong += [name for name in state if name not in own]
    wrong += [name for name in own if name in state and name not in replaced and kind(own[name]) != kind(state[name])]
    if wrong:
        msg = f"the weights of {path} do not fit {network.architecture.name} (missing, unknown or of another shape or type: "
        msg += f"{some(wrong)}); correct `rename`, `state`, `builder` or `arguments`"
        raise ValueError(msg)
    for name, tensor in own.items():
        if name in state and name not in replaced:
            tensor.copy_(state[name])
    check_values(path, network)
    if replaced:
        classes = len(state[replaced[0]]), len(own[replaced[0]])
        told.append(f"{path.name} knows {classes[0]} classes, the data has {classes[1]}: {head} starts fresh")
    return "\n".join(told)


def _state(path: Path, given: Weights, normal: Normal) -> tuple[dict[str, Tensor], list[str]]:
    """The weights by name, and what the user should know of them."""
    if not _is_checkpoint(path):
        return weights(path, given.state, given.rename), []
    checkpoint = load(path)
    if checkpoint.network.architecture.kept is not None:
        msg = f"{path} is compact: it has no place for the filters that are gone; start from the masked checkpoint"
        raise ValueError(msg)
    state = renamed(path, checkpoint.network.state_dict(), given.rename)
    if np.allclose((checkpoint.mean, checkpoint.std), normal, atol=SAME):
        return state, []
    there, here = (_shown(*one) for one in ((checkpoint.mean, checkpoint.std), normal))
    told = f"{path.name} was trained on images normalised by {there}, here it sees them by {here}; "
    return state, [f"{told}set data.normalisation alike, or let it be trained on"]


def _shown(mean: Sequence[float], deviation: Sequence[float]) -> str:
    """As data.normalisation has it."""
    numbers = (", ".join(f"{value:.4g}" for value in values) for values in (mean, deviation))
    return "{{mean: [{}], std: [{}]}}".format(*numbers)


def _is_checkpoint(path: Path) -> bool:
    if path.suffix != ".safetensors":
        return False
    try:
        with safe_open(path, framework="pt") as file:
            return "header" in (file.metadata() or {})
    except (OSError, SafetensorError) as error:
        msg = f"{path} cannot be read: {error}"
        raise ValueError(msg) from error
