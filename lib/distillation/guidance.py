"""Who the distillers follow: one network, or several together; trained here, or a checkpoint from elsewhere."""

import hashlib
import shutil
from pathlib import Path

import torch
from torch import Tensor, nn

from lib.checkpoint import Checkpoint
from lib.checkpoint import load as load_checkpoint
from lib.evaluation import evaluate
from lib.networks.ensemble import Ensemble
from lib.networks.network import Network
from lib.runs import STILL, Setting
from lib.suite import Given

TIMES_CHANCE = 1.5


def assemble(teachers: tuple[str | Given, ...], trained: Path, setting: Setting, out: Path) -> None:
    """Copy the checkpoints of the named teachers into folder `out`, where `load` finds them.

    trained: the folder of the suite's own teachers, <network>-<seed>.safetensors. Raises ValueError for a file that is not
    there or is another one, and for teachers that do not fit the data or know nothing about it.
    """
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for number, teacher in enumerate(teachers):
        path = Path(teacher.file) if isinstance(teacher, Given) else trained / f"{teacher}-{setting.seed}.safetensors"
        if isinstance(teacher, Given):
            _verify(path, teacher.sha256)
        shutil.copy(path, out / f"{number}-{path.name}")
    load(out, setting)


def load(path: Path, setting: Setting) -> Network | Ensemble:
    """The teacher of a checkpoint, or the ensemble of a folder of them, on the device, fed as each was trained.

    Raises ValueError when one is not for images and classes of this data set, or is hardly better than guessing.
    """
    files = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
    if not files:
        msg = f"{path} holds no teacher; run the guide stage, or give a checkpoint"
        raise ValueError(msg)
    members = [_member(file, setting) for file in files]
    return members[0] if len(members) == 1 else Ensemble(members)


def _verify(path: Path, expected: str) -> None:
    if not path.is_file():
        msg = f"distill.teachers: {path} is not there; give the path of a checkpoint"
        raise ValueError(msg)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != expected:
        msg = f"distill.teachers: {path} has sha256 {found}, not {expected}; correct the one or the other"
        raise ValueError(msg)


def _member(path: Path, setting: Setting) -> Network:
    teacher, data = load_checkpoint(path), setting.dataset
    found = (teacher.network.architecture.in_channels, teacher.network.architecture.num_classes)
    wanted = (data.shape[0], len(data.classes))
    if found != wanted:
        msg = f"{path}: this teacher takes images of {found[0]} channels and tells {found[1]} classes apart, but the data set "
        msg += f"{data.name} has {wanted[0]} and {wanted[1]}; give another teacher"
        raise ValueError(msg)
    network = teacher.network.to(setting.device)
    at_home = (teacher.mean, teacher.std) == (tuple(data.mean), tuple(data.std))
    if not at_home:
        network.register_forward_pre_hook(_Renormalised(teacher, setting))
    chance = 100.0 / len(data.classes)
    noted = teacher.notes.get("validation_top1") if at_home else None
    top1 = evaluate(network, setting.batches("validation", STILL)).top1 if noted is None else noted
    if top1 < TIMES_CHANCE * chance:
        msg = f"{path}: this teacher reaches {top1:.1f} % on the validation split, where guessing reaches {chance:.1f} %; "
        msg += "train it (longer) or give another one before anything is distilled from it"
        raise ValueError(msg)
    return network


class _Renormalised:
    """Turns images normalised for this data set into what a teacher from elsewhere was trained on."""

    def __init__(self, teacher: Checkpoint, setting: Setting) -> None:
        values = (teacher.mean, teacher.std, setting.dataset.mean, setting.dataset.std)
        theirs, their_spread, ours, our_spread = (
            torch.tensor(value, device=setting.device).view(1, -1, 1, 1) for value in values
        )
        self.scale, self.shift = our_spread / their_spread, (ours - theirs) / their_spread

    def __call__(self, _: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (inputs[0] * self.scale + self.shift,)
