"""The body of stage `download`: obtain a data set, hold out a validation split, write one folder."""

from pathlib import Path

from lib.images.dataset import write
from lib.images.imagefolder import Progress
from lib.images.sources import DataSettings, find
from lib.images.splitting import hold_out


def make(params: DataSettings, cache: Path, progress: Progress, out: Path) -> tuple[str, ...]:
    """Obtain, decode and split a data set and write it to the folder `out`; what the user should be told of its splits.

    The source's own validation split is used where it has one. Raises ValueError with the cure.
    """
    source = find(params)(params, cache, progress)
    splits, tensors = dict(source.splits), {}
    if "validation" not in splits:
        parts, held_out = hold_out(splits["train"], source.classes, params.validation_fraction, params.split_seed)
        splits, tensors = {**parts, "test": splits["test"]}, {"validation_indices": held_out}
    for name, (images, labels) in splits.items():
        tensors |= {f"{name}_images": images.contiguous(), f"{name}_labels": labels.contiguous()}
    write(out, params.name, params.sha256, source.classes, tensors)
    return source.remarks
