"""Whether a checkpoint and a data set belong together."""

from pathlib import Path

import torch

from lib.formats.checkpoint import Checkpoint
from lib.images.augmentation import STILL
from lib.images.batches import Batches
from lib.images.dataset import Dataset
from lib.images.minibatches import minibatches


def refuse_misfit(source: Path | str, checkpoint: Checkpoint, dataset: Dataset, *, any_size: bool = False) -> None:
    """Raise ValueError unless a network takes images as the data set has, and tells as many classes apart.

    source: its file, or words for it.

    any_size: height and width may differ, as a convolutional network allows; the channels may not.
    """
    kept = 1 if any_size else 3
    wanted = (tuple(checkpoint.shape)[:kept], checkpoint.network.architecture.num_classes)
    found = (tuple(dataset.shape)[:kept], len(dataset.classes))
    if wanted != found:
        sizes = (tuple(checkpoint.shape), wanted[1]), (tuple(dataset.shape), found[1])
        told = [f"images of {'x'.join(map(str, shape))} in {classes} classes" for shape, classes in sizes]
        msg = f"{source} is for {told[0]}, {dataset.name} has {told[1]}; give the data that the network was trained on"
        raise ValueError(msg)


def batches_for(source: Path, checkpoint: Checkpoint, dataset: Dataset, split: str, device: torch.device) -> Batches:
    """A split, normalised for the network of file `source`. Raises ValueError as `refuse_misfit` does."""
    refuse_misfit(source, checkpoint, dataset)
    return minibatches(dataset, dataset.splits[split], STILL, device, (checkpoint.mean, checkpoint.std))
