"""The body of tool `import_network`: a network trained elsewhere, scored where data is at hand, as a checkpoint."""

from pathlib import Path

import torch

from lib.formats.checkpoint import save
from lib.formats.fitting import batches_for
from lib.formats.foreign import Description, read
from lib.images.dataset import Dataset
from lib.training.evaluation import evaluate

TOLERANCE = 0.05  # percent points: 5 of 10,000 images, which rounding may move


def bring(source: Path, description: Description, dataset: Dataset | None, out: Path) -> str:
    """Write the network of file `source` as checkpoint `out`; returns what the user should know of it.

    Raises ValueError, and writes nothing, where it cannot be read, or does not meet the accuracy that the description expects.
    """
    expected = description.expected
    if expected is not None and dataset is None:
        msg = f"the description expects {expected.top1} % on the {expected.split} split; give the data folder with --data"
        raise ValueError(msg)
    checkpoint = read(source, description)
    if dataset is None:
        save(out, checkpoint)
        return "names and shapes fit, yet only data can tell whether it computes what it did: give --data, state `expected`"
    split = "test" if expected is None else expected.split
    top1 = evaluate(checkpoint.network, batches_for(source, checkpoint, dataset, split, torch.device("cpu"))).top1
    if expected is not None and not abs(top1 - expected.top1) <= TOLERANCE:
        msg = f"{source} has {top1:.2f} % top-1 on the {split} split of {dataset.name}, the description expects "
        msg += f"{expected.top1:.2f} %: names and shapes fit, but it computes something else or sees other images; correct "
        msg += "`network`, `arguments`, `mean`, `std` or `rename`"
        raise ValueError(msg)
    save(out, checkpoint)
    return f"top-1 {top1:.2f} % on the {split} split of {dataset.name}" + (", as expected" if expected else "")
