"""Scoring a network on all images of a split."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from lib.images.batches import WHOLE, Batches, Share
from lib.networks.network import Network
from lib.training.processes import summed

BATCH = 500  # of small images


@dataclass(frozen=True)
class Scores:
    """Percent of images whose label is the first, or among the first five, of the classes by logit; and mean loss."""

    top1: float
    top5: float
    loss: float


def evaluate(network: Network, batches: Batches, share: Share = WHOLE) -> Scores:
    """Score a network on all images of a split, in eval mode and in the caller's precision; each process may take a share."""
    return judge(network, batches, share)[0]


@torch.no_grad()
def judge(network: Network, batches: Batches, share: Share = WHOLE) -> tuple[Scores, Tensor]:
    """The same, and the class that the network gives each image, int64 (N,), in order; those of the share alone."""
    network.eval()
    first, five, loss = 0, 0, 0.0
    classes = []
    for images, labels in batches.plain(batches.at_once(BATCH), share):
        logits = network(images).float()
        ranked = logits.topk(min(5, logits.shape[1]), dim=1).indices  # (B, 5)
        best = ranked == labels[:, None]
        classes.append(ranked[:, 0].cpu())
        first += int(best[:, 0].sum())
        five += int(best.sum())
        loss += float(functional.cross_entropy(logits, labels, reduction="sum"))
    if share.processes > 1:
        sums = torch.tensor([first, five, loss], dtype=torch.float64, device=batches.device)
        first, five, loss = summed(sums).tolist()
    scores = Scores(100.0 * first / len(batches), 100.0 * five / len(batches), loss / len(batches))
    return scores, torch.cat(classes) if classes else torch.empty(0, dtype=torch.int64)
