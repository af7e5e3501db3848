"""Show which layers bear pruning: prune one layer at a time, train nothing, score on validation images.

Reads a dense checkpoint and the data folder; writes sensitivity.csv (a row a layer and keep ratio) and sensitivity.png.
The test split is not looked at. No part of the pipeline: used by hand.
"""

from pathlib import Path
from typing import Annotated, Literal

from stages.command import PARAMS, Data, Params, read_params, run


def main(
    source: Annotated[Path, "the checkpoint of a dense network"],
    data: Data,
    keep_ratios: Annotated[tuple[float, ...], "e.g. 0.9,0.7,0.5,0.3,0.1"],
    order: Annotated[Literal[1, 2], "1: L1 norm (the paper's), 2: L2 norm"],
    out: Annotated[Path, "the folder to write to"],
    images: Annotated[int | None, "validation images, evenly spaced; all if left out"] = None,
    params: Params = PARAMS,
) -> None:
    """One network."""
    from lib.atomic import write_bytes, write_text
    from lib.images.dataset import load
    from lib.params.section import read
    from lib.plots.sensitivity import picture
    from lib.progress import steps
    from lib.pruning.sensitivity import examine
    from lib.tables.writing import csv
    from lib.training.device import Compute
    from lib.training.running import Running

    document = read_params(params)
    compute, dataset = read(document, "compute", Compute), load(data, read(document, "running", Running).workers)
    rows = examine(source, dataset, keep_ratios, order, images, compute, steps(f"sensitivity {source.stem}"))
    write_text(out / "sensitivity.csv", csv(rows))
    write_bytes(out / "sensitivity.png", picture(rows, _title(source.stem, dataset.name, order, images)))


def _title(network: str, data: str, order: int, images: int | None) -> str:
    return f"{network} on {data}: one layer pruned by L{order} norm, no training, {images or 'all'} images"


if __name__ == "__main__":
    run(main)
