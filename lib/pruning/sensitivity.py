"""How much accuracy one layer's filters are worth: prune one layer at a time, train nothing, score.

Li, Kadav, Durdanovic, Samet, Graf, "Pruning Filters for Efficient ConvNets", ICLR 2017, section 3.2,
https://arxiv.org/abs/1608.08710
Departs: scored on the validation split, since settings are chosen by it (the paper shows test accuracy); the last
convolution of a residual block loses its own filters of smallest norm, and the shortcut beside it stays whole.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pandas as pd
import torch

from lib.channels.description import Prunable
from lib.formats.checkpoint import Checkpoint, load
from lib.formats.fitting import refuse_misfit
from lib.images.augmentation import STILL
from lib.images.batches import Batches
from lib.images.dataset import Dataset, Split
from lib.images.minibatches import minibatches
from lib.masks.filters import Masks, full, kept_count, top_k
from lib.masks.kept import Kept, apply_
from lib.networks.network import Network
from lib.progress import Bar
from lib.pruning.scores import norms
from lib.training.device import Compute, autocast, prepare
from lib.training.evaluation import evaluate

Order = Literal[1, 2]

UNPRUNED = "unpruned"  # in the place of a layer's name
COLUMNS = ("layer", "part", "width", "kept", "keep_ratio", "top1", "drop")


def examine(
    source: Path,
    dataset: Dataset,
    keep_ratios: Sequence[float],
    order: Order,
    images: int | None,
    compute: Compute,
    progress: Callable[[int, int], Bar],
) -> pd.DataFrame:
    """Scan the dense checkpoint `source` on so many validation images, all for None; rows as `scan` gives them.

    Raises ValueError for a compact or pruned checkpoint, data it was not trained on, and numbers out of range.
    """
    checkpoint = load(source)
    _check(source, checkpoint, dataset)
    split = _spread(dataset.splits["validation"], images)
    device = prepare(compute)
    batches = minibatches(dataset, split, STILL, device, (checkpoint.mean, checkpoint.std))
    with autocast(compute, device, cached=False):  # its weights change in place, from trial to trial
        return scan(checkpoint.network.to(device), batches, keep_ratios, order, progress)


def scan(
    network: Network, batches: Batches, keep_ratios: Sequence[float], order: Order, progress: Callable[[int, int], Bar]
) -> pd.DataFrame:
    """Top-1 in percent with one layer pruned to one keep ratio by L1 or L2 norm: a row each, by depth, then falling ratio.

    The first row is the unpruned network, named UNPRUNED; drop: points lost against it. progress: makes a bar of (total, done)
    evaluations. The network is in eval mode afterwards and otherwise as it was, bit for bit, after an error too. Raises
    ValueError when there is no ratio or one is not above 0 and at most 1.
    """
    trials = _trials(network, keep_ratios, order)
    bar = progress(len(trials) + 1, 0)
    whole = evaluate(network, batches).top1
    bar.update(1)
    filters = sum(len(weight) for weight in network.filters().values())
    rows: list[tuple[str, str, int, int, float, float, float]] = [(UNPRUNED, "", filters, filters, 1.0, whole, 0.0)]
    for layer, keep_ratio, mask in trials:
        with pruned(network, {**full(network), layer.name: mask}):
            top1 = evaluate(network, batches).top1
        rows.append((layer.name, layer.part, len(mask), int(mask.sum()), keep_ratio, top1, whole - top1))
        bar.update(1)
    return pd.DataFrame(rows, columns=COLUMNS)


@contextmanager
def pruned(network: Network, masks: Masks) -> Iterator[None]:
    """The network with its masked filters at zero inside the block, and as it was, bit for bit, after it."""
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    try:
        apply_(network, Kept(masks))
        yield
    finally:
        network.load_state_dict(before)


def _trials(network: Network, keep_ratios: Sequence[float], order: Order) -> list[tuple[Prunable, float, torch.Tensor]]:
    """What to prune: a layer, a keep ratio and the mask (C_out,); all made first, so that a bad ratio costs no time."""
    if not keep_ratios:
        msg = "there is no keep ratio to scan; give at least one above 0 and at most 1"
        raise ValueError(msg)
    falling = sorted(set(keep_ratios), reverse=True)
    scores = {name: score.cpu() for name, score in norms(network.filters(), order).items()}
    return [
        (layer, ratio, top_k(scores[layer.name], kept_count(layer.width, ratio)))
        for layer in network.layers
        for ratio in falling
    ]


def _check(source: Path, checkpoint: Checkpoint, dataset: Dataset) -> None:
    """Raise ValueError unless the checkpoint is dense and was trained on data of the same shape and classes."""
    cure = "give a dense one, such as models/<suite>/trained/<seed>/<network>.safetensors"
    if checkpoint.network.architecture.kept is not None:
        msg = f"{source} is compact: its filters are gone already; {cure}"
        raise ValueError(msg)
    if checkpoint.kept is not None and checkpoint.kept.share < 1.0:
        msg = f"{source} is pruned already, its masks keep {checkpoint.kept.share:.3f} of the filters; {cure}"
        raise ValueError(msg)
    refuse_misfit(source, checkpoint, dataset)


def _spread(split: Split, count: int | None) -> Split:
    """So many images at even distances: data that lie class by class would give the first classes only."""
    total = len(split.labels)
    if count is None:
        return split
    if not 1 <= count <= total:
        msg = f"images must be from 1 to {total}, the validation images there are, got {count}; leave it out for all of them"
        raise ValueError(msg)
    return split.select(torch.arange(count) * total // count)
