"""Networks on disk: safetensors with a JSON header, enough to rebuild the network anywhere without pickle.

The header holds the architecture (with the kept channels of a compact network), the kept filters of a masked one, the data
set's shape, classes and normalisation, and notes (numbers and words that later stages report); and a checksum of itself and
of all tensors. The checksum tells damage; the file is not signed.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from lib.atomic import write_bytes
from lib.formats import values
from lib.formats.header import (
    Dense,
    Images,
    Record,
    check_channels,
    checked,
    compacted,
    dense_record,
    document,
    indices,
    shown,
    text,
)
from lib.formats.slices import Table, read_expected
from lib.masks.filters import Masks
from lib.masks.kept import Kept, as_indices, check
from lib.masks.weights import weights
from lib.networks import fill_, outline
from lib.networks.architecture import Architecture, Mode
from lib.networks.network import Network
from lib.networks.outlining import for_a_file

FORMAT = 3
WEIGHTS = "sparsity/"  # before the name of a layer: the mask of its single weights
TYPES = {torch.float32: "F32", torch.int64: "I64", torch.bool: "BOOL"}  # as safetensors calls them


class KeptRecord(Record):
    """Kept filters of a compact network, indices by layer, and whether its streams lost channels."""

    filters: dict[str, Any]
    mode: Mode


class ArchitectureRecord(Dense):
    """All that decides a network's shapes."""

    kept: KeptRecord | None


class CheckpointHeader(Images):
    """What a checkpoint says besides its tensors. masks: kept filters by convolution, null for a network without masks."""

    format: int
    sha256: str
    architecture: ArchitectureRecord
    masks: dict[str, Any] | None


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
    """Write a checkpoint atomically; the same network gives the same bytes. Raises ValueError for what `load` would refuse."""
    network, kept = checkpoint.network, checkpoint.kept
    header: dict[str, Any] = {
        "format": FORMAT,
        "architecture": _record(network.architecture),
        "masks": None if kept is None else as_indices(kept.filters),
        "shape": checkpoint.shape,
        "mean": checkpoint.mean,
        "std": checkpoint.std,
        "notes": dict(checkpoint.notes),
    }
    # Copies: a module may be there under two names, and safetensors writes no memory twice.
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in network.state_dict().items()}
    if kept is not None:
        check(network, kept)
        tensors |= {f"{WEIGHTS}{name}": mask.cpu().contiguous() for name, mask in kept.weights.items()}
    values.check(tensors)
    header["sha256"] = digest(header, tensors)
    checked(document(text(header)), CheckpointHeader)
    write_bytes(path, to_bytes(tensors, metadata={"header": text(header)}))  # two entries would come in any order


def digest(header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """The checksum of a checkpoint: of its header less `sha256`, and of the name, type, shape and bytes of every tensor."""
    total = hashlib.sha256(text({key: value for key, value in header.items() if key != "sha256"}).encode())
    for name, tensor in sorted(tensors.items()):
        total.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        total.update(tensor.flatten().view(torch.uint8).numpy().data)
    return total.hexdigest()


def load(path: Path) -> Checkpoint:
    """Read a checkpoint and rebuild its network (CPU, float32, eval mode).

    Raises ValueError when the file is missing, is not a checkpoint of this project, is damaged or does not fit its own header.
    Nothing is built before the header fits the tensors that are there.
    """
    try:
        with for_a_file(path.stat().st_size), safe_open(path, framework="pt") as file:
            return _read(file)
    except (OSError, SafetensorError, ValueError) as error:
        reason = shown(str(error))
        msg = f"{path} is missing or is not a whole checkpoint ({reason}); run the stage that writes it (`dvc repro`)"
        raise ValueError(msg) from error


def _record(architecture: Architecture) -> dict[str, Any]:
    """An architecture as JSON."""
    kept = None if architecture.kept is None else {"filters": dict(architecture.kept), "mode": architecture.mode}
    return {**dense_record(architecture), "kept": kept}


def _read(file: Any) -> Checkpoint:
    record = document((file.metadata() or {}).get("header", "{}"))
    if record.get("format") != FORMAT:
        version = shown(repr(record.get("format")), 60)
        msg = f"expected a checkpoint of format {FORMAT}, got {version}; make it with this version"
        raise ValueError(msg)
    header = checked(record, CheckpointHeader)
    check_channels(header.architecture, header)
    network = outline(_architecture(header.architecture))
    masks = None if header.masks is None else _masks(network, header.masks)
    tensors = read_expected(file, _expected(network, file, masked=masks is not None))
    if digest(record, tensors) != header.sha256:
        msg = "its checksum is not that of its content"
        raise ValueError(msg)
    values.check(tensors)
    copies = {name: tensor.clone() for name, tensor in tensors.items()}  # what was read is the file itself, mapped into memory
    sparsity = {name.removeprefix(WEIGHTS): copies.pop(name) for name in tensors if name.startswith(WEIGHTS)}
    fill_(network, copies)
    kept = None if masks is None else Kept(masks, sparsity)
    return Checkpoint(network.eval(), kept, header.shape, header.mean, header.std, header.notes)


def _architecture(record: ArchitectureRecord) -> Architecture:
    dense = record.architecture()
    return dense if record.kept is None else compacted(dense, record.kept.filters, record.kept.mode, "kept.filters")


def _masks(network: Network, record: Mapping[str, Any]) -> Masks:
    widths = {name: len(weight) for name, weight in network.filters().items()}
    masks = {name: torch.zeros(width, dtype=torch.bool) for name, width in widths.items()}
    for name, kept in indices(record, widths, "masks").items():
        masks[name][list(kept)] = True
    return masks


def _expected(network: Network, file: Any, *, masked: bool) -> Table:
    """The tensors that a file must hold: those of the network and, where any is there, masks of single weights."""
    table = {name: (TYPES[tensor.dtype], tuple(tensor.shape)) for name, tensor in network.state_dict().items()}
    if masked and any(name.startswith(WEIGHTS) for name in file.keys()):  # noqa: SIM118 (not a dict)
        table |= {f"{WEIGHTS}{name}": ("BOOL", tuple(weight.shape)) for name, weight in weights(network).items()}
    return table
