"""Who the distillers follow: one network, or several together; trained here, or a checkpoint from elsewhere."""

import math
from pathlib import Path

import torch

from lib.formats.checkpoint import Checkpoint
from lib.formats.checkpoint import load as load_checkpoint
from lib.formats.fitting import refuse_misfit
from lib.images.augmentation import STILL
from lib.images.checksum import sha256_of
from lib.networks.ensemble import Ensemble
from lib.networks.network import Network
from lib.params.suite import Given
from lib.training.evaluation import evaluate
from lib.training.run import Setting

RISK = 1e-3  # that who only knows the commonest class passes for a teacher


def load(path: Path, setting: Setting) -> Network | Ensemble:
    """The teacher of a checkpoint, or the ensemble of a folder of them, on the device, fed as each was trained.

    Raises ValueError when one is not for images and classes of this data set.
    """
    members = [_member(file, setting) for file in _files(path)]
    return members[0] if len(members) == 1 else Ensemble(members)


def refuse_weak(path: Path, setting: Setting) -> None:
    """Raise ValueError when a teacher (paths as for `load`) may know no more of the validation split than its commonest class.

    Refused is what a constant answer reaches by chance once in 1 / RISK times: the one-sided binomial test of the count of
    right answers against the commonest class's share.
    """
    validation, labels = setting.batches("validation", STILL), setting.dataset.splits["validation"].labels
    images, share = len(labels), float(labels.bincount().max()) / len(labels)
    needed = surely_above(share, images)
    for file in _files(path):
        top1 = evaluate(_member(file, setting), validation).top1
        if round(top1 * images / 100) < needed:
            msg = (
                f"{file}: this teacher reaches {top1:.1f} % on the {images:,} validation images, {100 * share:.1f} % of which "
            )
            msg += f"are of one class; at least {100 * needed / images:.1f} % would show that it knows more"
            cure = "train it longer, give another one" if needed <= images else "raise data.validation_fraction"
            msg += f"; {cure}, or set distill.allow_weak_teachers: true"
            raise ValueError(msg)


def surely_above(share: float, count: int, risk: float = RISK) -> int:
    """The least number of successes that `count` trials, each a success with probability `share`, reach with at most `risk`.

    It is count + 1 where even nothing but successes is more likely than that.
    """
    tail, successes = 0.0, count + 1
    while successes > 0:
        tail += _binomial(successes - 1, count, share)
        if tail > risk:
            break
        successes -= 1
    return successes


def _binomial(successes: int, count: int, share: float) -> float:
    """Probability of exactly so many; in logarithms, as factorials of counts of images are beyond floats."""
    if share >= 1.0:
        return float(successes == count)
    ways = math.lgamma(count + 1) - math.lgamma(successes + 1) - math.lgamma(count - successes + 1)
    return math.exp(ways + successes * math.log(share) + (count - successes) * math.log1p(-share))


def verified(teacher: Given) -> Path:
    """The file of a teacher from elsewhere. Raises ValueError when it is not there or not the one that was described."""
    path = Path(teacher.file)
    if not path.is_file():
        msg = f"distill.teachers: {path} is not there; give the path of a checkpoint"
        raise ValueError(msg)
    found = sha256_of(path)
    if found != teacher.sha256:
        msg = f"distill.teachers: {path} has sha256 {found}, not {teacher.sha256}; correct the one or the other"
        raise ValueError(msg)
    return path


def _files(path: Path) -> list[Path]:
    files = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
    if not files:
        msg = f"{path} holds no teacher; run the guide stage, or give a checkpoint"
        raise ValueError(msg)
    return files


def _member(path: Path, setting: Setting) -> Network:
    teacher, data = load_checkpoint(path), setting.dataset
    refuse_misfit(path, teacher, data, any_size=True)
    network = teacher.network.to(setting.device)
    if (teacher.mean, teacher.std) != (tuple(data.mean), tuple(data.std)):
        _renormalise(network, teacher, setting)
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
