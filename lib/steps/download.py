"""The body of stage `download`: obtain a data set, hold out a validation split, write one folder."""

from pathlib import Path

from lib.images.dataset import Normal, write
from lib.images.imagefolder import Progress
from lib.images.indexing import index_files
from lib.images.settings import DataSettings
from lib.images.sources import find
from lib.images.splitting import hold_out
from lib.images.views import Frame


def make(params: DataSettings, cache: Path, progress: Progress, out: Path, workers: int = 0) -> tuple[str, ...]:
    """Obtain, decode and split a data set and write it to the folder `out`; what the user should be told of its splits.

    The source's own validation split is used where it has one. workers: processes that decode images which stay in their
    files; 0: this one. Raises ValueError with the cure.
    """
    if params.storage == "files":
        return index_files(params, cache, progress, out, workers)
    source = find(params)(params, cache, progress)
    splits, tensors = dict(source.splits), {}
    if "validation" not in splits:
        parts, held_out = hold_out(splits["train"], source.classes, params.validation_fraction, params.split_seed)
        splits, tensors = {**parts, "test": splits["test"]}, {"validation_indices": held_out}
    for name, (images, labels) in splits.items():
        tensors |= {f"{name}_images": images.contiguous(), f"{name}_labels": labels.contiguous()}
    write(out, params.name, params.sha256, source.classes, tensors, Frame(params.crop, params.resize), _normal(params))
    return source.remarks


def _normal(params: DataSettings) -> Normal | None:
    given = params.normalisation
    return None if given is None else (given.mean, given.std)
