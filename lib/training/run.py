"""One training run: the data on the device, a folder for its state, the loop, and its log."""

import csv
import hashlib
import io
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lib.atomic import write_text
from lib.formats.checkpoint import Checkpoint
from lib.images.augmentation import STILL, Augmentation
from lib.images.batches import Batches, Sample
from lib.images.dataset import Dataset
from lib.images.dataset import load as load_dataset
from lib.images.minibatches import minibatches
from lib.masks.kept import Kept
from lib.networks.network import Network
from lib.params.named import is_own_code
from lib.params.own_code import place
from lib.params.section import read
from lib.progress import steps
from lib.randomness import stream
from lib.training.device import Compute, device_name, prepare
from lib.training.hooks import Hooks
from lib.training.loop import Fit, Training, fit
from lib.training.objective import Objective
from lib.training.processes import joined, leave_to_first, of_first, share
from lib.training.resume import Unfinished, claimed, identity
from lib.training.running import Running
from lib.training.tally import LogRow


@dataclass(frozen=True)
class Setting:
    """What all trainings of a suite share. resume_dir: the folder of unfinished trainings. running: decides no bit of them."""

    dataset: Dataset
    augmentation: Augmentation
    compute: Compute
    running: Running
    device: torch.device
    seed: int
    resume_dir: Path

    def batches(self, split: str, augmentation: Augmentation) -> Batches:
        """A split on the device."""
        dataset = replace(self.dataset, workers=self.running.workers)
        return minibatches(dataset, dataset.splits[split], augmentation, self.device)

    def example(self) -> torch.Tensor:
        """Two normalised validation images (2, C, H, W), to see shapes with."""
        few = self.dataset.splits["validation"].select(torch.arange(2))
        return next(minibatches(self.dataset, few, STILL, self.device).plain(2))[0]

    def sample(self, purpose: str) -> Sample:
        """Training images in random order, augmented, the same at every call: sample(count, size) -> mini-batches."""

        def sample(count: int, size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
            train = self.batches("train", self.augmentation)
            whole, rest = divmod(min(count, len(train)), size)
            last = rest > 1 or not whole  # batch norms need two images, and one would count as much as a whole mini-batch
            return train.epoch([size] * whole + [rest] * last, stream(self.seed, "sample", purpose))

        return sample

    def checkpoint(self, network: Network, kept: Kept | None, notes: Mapping[str, Any]) -> Checkpoint:
        """A trained network as a checkpoint that knows its data and what it was trained on."""
        trained_on = {**asdict(self.compute.decisive), "device": device_name(self.device), "torch": torch.__version__}
        data = self.dataset
        return Checkpoint(network, kept, data.shape, data.mean, data.std, {**notes, "trained_on": trained_on})


def setting(document: Mapping[str, Any], data: Path, seed: int, resume_dir: Path) -> Setting:
    """Read the sections that all trainings share and prepare torch for them."""
    compute, running = read(document, "compute", Compute), read(document, "running", Running)
    augmentation = read(document, "augmentation", Augmentation)
    return Setting(load_dataset(data), augmentation, compute, running, prepare(compute), seed, resume_dir)


@dataclass(frozen=True)
class Run:
    """A training to do.

    decides: whatever else decides its result, for the identity of an unfinished one. section: where its settings stand.
    """

    label: str
    network: Network
    hooks: Hooks
    objective: Objective
    training: Training
    epochs: int
    decides: Mapping[str, Any]
    section: str


@contextmanager
def trained(run: Run, setting: Setting) -> Iterator[list[LogRow]]:
    """Do a run, or finish it if it was interrupted; the network is changed in place. Gives a row of numbers an epoch.

    Write the results inside the `with`: the state of the training goes when it is left without an error.
    """
    key = identity(
        label=run.label,
        setting=(setting.dataset.name, setting.dataset.sha256, setting.augmentation, setting.compute.decisive, setting.seed),
        training=(run.training, run.epochs),
        networks=[digest(run.network), run.objective.teacher and digest(run.objective.teacher.network)],
        decides=run.decides,
        device=device_name(setting.device),
    )
    task = Fit(
        run.network,
        run.hooks,
        run.objective,
        setting.batches("train", setting.augmentation),
        setting.batches("validation", STILL),
        run.training,
        run.epochs,
        setting.compute,
        setting.seed,
        run.section,
        setting.running.resume_every,
    )
    with ExitStack() as stack:
        with joined(setting.device):
            place = _place(setting, key, stack)
            rows = fit(task, place, steps(run.label))
        leave_to_first()
        yield rows


def _place(setting: Setting, key: str, stack: ExitStack) -> Unfinished:
    """Where the first process keeps the state of a training. Raises ValueError where processes would train two things, or are
    not as many as the settings say.
    """
    if share().processes != setting.compute.processes:
        msg = f"compute.processes is {setting.compute.processes}, and {share().processes} were started; start as many, "
        raise ValueError(msg + "or unset RANK and WORLD_SIZE, so that the stage starts them itself")
    if share().process == 0:
        stack.enter_context(claimed(setting.resume_dir, key))
    if of_first(key) != key:
        msg = f"process {share().process + 1} would train something else than the first: give all machines the same code, "
        raise ValueError(msg + "parameters, data and networks")
    return Unfinished(setting.resume_dir / key)


def digest(network: nn.Module) -> str:
    """The sha256 of what a network computes: its architecture, code of the user's that builds it, and its weights."""
    total = hashlib.sha256()
    for member in network.modules():  # an ensemble has several
        if isinstance(member, Network):
            total.update(repr(member.architecture).encode())
            total.update(b"".join(file.read_bytes() for file in _own_code(member.architecture.name)))
    for name, tensor in network.state_dict().items():
        total.update(name.encode() + tensor.cpu().numpy().tobytes())
    return total.hexdigest()


def _own_code(builder: str) -> list[Path]:
    """The files of the user's own that a builder lies in."""
    found = place(builder.partition(":")[0]) if is_own_code(builder) else None
    return [] if found is None else sorted(found.rglob("*.py")) if found.is_dir() else [found]


def write_log(path: Path, rows: list[LogRow]) -> None:
    """The rows of a training as CSV, one line an epoch; a column that an epoch lacks stays empty."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([[f"{row[name]:.6g}" if name in row else "" for name in columns] for row in rows])
    write_text(path, text.getvalue())
