"""What makes two checkpoints the same."""

from collections.abc import Mapping
from operator import attrgetter

from torch import Tensor

from lib.formats.checkpoint import Checkpoint
from lib.masks.kept import Kept


def same(one: Checkpoint, other: Checkpoint) -> bool:
    """Whether all that two checkpoints hold is the same, bit for bit."""
    values = attrgetter("network.architecture", "shape", "mean", "std", "notes")
    return values(one) == values(other) and _bits(one) == _bits(other)


def _bits(checkpoint: Checkpoint) -> dict[str, bytes]:
    kept = checkpoint.kept or Kept({})
    parts: Mapping[str, Mapping[str, Tensor]] = {
        "state": checkpoint.network.state_dict(),
        "filters": kept.filters,
        "weights": kept.weights,
    }
    return {f"{part} {name}": t.numpy().tobytes() for part, tensors in parts.items() for name, t in tensors.items()}
