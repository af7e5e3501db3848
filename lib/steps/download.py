"""The body of stage `download`: obtain a data set, hold out a validation split, write one folder."""

from pathlib import Path

from lib.images.dataset import write
from lib.images.imagefolder import Progress
from lib.images.sources import DataSettings, find
from lib.images.splitting import hold_out


def make(params: DataSettings, cache: Path, progress: Progress, out: Path) -> None:
    """Obtain, decode and split a data set and write it to the folder `out`. Raises ValueError with the cure."""
    classes, source = find(params)(params, cache, progress)
    splits, held_out = hold_out(source["train"], params.validation_fraction, params.split_seed)
    tensors = {"validation_indices": held_out}
    for name, (images, labels) in {**splits, "test": source["test"]}.items():
        tensors |= {f"{name}_images": images.contiguous(), f"{name}_labels": labels.contiguous()}
    write(out, params.name, params.sha256, classes, tensors)
