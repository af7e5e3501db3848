"""What each part of a training recipe is worth, on the validation split: `python -m bench.recipe --data data/cifar10`.

The parameter file gives everything but the parts. Its network is trained from random weights for a few epochs, plain and with
each part in turn; then the network of `--dense` is pruned by l1 to half of its filters and trained on for a few epochs, in the
same way. All trainings of a seed start from the same weights and see the same images in one order. What stands in the JSON
file already is not done again, and a training that was killed goes on. docs/recipe.md is made of the file.
"""

import json
import tempfile
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np

from docs.generator.recipe import PRUNED, TRAINED, Part
from lib.atomic import write_text
from lib.formats.checkpoint import load
from lib.images.augmentation import STILL
from lib.steps.distill import distill
from lib.steps.prune import PruneJob, prune
from lib.steps.train_teacher import teach
from lib.training.evaluation import judge
from lib.training.run import Setting, setting
from stages.command import PARAMS, Params, read_params, run


class Run(NamedTuple):
    """One training: which stage of the recipe, which part, which seed."""

    stage: str
    part: str
    seed: int


def changed(document: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a parameter document; {"teacher.lr": 0.1} changes teacher.lr."""
    found = deepcopy(dict(document))
    for place, value in changes.items():
        *parents, last = place.split(".")
        inside = found
        for name in parents:
            inside = inside[name]
        inside[last] = value
    return found


def train(run: Run, part: Part, document: Mapping[str, Any], data: Path, dense: Path | None, resume: Path) -> dict[str, Any]:
    """Do one training; its row."""
    given = changed(document, part.changes)
    here = setting(given, data, run.seed, resume)
    with tempfile.TemporaryDirectory() as folder:
        made = {"trained": _trained, "pruned": partial(_pruned, dense=dense)}[run.stage](given, here, Path(folder))
        checkpoint = load(made)
    scores, predicted = judge(checkpoint.network.to(here.device), validation := here.batches("validation", STILL))
    right = predicted.numpy() == validation.labels.cpu().numpy()
    epochs = given["teacher"]["epochs"] if run.stage == "trained" else given["distill"]["training"]["epochs"]
    row = {**run._asdict(), "epochs": epochs, "validation_top1": round(scores.top1, 4), "images": len(right)}
    if "pruned_top1" in checkpoint.notes:
        row["pruned_top1"] = round(checkpoint.notes["pruned_top1"], 4)
    return row | {"right": b64encode(np.packbits(right).tobytes()).decode()}


def _trained(document: Mapping[str, Any], here: Setting, folder: Path) -> Path:
    out = folder / "out.safetensors"
    teach(document, document["benchmark"]["network"], here, folder, out, folder / "log.csv")
    return out


def _pruned(document: Mapping[str, Any], here: Setting, folder: Path, dense: Path | None) -> Path:
    if dense is None:
        msg = "--dense: the checkpoint to prune is missing; give one that train_teacher wrote, or --stage trained"
        raise ValueError(msg)
    pruned, out = folder / "pruned.safetensors", folder / "out.safetensors"
    prune(document, PruneJob("l1", 0.5, coupled=True), dense, dense, here, pruned, folder / "pruned.csv")
    (distiller,) = document["benchmark"]["distillers"]
    distill(document, distiller, pruned, dense, here, out, folder / "log.csv")
    return out


def missing(known: Sequence[Mapping[str, Any]], stages: Sequence[str], seeds: int) -> Iterator[tuple[Run, Part]]:
    """What is not done yet, one seed after the other."""
    done = {Run(row["stage"], row["part"], row["seed"]) for row in known}
    parts = {"trained": TRAINED, "pruned": PRUNED}
    for seed in range(seeds):
        for stage in stages:
            for part in parts[stage]:
                if (one := Run(stage, part.name, seed)) not in done:
                    yield one, part


def main(
    data: Annotated[Path, "the folder of the data set"],
    json_file: Annotated[Path, "the file of rows, read and written"] = Path("docs/measured/recipe.json"),
    dense: Annotated[Path | None, "the checkpoint that is pruned, for the second half"] = None,
    stage: Annotated[Literal["trained", "pruned", "both"], "which half"] = "both",
    epochs: Annotated[int, "of each training from random weights"] = 8,
    seeds: Annotated[int, "how many"] = 2,
    jobs: Annotated[int, "trainings at once"] = 2,
    params: Params = PARAMS,
) -> None:
    stages = ("trained", "pruned") if stage == "both" else (stage,)
    document = changed(read_params(params), {"teacher.epochs": epochs})
    rows = json.loads(json_file.read_text()) if json_file.exists() else []
    work: Callable[[Run, Part], dict[str, Any]] = partial(
        train, document=document, data=data, dense=dense, resume=Path(".scratch/resume")
    )
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        begun = [pool.submit(work, *one) for one in missing(rows, stages, seeds)]
        for future in begun:
            rows.append(future.result())
            write_text(json_file, json.dumps(sorted(rows, key=lambda row: (row["stage"], row["seed"])), indent=1) + "\n")


if __name__ == "__main__":
    run(main)
