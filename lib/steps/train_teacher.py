"""Training a whole network from random weights: the teacher, and what pruning starts from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lib.formats.checkpoint import save
from lib.networks import build
from lib.networks.description import Architecture
from lib.params.section import read
from lib.randomness import stream
from lib.training.hooks import Hooks
from lib.training.loop import Training
from lib.training.objective import Objective
from lib.training.run import Run, Setting, trained, write_log
from lib.training.taps import Tapped


def teach(document: Mapping[str, Any], name: str, setting: Setting, out: Path, log: Path) -> None:
    """Train network `name` by section `teacher`; writes the checkpoint `out` and the log `log` (.csv)."""
    training = read(document, "teacher", Training)
    classes, channels = len(setting.dataset.classes), setting.dataset.shape[0]
    network = build(Architecture(name, classes, channels), stream(setting.seed, "initialisation", name))
    network.to(setting.device)
    objective = Objective(Tapped(network), training.label_smoothing)
    run = Run(f"train {name} seed {setting.seed}", network, Hooks(), objective, training, training.epochs, {}, "teacher")
    with trained(run, setting) as rows:
        notes = {"epochs": training.epochs, "validation_top1": rows[-1]["validation_top1"]}
        save(out, setting.checkpoint(network, None, notes))
        write_log(log, rows)
