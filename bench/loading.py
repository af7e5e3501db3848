"""Reading images from files: images a second against a bare DataLoader, and the memory of a training.

    python -m bench.loading --source imagenette224 [--side 128] [--workers 1] [--turns 5]

A folder in ImageFolder layout is indexed. Then torchvision's ResNet-18 is trained for one epoch, validation included; peak
memory is that of this process, and of the largest of those that read images. Then the folder is read through by this project
and by torch's DataLoader over torchvision's ImageFolder, with the same transforms of torchvision.transforms.v2 (random resized
crop, flip), as many processes and the same normalisation. The two take turns; medians. Ours also compares every file with the
index.
"""

import resource
import tempfile
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import torch
from torch.utils.data import DataLoader

from bench.epoch import TRAINING, silent
from lib.images.augmentation import STILL, ResizedCrop
from lib.images.batches import Batches
from lib.images.dataset import Dataset, load
from lib.images.minibatches import minibatches
from lib.images.settings import VERSIONS, DataSettings
from lib.networks import build
from lib.networks.architecture import Architecture
from lib.randomness import stream
from lib.steps.download import make
from lib.training.device import Compute, prepare
from lib.training.hooks import Hooks
from lib.training.loop import Fit, fit
from lib.training.objective import Objective
from lib.training.resume import Unfinished
from lib.training.schedules import Constant
from lib.training.taps import Tapped
from stages.command import run

BATCH = 32
CROP = ResizedCrop((0.08, 1.0), (3 / 4, 4 / 3))
CHANGED = replace(STILL, flip="random", resized_crop=CROP)


def indexed(source: Path, side: int, workers: int, folder: Path) -> Dataset:
    params = DataSettings(
        name="bench",
        source=str(source),
        sha256=None,
        validation_fraction=0.1,
        split_seed=0,
        storage="files",
        size=None,
        crop=side,
        resize=None,
        normalisation=None,
        cache=False,
        unreadable="refuse",
        watch=VERSIONS,
    )
    make(params, folder, lambda names, _: names, folder / "data", workers)
    return load(folder / "data", workers)


def bare(source: Path, side: int, workers: int) -> "DataLoader[Any]":
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    changes = v2.Compose([v2.PILToTensor(), v2.RandomResizedCrop(side, CROP.scale, CROP.ratio), v2.RandomHorizontalFlip()])
    return DataLoader(ImageFolder(source / "train", changes), BATCH, shuffle=True, num_workers=workers)


def rate(batches: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> float:
    """Images a second, from the start of the processes to the last image."""
    start, images = time.perf_counter(), 0
    for pixels, _ in batches:
        images += len(pixels)
    return images / (time.perf_counter() - start)


def normalised(loader: "DataLoader[Any]", data: Dataset) -> Iterable[tuple[torch.Tensor, torch.Tensor]]:
    mean, std = (torch.tensor(values).view(3, 1, 1) * 255 for values in (data.mean, data.std))
    for pixels, labels in loader:
        yield (pixels.float() - mean) / std, labels


def ours(train: Batches, epoch: int) -> Iterable[tuple[torch.Tensor, torch.Tensor]]:
    whole, rest = divmod(len(train), BATCH)
    return train.epoch([BATCH] * whole + [rest] * bool(rest), stream(0, "batches", epoch))


def train_one_epoch(data: Dataset, compute: Compute) -> None:
    device = torch.device("cpu")
    network = build(Architecture("torchvision:resnet18", len(data.classes), 3, data.shape[1:]), stream(0, "initialisation"))
    train, validation = (minibatches(data, data.splits[name], CHANGED, device) for name in ("train", "validation"))
    settings = replace(TRAINING, batches=Constant("constant", BATCH, "drop"))
    task = Fit(network, Hooks(), Objective(Tapped(network), 0.0), train, validation, settings, 1, compute, 0)
    with tempfile.TemporaryDirectory() as folder:
        fit(task, Unfinished(Path(folder)), silent)


def main(
    source: Annotated[Path, "the folder of images"],
    side: Annotated[int, "of what networks see, in pixels"] = 128,
    workers: Annotated[int, "processes that read images"] = 1,
    turns: Annotated[int, "of each"] = 5,
) -> None:
    compute = Compute("cpu", 1, "float32", train_remaining=True, processes=1, rendezvous=None, compile=False)
    prepare(compute)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        data = indexed(source, side, workers, Path(folder))
        images = sum(len(split.labels) for split in data.splits.values())
        print(f"indexing: {images / (time.perf_counter() - start):.0f} images a second")
        train_one_epoch(data, compute)
        own, largest = (resource.getrusage(who).ru_maxrss / 2**20 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        print(f"peak memory: {own:.2f} GiB, and {largest:.2f} GiB in each of {workers} processes (what they share included)")
        train, loader = minibatches(data, data.splits["train"], CHANGED, torch.device("cpu")), bare(source, side, workers)
        rates: dict[str, list[float]] = {"ours": [], "bare DataLoader": []}
        for turn in range(turns):
            rates["ours"].append(rate(ours(train, turn)))
            rates["bare DataLoader"].append(rate(normalised(loader, data)))
        for name, values in rates.items():
            print(f"{name}: {median(values):.0f} images a second")
        print(f"ratio: {median(rates['ours']) / median(rates['bare DataLoader']):.3f}")


if __name__ == "__main__":
    run(main)
