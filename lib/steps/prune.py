"""Pruning a trained network with a method, by name."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from lib import plugins
from lib.distillation import teachers
from lib.distillation.building import distilled
from lib.formats.checkpoint import load, save
from lib.formats.fitting import refuse_misfit
from lib.images.augmentation import STILL
from lib.masks.kept import Kept, apply_
from lib.networks import build
from lib.networks.batch_norms import calibration_sizes, recalibrate_
from lib.networks.network import Network
from lib.params.bounds import Calibration
from lib.params.section import read
from lib.pruning import methods
from lib.pruning.layers import Layers
from lib.pruning.method import Common, Method, Request
from lib.randomness import stream
from lib.training.device import autocast
from lib.training.evaluation import evaluate
from lib.training.loop import Training
from lib.training.objective import Objective
from lib.training.run import Run, Setting, trained, write_log
from lib.training.taps import Tapped

Calibrating: Any = Calibration | None


@dataclass(frozen=True)
class PruneJob:
    """What to prune: the method's name, the keep ratio, and whether streams share a mask."""

    method: str
    keep_ratio: float
    coupled: bool


def prune(
    document: Mapping[str, Any], cell: PruneJob, dense: Path, guide: Path, setting: Setting, out: Path, log: Path
) -> str:
    """Prune the network of checkpoint `dense`; `guide` is the checkpoint, or the folder of several, of who guides.

    The checkpoint notes `pruned_top1`, the validation accuracy in percent at the moment that pruning leaves nothing more to
    choose: before the training, where masks were settled by then, else after it; nothing where random weights were masked.
    Writes the masked network and its masks to `out`, the log to `log` (.csv). Returns a line for the user, or nothing.
    """
    module: ModuleType = plugins.find(methods, cell.method)
    params: Common = read(document, f"prune.methods.{cell.method}", plugins.settings(module))
    training = read(document, "prune.training", Training)
    whole = load(dense)
    refuse_misfit(dense, whole, setting.dataset)
    network = whole.network
    epochs, seen = training.epochs, int(whole.notes["epochs"])
    if params.start == "scratch":
        network = build(network.architecture, stream(setting.seed, "initialisation", cell.method))
        epochs, seen = epochs + read(document, "prune.scratch_epochs", int), 0
    network.to(setting.device)
    request = Request(
        keep_ratio=cell.keep_ratio,
        coupled=cell.coupled,
        epochs=epochs,
        generator=stream(setting.seed, "masks", cell.method),
        layers=read(document, "prune.layers", Layers),
        shape=setting.dataset.shape,
        sample=setting.sample(cell.method),
    )
    method: Method = module.method(network, params, request)
    terms = {name: document["distill"]["terms"][name] for name in params.guide}
    objective = _objective(network, params, terms, guide, setting, training.label_smoothing)
    calibration, settled = read(document, "prune.calibration", Calibrating), method.held()
    if settled is None and calibration is None and training.averaging is not None:
        calibration = training.averaging.images  # the average's own estimate is of a network before its last masks
    settle = partial(_settled, network, setting, calibration)
    before = settle(settled) if settled is not None and params.start == "dense" else {}
    label = f"{cell.method} keep {cell.keep_ratio} seed {setting.seed}"
    decides = {"cell": cell, "params": params, "layers": request.layers, "terms": terms}
    with trained(Run(label, network, method, objective, training, epochs, decides, "prune.training"), setting) as rows:
        kept = method.kept().to("cpu")
        apply_(network, kept)
        found = settle(kept) if settled is None else before
        save(out, setting.checkpoint(network, kept, {"epochs": seen + epochs, **found}))
        write_log(log, rows)
    return f"{remark}\n" if (remark := method.remark()) else ""


def _objective(
    network: Network, params: Common, terms: Mapping[str, Any], guide: Path, setting: Setting, smoothing: float
) -> Objective:
    """What a method minimises: cross entropy, and where it is guided, terms (by name their settings)."""
    if not params.guide:
        return Objective(Tapped(network), smoothing)
    return distilled(network, teachers.load(guide, setting), params.guide, terms, smoothing, setting.example())


def _settled(network: Network, setting: Setting, calibration: int | None, kept: Kept) -> dict[str, float]:
    """Estimate batch norms where that is asked for, and tell how good the masked network is, in percent on validation."""
    apply_(network, kept)
    with autocast(setting.compute, setting.device):
        if calibration is not None:
            train = setting.batches("train", setting.augmentation)
            sizes = calibration_sizes(calibration, len(train))
            recalibrate_(network, (images for images, _ in train.epoch(sizes, stream(setting.seed, "pruned batch norms"))))
        return {"pruned_top1": evaluate(network, setting.batches("validation", STILL)).top1}
