"""Training a whole network, from random or given weights: the teacher, and what pruning starts from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lib.formats.checkpoint import save
from lib.formats.given import start_
from lib.images.augmentation import STILL
from lib.masks.filters import from_zeros
from lib.masks.kept import Kept, everything
from lib.networks import build
from lib.networks.architecture import Architecture
from lib.networks.network import Network
from lib.params.named import Expected, named
from lib.params.section import read
from lib.pruning.held import held
from lib.randomness import stream
from lib.training.evaluation import evaluate
from lib.training.hooks import Hooks
from lib.training.loop import Training
from lib.training.objective import Objective
from lib.training.processes import leave_to_first
from lib.training.run import Run, Setting, trained, write_log
from lib.training.taps import Tapped

TOLERANCE = 0.05  # percent points: 5 of 10,000 images, which rounding may move


def teach(document: Mapping[str, Any], name: str, setting: Setting, cache: Path, out: Path, log: Path) -> str:
    """Train network `name` by section `teacher`; writes the checkpoint `out` and the log `log` (.csv).

    cache: the folder that keeps given weights that are downloaded. Returns what the user should know. Raises ValueError where
    given weights do not fit, or miss the accuracy that they are said to have.
    """
    training, start = read(document, "teacher", Training), named(document, name)
    network = build(architecture(document, name, setting), stream(setting.seed, "initialisation", name))
    told, kept, given = "", everything(network), start.weights
    if given is not None:
        told = start_(network, given, cache, (setting.dataset.mean, setting.dataset.std))
        kept = Kept(from_zeros(network))
        zeros = sum(int((~mask).sum()) for mask in kept.filters.values())
        told += _line(f"{zeros} filters of {given.source} are zero: {given.zero_filters}" if zeros else "")
    network.to(setting.device)
    if given is not None and given.expected is not None:
        _check_accuracy(network, given.expected, setting, given.source)
    if given is not None and given.epochs is not None:
        leave_to_first()
        top1 = evaluate(network, setting.batches("validation", STILL)).top1
        save(out, setting.checkpoint(network, None, {"epochs": given.epochs, "validation_top1": top1}))
        write_log(log, [{"epoch": given.epochs, "validation_top1": top1}])
        return told
    hooks = held(network, kept) if given is not None and given.zero_filters == "keep" else Hooks()
    objective = Objective(Tapped(network), training.label_smoothing)
    label, decides = f"train {name} seed {setting.seed}", {"weights": given}
    run = Run(label, network, hooks, objective, training, training.epochs, decides, "teacher")
    with trained(run, setting) as rows:
        notes = {"epochs": training.epochs, "validation_top1": rows[-1]["validation_top1"]}
        save(out, setting.checkpoint(network, None, notes))
        write_log(log, rows)
    return told


def architecture(document: Mapping[str, Any], name: str, setting: Setting) -> Architecture:
    """What a name stands for, for the data of a training."""
    settings, (channels, *size) = named(document, name), setting.dataset.shape
    made = Architecture(settings.builder, len(setting.dataset.classes), channels, (size[0], size[1]))
    return made.with_arguments(settings.arguments)


def _check_accuracy(network: Network, expected: Expected, setting: Setting, source: str) -> None:
    top1 = evaluate(network, setting.batches(expected.split, STILL)).top1
    if not abs(top1 - expected.top1) <= TOLERANCE:
        msg = f"{source} has {top1:.2f} % top-1 on the {expected.split} split, `expected` says {expected.top1:.2f} %: it "
        msg += "computes something else or sees other images; correct `builder`, `arguments` or `rename`, or the data"
        raise ValueError(msg)


def _line(text: str) -> str:
    return f"{text}\n" if text else ""
