"""Batch-norm statistics: normalise by the mini-batch, or estimate the running statistics again."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

BATCH = 128  # images at once, as trainings have them


def calibration_sizes(images: int, there: int) -> list[int]:
    """The mini-batches to estimate statistics by: so many images, or all that are there; never one of a single image."""
    whole, rest = divmod(min(images, there), BATCH)
    return [BATCH] * whole + [rest] * (rest > 1)


def normalise_by_batch_(network: nn.Module) -> None:
    """Eval mode, but batch norms use (and average) the statistics of the mini-batch: training without dropout."""
    network.eval()
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.train()


@torch.no_grad()
def recalibrate_(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Replace the batch norms' running statistics by the plain averages over mini-batches of images (B, C, H, W)."""
    training = network.training
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    normalise_by_batch_(network)
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch's word for a cumulative average
    for images in batches:
        network(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.train(training)
