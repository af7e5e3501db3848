"""Who the distillers follow: one network, or several together; trained here, or a checkpoint from elsewhere."""

import hashlib
from pathlib import Path

import torch

from lib.formats.checkpoint import Checkpoint
from lib.formats.checkpoint import load as load_checkpoint
from lib.images.batches import STILL
from lib.networks.ensemble import Ensemble
from lib.networks.network import Network
from lib.params.suite import Given
from lib.training.evaluation import evaluate
from lib.training.run import Setting

TIMES_CHANCE = 1.5


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


def verified(teacher: Given) -> Path:
    """The file of a teacher from elsewhere. Raises ValueError when it is not there or not the one that was described."""
    path = Path(teacher.file)
    if not path.is_file():
        msg = f"distill.teachers: {path} is not there; give the path of a checkpoint"
        raise ValueError(msg)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != teacher.sha256:
        msg = f"distill.teachers: {path} has sha256 {found}, not {teacher.sha256}; correct the one or the other"
        raise ValueError(msg)
    return path


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
        _renormalise(network, teacher, setting)
    chance = 100.0 / len(data.classes)
    noted = teacher.notes.get("validation_top1") if at_home else None
    top1 = evaluate(network, setting.batches("validation", STILL)).top1 if noted is None else noted
    if top1 < TIMES_CHANCE * chance:
        msg = f"{path}: this teacher reaches {top1:.1f} % on the validation split, where guessing reaches {chance:.1f} %; "
        msg += "train it (longer) or give another one before anything is distilled from it"
        raise ValueError(msg)
    return network


def _renormalise(network: Network, teacher: Checkpoint, setting: Setting) -> None:
    """Let the network turn images normalised for this data set into what it was trained on.

    Scale and shift become part of its state, so that an unfinished training knows its teacher by them too.
    """
    values = (teacher.mean, teacher.std, setting.dataset.mean, setting.dataset.std)
    theirs, their_spread, ours, our_spread = (torch.tensor(value, device=setting.device).view(1, -1, 1, 1) for value in values)
    scale, shift = our_spread / their_spread, (ours - theirs) / their_spread
    network.register_buffer("input_scale", scale)
    network.register_buffer("input_shift", shift)
    network.register_forward_pre_hook(lambda _, inputs: (inputs[0] * scale + shift,))
