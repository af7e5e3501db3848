"""Whether a checkpoint and a data set belong together."""

from pathlib import Path

import torch
from torch import Tensor

from lib.foreign_code import FAILURES
from lib.formats.checkpoint import Checkpoint
from lib.images.augmentation import STILL
from lib.images.batches import Batches
from lib.images.dataset import Dataset
from lib.images.minibatches import minibatches
from lib.networks.network import Network


def refuse_misfit(source: Path | str, checkpoint: Checkpoint, dataset: Dataset, *, any_size: bool = False) -> None:
    """Raise ValueError unless a network takes images as the data set has, and tells as many classes apart.

    source: its file, or words for it.

    any_size: height and width may differ where the network takes such images; the channels may not.
    """
    kept = 1 if any_size else 3
    wanted = (tuple(checkpoint.shape)[:kept], checkpoint.network.architecture.num_classes)
    found = (tuple(dataset.shape)[:kept], len(dataset.classes))
    if wanted != found:
        sizes = (tuple(checkpoint.shape), wanted[1]), (tuple(dataset.shape), found[1])
        told = [f"images of {'x'.join(map(str, shape))} in {classes} classes" for shape, classes in sizes]
        msg = f"{source} is for {told[0]}, {dataset.name} has {told[1]}; give the data that the network was trained on"
        raise ValueError(msg)
    if any_size:
        refuse_size(source, checkpoint.network, dataset.shape)


@torch.no_grad()
def refuse_size(source: Path | str, network: Network, shape: tuple[int, int, int]) -> None:
    """Raise ValueError for a network that cannot take images (C, H, W) of another size than it was made for."""
    if shape == network.architecture.shape:
        return
    training = network.training
    try:
        network.eval()(torch.zeros(1, *shape, device=network.device, dtype=network.dtype))
    except FAILURES as error:
        own, wanted = ("x".join(map(str, one)) for one in (network.architecture.shape, shape))
        reason = " ".join(str(error).split())[:200]
        msg = f"{source} is of images of {own} and cannot take those of {wanted} ({type(error).__name__}: {reason}); "
        raise ValueError(msg + "give a network for images of this size") from error
    network.train(training)


@torch.no_grad()
def refuse_squeezed(source: Path | str, network: Network, image: Tensor) -> None:
    """Raise ValueError for a network in eval mode whose logits for one image (1, C, H, W) have lost the axis of images."""
    found, wanted = tuple(network(image).shape), (1, network.architecture.num_classes)
    if found != wanted:
        msg = f"{source} gives {found} for one image, not {wanted}; tell squeeze() which axes it is to remove"
        raise ValueError(msg)


def batches_for(source: Path, checkpoint: Checkpoint, dataset: Dataset, split: str, device: torch.device) -> Batches:
    """A split, normalised for the network of file `source`. Raises ValueError as `refuse_misfit` does."""
    refuse_misfit(source, checkpoint, dataset)
    return minibatches(dataset, dataset.splits[split], STILL, device, (checkpoint.mean, checkpoint.std))
