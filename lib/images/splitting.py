"""Labelled images, and splitting them by class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lib.images.quoting import quoted
from lib.randomness import stream

Labelled = tuple[Tensor, Tensor]  # images (N, C, H, W) uint8, labels (N,) int64


@dataclass(frozen=True)
class Obtained:
    """What a source gives: the classes' names; train, test and perhaps validation; what the user should be told."""

    classes: tuple[str, ...]
    splits: Mapping[str, Labelled]
    remarks: tuple[str, ...] = ()


def hold_out(train: Labelled, classes: Sequence[str], fraction: float, seed: int) -> tuple[dict[str, Labelled], Tensor]:
    """Split train into train and a stratified validation part (at least one image a class); also which images went."""
    held_out = stratified(train[1], classes, fraction, seed)
    stays = torch.ones(len(train[1]), dtype=torch.bool).index_fill(0, held_out, value=False)
    parts = {"train": stays.nonzero().flatten(), "validation": held_out}
    return {name: (train[0][index], train[1][index]) for name, index in parts.items()}, held_out


def stratified(labels: Tensor, classes: Sequence[str], fraction: float, seed: int) -> Tensor:
    """Sorted indices of `fraction` of each class (rounded, at least 1). Raises ValueError if that leaves none of a class."""
    generator = stream(seed, "split")
    chosen = []
    for label in range(int(labels.max()) + 1):
        members = (labels == label).nonzero().flatten()
        count = max(1, round(fraction * len(members)))
        if count >= len(members):
            name = quoted(classes[label])
            msg = f"class '{name}' has {len(members)} images, too few to hold {count} out for validation; add images"
            raise ValueError(msg)
        chosen.append(members[torch.randperm(len(members), generator=generator)[:count]])
    return torch.cat(chosen).sort().values
