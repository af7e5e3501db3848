"""What each part of a training is worth, on the validation split: `python -m bench.parts recipe --data FOLDER --dense FILE`.

The parameter file gives everything but the parts.

    recipe   its network is trained from random weights for a few epochs, plain and with each part in turn; then the network
             of --dense is pruned by l1 to half of its filters and trained on for a few epochs, in the same way: docs/recipe.md
    ahsg     the network of --dense is pruned by ahsg_ht with every heavy ball, variant, schedule of mini-batches and treatment
             of momentum, and trained on: docs/ahsg.md

All trainings of a seed start from the same weights and see the same images in one order. What stands in docs/measured already
is not done again, and a training that was killed goes on.
"""

import json
import os
import sys
import tempfile
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from copy import deepcopy
from functools import partial
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import torch

from docs.generator import ahsg, recipe
from docs.generator.recipe import Part
from lib.atomic import write_text
from lib.formats.checkpoint import load
from lib.graph.orphans import die_with_parent
from lib.images.augmentation import STILL
from lib.runtimes.timing import processor
from lib.steps.distill import distill
from lib.steps.prune import PruneJob, prune
from lib.steps.train_teacher import teach
from lib.training.device import device_name
from lib.training.evaluation import judge
from lib.training.run import Setting, setting
from stages.command import PARAMS, Params, read_params, run
from stages.command.kinds import BARE

STUDIES: Mapping[str, Mapping[str, Sequence[Part]]] = {
    "recipe": {"trained": recipe.TRAINED, "pruned": recipe.PRUNED},
    "ahsg": {"ahsg": ahsg.PARTS},
}
KEEP_RATIO = 0.5
FILES = {"recipe": recipe.MEASURED, "ahsg": ahsg.MEASURED}


class Run(NamedTuple):
    """One training: in which stage of its study, which part, which seed."""

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


def train(run: Run, part: Part, document: Mapping[str, Any], data: Path, dense: Path, resume: Path) -> dict[str, Any]:
    """Do one training; its row."""
    given = changed(document, part.changes)
    here = setting(given, data, run.seed, resume)
    with tempfile.TemporaryDirectory() as folder:
        trained = run.stage == "trained"
        made = _trained(given, here, Path(folder)) if trained else _pruned(given, here, Path(folder), part.method, dense)
        checkpoint = load(made)
    scores, predicted = judge(checkpoint.network.to(here.device), validation := here.batches("validation", STILL))
    right = predicted.numpy() == validation.labels.cpu().numpy()
    epochs = given["teacher"]["epochs"] if trained else given["distill"]["training"]["epochs"]
    name = processor() if here.device.type == "cpu" else device_name(here.device)
    machine = f"{name}, torch {torch.__version__}"
    row = {
        **run._asdict(),
        "machine": machine,
        "precision": given["compute"]["precision"],
        "epochs": epochs,
        "validation_top1": round(scores.top1, 4),
        "images": len(right),
    }
    if "pruned_top1" in checkpoint.notes:
        row["pruned_top1"] = round(checkpoint.notes["pruned_top1"], 4)
    return row | {"right": b64encode(np.packbits(right).tobytes()).decode()}


def _trained(document: Mapping[str, Any], here: Setting, folder: Path) -> Path:
    out = folder / "out.safetensors"
    teach(document, document["benchmark"]["network"], here, folder, out, folder / "log.csv")
    return out


def _pruned(document: Mapping[str, Any], here: Setting, folder: Path, method: str, dense: Path) -> Path:
    pruned, out = folder / "pruned.safetensors", folder / "out.safetensors"
    prune(document, PruneJob(method, KEEP_RATIO, coupled=True), dense, dense, here, pruned, folder / "pruned.csv")
    (distiller,) = document["benchmark"]["distillers"]
    distill(document, distiller, pruned, dense, here, out, folder / "log.csv")
    return out


def missing(known: Sequence[Mapping[str, Any]], study: str, seeds: int) -> Iterator[tuple[Run, Part]]:
    """What is not done yet, one seed after the other."""
    done = {Run(row["stage"], row["part"], row["seed"]) for row in known}
    for seed in range(seeds):
        for stage, parts in STUDIES[study].items():
            yield from ((run, part) for part in parts if (run := Run(stage, part.name, seed)) not in done)


def _refuse_mixture(rows: Sequence[Mapping[str, Any]], document: Mapping[str, Any], file: Path) -> None:
    """Raise ValueError where trainings of before had other settings than those to come."""
    epochs, precision = document["teacher"]["epochs"], document["compute"]["precision"]
    others = {f"--epochs {row['epochs']}" for row in rows if row["stage"] == "trained" and row["epochs"] != epochs}
    others |= {f"compute.precision: {row['precision']}" for row in rows if row["precision"] != precision}
    if others:
        msg = f"{file} holds trainings with {', '.join(sorted(others))}; go on with that, or move the file away and begin anew"
        raise ValueError(msg)


def main(
    study: Annotated[Literal["recipe", "ahsg"], "what to measure", BARE],
    data: Annotated[Path, "the folder of the data set"],
    dense: Annotated[Path, "the checkpoint that is pruned"],
    epochs: Annotated[int, "of each training from random weights"] = 8,
    seeds: Annotated[int, "how many"] = 2,
    jobs: Annotated[int, "trainings at once"] = 2,
    params: Params = PARAMS,
) -> None:
    document, file = changed(read_params(params), {"teacher.epochs": epochs}), FILES[study]
    rows = json.loads(file.read_text()) if file.exists() else []
    _refuse_mixture(rows, document, file)
    todo = list(missing(rows, study, seeds))
    work = partial(train, document=document, data=data, dense=dense, resume=Path(".scratch/resume"))
    with ProcessPoolExecutor(jobs, get_context("spawn"), die_with_parent, (os.getpid(),)) as pool:
        begun = [pool.submit(work, *one) for one in todo]
        try:
            for place, future in enumerate(as_completed(begun), 1):
                rows.append(future.result())
                rows.sort(key=lambda row: (row["stage"], row["seed"]))
                write_text(file, json.dumps(rows, indent=1) + "\n")
                sys.stderr.write(f"{place} of {len(todo)} done\n")
        except BaseException:  # leaving the block would wait for all trainings
            pool.shutdown(wait=False, cancel_futures=True)
            for process in active_children():
                process.kill()
            raise


if __name__ == "__main__":
    run(main)
