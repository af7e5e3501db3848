"""Splitting labelled images by class."""

import torch
from torch import Tensor

from lib.randomness import stream

Labelled = tuple[Tensor, Tensor]  # images (N, C, H, W) uint8, labels (N,) int64


def hold_out(train: Labelled, fraction: float, seed: int) -> tuple[dict[str, Labelled], Tensor]:
    """Split train into train and a stratified validation part (at least one image a class); also which images went."""
    held_out = stratified(train[1], fraction, seed)
    stays = torch.ones(len(train[1]), dtype=torch.bool).index_fill(0, held_out, value=False)
    parts = {"train": stays.nonzero().flatten(), "validation": held_out}
    return {name: (train[0][index], train[1][index]) for name, index in parts.items()}, held_out


def stratified(labels: Tensor, fraction: float, seed: int) -> Tensor:
    """Sorted indices of `fraction` of each class (rounded, at least 1). Raises ValueError if that leaves none of a class."""
    generator = stream(seed, "split")
    chosen = []
    for label in range(int(labels.max()) + 1):
        members = (labels == label).nonzero().flatten()
        count = max(1, round(fraction * len(members)))
        if count >= len(members):
            msg = f"class {label} has {len(members)} images, too few to hold {count} out for validation; add images"
            raise ValueError(msg)
        chosen.append(members[torch.randperm(len(members), generator=generator)[:count]])
    return torch.cat(chosen).sort().values
