"""The mini-batches of a split: whole in memory where that can be, else image by image."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lib.images.augmentation import Augmentation
from lib.images.batches import Batches
from lib.images.dataset import Dataset, Split
from lib.images.loaded import LoadedBatches


def minibatches(
    dataset: Dataset,
    split: Split,
    augmentation: Augmentation,
    device: torch.device,
    normalisation: tuple[Sequence[float], Sequence[float]] | None = None,
) -> Batches:
    """A split of a data set, or some of its images, on a device.

    normalisation: mean and standard deviation by channel; None: the data set's. Raises ValueError where the augmentation does
    not fit what the data set cuts out.
    """
    if problems := augmentation.problems(dataset.frame.crop):
        raise ValueError("\n".join(problems))
    mean, std = normalisation or (dataset.mean, dataset.std)
    if isinstance(split.images, Tensor) and dataset.frame.crop is None and not augmentation.one_by_one:
        return Batches(split.images, split.labels, mean, std, augmentation, device)
    _, *size = dataset.shape
    view = dataset.frame, (size[0], size[1])
    return LoadedBatches(split.images, split.labels, mean, std, augmentation, device, *view, dataset.workers)
