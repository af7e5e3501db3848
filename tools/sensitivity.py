"""Show which layers bear pruning: prune one layer at a time, train nothing, score on validation images.

Reads a dense checkpoint and the data folder; writes sensitivity.csv (a row a layer and keep ratio) and sensitivity.png.
The test split is not looked at. No part of the pipeline: used by hand.
"""

import argparse
from pathlib import Path

from lib.atomic import replacing, write_text
from lib.images.dataset import load
from lib.params.section import parse, read
from lib.plots.sensitivity import picture
from lib.progress import steps
from lib.pruning.sensitivity import examine
from lib.tables.writing import csv
from lib.training.device import Compute
from stages.command import run

NAME = "sensitivity"


def main() -> None:
    """One network."""
    given = _arguments()
    compute = read(parse(given.params.read_text()), "compute", Compute)
    bar = steps(f"sensitivity {given.source.stem}")
    rows = examine(given.source, load(given.data), given.keep_ratios, given.order, given.images, compute, bar)
    count = "all" if given.images is None else f"{given.images}"
    title = f"{given.source.stem} on {given.data.name}: one layer pruned by L{given.order} norm, no training, {count} images"
    write_text(given.out / f"{NAME}.csv", csv(rows))
    with replacing(given.out / f"{NAME}.png") as temporary:
        temporary.write_bytes(picture(rows, title))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), metavar="FILE", help="default: params.yaml")
    parser.add_argument("--source", type=Path, required=True, metavar="FILE", help="the checkpoint of a dense network")
    parser.add_argument("--data", type=Path, required=True, metavar="PATH", help="the data folder it was trained on")
    parser.add_argument("--keep-ratios", type=_ratios, required=True, metavar="X,X", help="e.g. 0.9,0.7,0.5,0.3,0.1")
    parser.add_argument("--order", type=int, choices=(1, 2), required=True, help="1: L1 norm (the paper's), 2: L2 norm")
    parser.add_argument("--images", type=int, metavar="N", help="validation images, evenly spaced; all if left out")
    parser.add_argument("--out", type=Path, required=True, metavar="PATH", help="the folder to write to")
    return parser.parse_args()


def _ratios(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        msg = f"wants numbers with commas between, such as 0.9,0.5,0.1; got {text!r}"
        raise argparse.ArgumentTypeError(msg) from error


if __name__ == "__main__":
    run(main)
