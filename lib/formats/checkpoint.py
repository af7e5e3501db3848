"""Networks on disk: safetensors with a JSON header, enough to rebuild the network anywhere without pickle.

The header holds the architecture (with the kept channels of a compact network), the kept filters of a masked one, the data
set's shape, classes and normalisation, and notes (numbers and words that later stages report).
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from lib.atomic import replacing
from lib.masks.filters import Masks
from lib.masks.kept import Kept, as_indices, check
from lib.networks import build
from lib.networks.description import Architecture, Plan
from lib.networks.network import Network

FORMAT = 1
WEIGHTS = "sparsity/"  # before the name of a layer: the mask of its single weights


@dataclass(frozen=True)
class Checkpoint:
    """A network with what is needed to use it. kept: None for a network that was never pruned or is compact.

    shape: (C, H, W) of the images; mean, std: per channel, of pixels in 0..1; notes: JSON values.
    """

    network: Network
    kept: Kept | None
    shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    notes: Mapping[str, Any] = field(default_factory=dict)


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint atomically; the same network gives the same bytes."""
    network = checkpoint.network
    kept = checkpoint.kept
    header = {
        "format": FORMAT,
        "architecture": _record(network.architecture),
        "masks": None if kept is None else as_indices(kept.filters),
        "shape": checkpoint.shape,
        "mean": checkpoint.mean,
        "std": checkpoint.std,
        "notes": dict(checkpoint.notes),
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    if kept is not None:
        tensors |= {f"{WEIGHTS}{name}": mask.cpu().contiguous() for name, mask in kept.weights.items()}
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata={"header": json.dumps(header, sort_keys=True)})


def load(path: Path) -> Checkpoint:
    """Read a checkpoint and rebuild its network (CPU, float32, eval mode).

    Raises ValueError when the file is missing, is not a checkpoint of this project or does not fit its own header.
    """
    header, tensors = _read(path)
    architecture = _architecture(header["architecture"])
    network = build(architecture)
    weights = {name.removeprefix(WEIGHTS): tensors.pop(name) for name in list(tensors) if name.startswith(WEIGHTS)}
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        msg = f"{path}: the weights do not fit the network its header describes; make the file again ({error})"
        raise ValueError(msg) from error
    kept = None if header["masks"] is None else Kept(_masks(network, header["masks"]), weights)
    if kept is not None:
        check(network, kept)
    shape, mean, std = (tuple(header[key]) for key in ("shape", "mean", "std"))
    return Checkpoint(network.eval(), kept, shape, mean, std, header["notes"])


def _read(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("header", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (FileNotFoundError, SafetensorError) as error:
        msg = f"{path} is missing or is not a whole checkpoint ({error}); run the stage that writes it (`dvc repro`)"
        raise ValueError(msg) from error
    if header.get("format") != FORMAT:
        msg = f"{path}: expected a checkpoint of format {FORMAT}, got {header.get('format')}; make it with this version"
        raise ValueError(msg)
    return header, tensors


def plan_text(network: Network) -> str:
    """The channel plan of a compact network as readable JSON: kept filters and channels, indices into the dense network."""
    architecture = asdict(network.architecture)
    lines = [f'    "{name}": {json.dumps(kept)}' for name, kept in sorted(architecture["plan"]["filters"].items())]
    spaces = [f'    "{name}": {json.dumps(kept)}' for name, kept in sorted(architecture["plan"]["spaces"].items())]
    head = f'  "network": "{architecture["name"]}",\n  "num_classes": {architecture["num_classes"]},\n'
    joined, joined_spaces = ",\n".join(lines), ",\n".join(spaces)
    return f'{{\n{head}  "filters": {{\n{joined}\n  }},\n  "spaces": {{\n{joined_spaces}\n  }}\n}}\n'


def _record(architecture: Architecture) -> dict[str, Any]:
    """An architecture as JSON; the shortcut only where it is not the usual one, so that files stay the same byte for byte."""
    record = asdict(architecture)
    if architecture.shortcut == "end":
        del record["shortcut"]
    return record


def _architecture(record: Mapping[str, Any]) -> Architecture:
    plan = record["plan"]
    if plan is not None:
        plan = Plan(*({k: tuple(v) for k, v in plan[part].items()} for part in ("filters", "spaces")))
    hidden, shortcut = tuple(record["hidden"]), record.get("shortcut", "end")
    return Architecture(record["name"], record["num_classes"], record["in_channels"], hidden, plan, shortcut)


def _masks(network: Network, kept: Mapping[str, list[int]]) -> Masks:
    masks = {wire.conv: torch.zeros(network.conv(wire).out_channels, dtype=torch.bool) for wire in network.wires}
    for name, indices in kept.items():
        masks[name][indices] = True
    return masks
