"""The images of a data set as the network of a checkpoint knows them."""

from pathlib import Path

import torch

from lib.formats.checkpoint import Checkpoint
from lib.images.batches import STILL, Batches
from lib.images.dataset import Dataset


def batches_for(source: Path, checkpoint: Checkpoint, dataset: Dataset, split: str, device: torch.device) -> Batches:
    """A split, normalised for the network of checkpoint `source`.

    Raises ValueError when its images have another shape or are of another number of classes.
    """
    wanted = (tuple(checkpoint.shape), checkpoint.network.architecture.num_classes)
    there = (tuple(dataset.shape), len(dataset.classes))
    if wanted != there:
        msg = f"{source} is for {_told(*wanted)}, {dataset.name} has {_told(*there)}; give its own data"
        raise ValueError(msg)
    part = dataset.splits[split]
    return Batches(part.images, part.labels, checkpoint.mean, checkpoint.std, STILL, device)


def _told(shape: tuple[int, ...], classes: int) -> str:
    return f"images of {'x'.join(map(str, shape))} in {classes} classes"
