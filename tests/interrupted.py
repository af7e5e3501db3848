"""Trainings to kill: three kinds on small colourless images, each ended by SIGKILL at a chosen moment.

`python -m tests.interrupted FOLDER` starts every kind in a process of its own and kills it, after an epoch and in the middle
of the next, there once with a state saved within the epoch; what they leave in FOLDER/<kind>-<moment>/scratch is theirs.
"""

import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from lib.formats.checkpoint import Checkpoint, save
from lib.images import dataset, sources
from lib.images.dataset import load
from lib.masks.kept import Kept, apply_
from lib.networks import build
from lib.networks.architecture import Architecture
from lib.params.section import read
from lib.pruning.scores import uniform
from lib.pruning.selection import Selection
from lib.randomness import stream
from lib.steps.distill import distill
from lib.steps.prune import PruneJob, prune
from lib.steps.train_teacher import teach
from lib.training.resume import Unfinished
from lib.training.run import setting
from lib.training.tally import Tally
from tests import tiny

EPOCHS, STEPS = 3, 3
KINDS = ("teach", "prune", "distill")
MOMENTS = ("epoch", "step", "part")
PART = {"running__resume_every": 2}  # with states within an epoch too


def document(**changes: Any) -> dict[str, Any]:
    """Three epochs of three steps. The teacher's features are wider than the student's, so an adapter is trained too; the
    dense first epoch of the pruning moves filters far, so that its state is not what it began with. Weights are averaged from
    the second step on.
    """
    batches = {"kind": "constant", "size": 8, "last": "merge"}
    lengths = {f"{name}__epochs": EPOCHS for name in ("teacher", "prune__training", "distill__training")}
    sizes = {f"{name}__batches": batches for name in ("teacher", "prune__training", "distill__training")}
    averages = {
        "teacher__averaging": {"kind": "ema", "decay": 0.5, "start": 0.2, "images": 16},
        "distill__training__averaging": {"kind": "swa", "start": 0.2, "images": 16},
    }
    fixed = {"prune__methods__ahsg_ht__warmup_epochs": 1, "prune__training__lr": 0.5, "prune__calibration": 16}
    return tiny.document(**fixed, **averages, **lengths, **sizes, **changes)


def prepare(folder: Path) -> None:
    """The data set, a wider teacher, a network and the same one pruned, in a folder."""
    params = read(tiny.document(), "data", sources.DataSettings)
    source = sources._digits(params, folder, tiny.unwatched)
    tensors = {}
    for name, (first, count) in {"train": (0, 24), "validation": (24, 10), "test": (34, 10)}.items():
        images, labels = (tensor[first : first + count] for tensor in source.splits["train"])
        tensors[f"{name}_images"] = functional.interpolate(images, scale_factor=4).contiguous()
        tensors[f"{name}_labels"] = labels.contiguous()
    dataset.write(folder / "data", params.name, None, source.classes, tensors)
    data = load(folder / "data")
    for name, file in (("vgg11", "teacher"), ("resnet8", "dense"), ("resnet8", "pruned")):
        network = build(Architecture(name, 10, 1), stream(0, name))
        kept = None
        if file == "pruned":
            kept = Kept(Selection(network, 0.5, coupled=False).choose(uniform(network.filters(), stream(0, "masks"))))
            apply_(network, kept)
        notes = {"epochs": 1, "validation_top1": 100.0}  # claimed, so that the untrained teacher is taken
        save(folder / f"{file}.safetensors", Checkpoint(network, kept, data.shape, data.mean, data.std, notes))


def train(kind: str, folder: Path, own: Path, given: Mapping[str, Any], seed: int = 0) -> Path:
    """Do a training of a kind with the files of `folder`; its scratch and its results are in `own`."""
    here = setting(given, folder / "data", seed, own / "scratch")
    teacher, dense, pruned = (folder / f"{name}.safetensors" for name in ("teacher", "dense", "pruned"))
    out, log = own / "out.safetensors", own / "out.csv"
    jobs: Mapping[str, Callable[[], object]] = {
        "teach": lambda: teach(given, "resnet8", here, own / "cache", out, log),
        "prune": lambda: prune(given, PruneJob("ahsg_ht", 0.5, coupled=False), dense, teacher, here, out, log),
        "distill": lambda: distill(given, "feature", pruned, teacher, here, out, log),
    }
    jobs[kind]()
    return out


def kill_at(moment: str) -> None:
    """From now on this process ends itself: as a state is saved, or after the second step of the second epoch."""
    owner, name, calls = (Unfinished, "save", 1) if moment == "epoch" else (Tally, "add", STEPS + 2)
    original, left = getattr(owner, name), [calls]

    def counted(*arguments: Any) -> None:
        original(*arguments)
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, counted)


def main() -> None:
    """Kill every kind at every moment."""
    folder = Path(sys.argv[1])
    torch.set_num_threads(1)
    torch.optim.SGD([torch.zeros(1, requires_grad=True)]).step()  # imports the compiler, once for all and not in each
    for kind in KINDS:
        for moment in MOMENTS:
            child = os.fork()  # before any training, so that torch has no threads yet
            if child == 0:
                kill_at(moment)
                train(kind, folder, folder / f"{kind}-{moment}", document(**(PART if moment == "part" else {})))
                os._exit(0)
            status = os.waitpid(child, 0)[1]
            assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, (kind, moment, status)


if __name__ == "__main__":
    main()
