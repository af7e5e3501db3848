"""Training a pruned network with a named distiller, its masks held."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from lib.distillation import teachers
from lib.distillation.building import distilled
from lib.distillation.classifier import share_classifier_
from lib.distillation.memory import remember
from lib.formats.checkpoint import load, save
from lib.masks.filters import apply_
from lib.masks.weights import Zeros
from lib.params.section import read, section
from lib.pruning.held import held
from lib.training.device import autocast
from lib.training.loop import Training
from lib.training.objective import Objective
from lib.training.run import Run, Setting, trained, write_log

Room: Any = Annotated[float, Field(gt=0.0)] | None


@section
class Distiller:
    """terms: weights of distillation terms, added to the cross entropy ({} for plain fine-tuning).

    share_classifier: the student starts with a copy of the teacher's classifier.
    """

    terms: Mapping[str, Annotated[float, Field(ge=0.0)]]
    share_classifier: bool


def distill(document: Mapping[str, Any], name: str, pruned: Path, guide: Path, setting: Setting, out: Path) -> None:
    """Train checkpoint `pruned` with distiller `name`; writes `out` and its log beside it (.csv).

    guide: the teacher's checkpoint or a folder of several teachers'.
    """
    distiller = read(document, f"distill.distillers.{name}", Distiller)
    training = read(document, "distill.training", Training)
    room: float | None = read(document, "distill.cache_gib", Room)
    start = load(pruned)
    student = start.network.to(setting.device)
    if start.masks is None:
        msg = f"{pruned} holds no masks; give the checkpoint that the prune stage wrote"
        raise ValueError(msg)
    objective, terms = Objective(student, training.label_smoothing), document["distill"]["terms"]
    if distiller.terms or distiller.share_classifier:
        teacher = teachers.load(guide, setting)
        if distiller.share_classifier:
            share_classifier_(student, teacher)
        objective = distilled(student, teacher, distiller.terms, terms, training.label_smoothing, setting.example())
        if room is not None and objective.teacher is not None and distiller.terms:
            images, precision = setting.batches("train", setting.augmentation), autocast(setting.compute, setting.device)
            objective.memory = remember(objective.teacher, images, precision, room)
    method = held(student, start.masks, start.sparsity)
    label = f"{pruned.stem} {name}"
    decides = {"distiller": distiller, "terms": terms, "room": room}
    run = Run(label, student, method, objective, training, training.epochs, decides, "distill.training")
    with trained(run, setting) as rows:
        apply_(student, start.masks)
        Zeros(student).hold_(start.sparsity or {})
        notes = {"epochs": start.notes["epochs"] + training.epochs, "validation_top1": rows[-1]["validation_top1"]}
        save(out, setting.checkpoint(student, start.masks, notes, start.sparsity))
        write_log(out.with_suffix(".csv"), rows)
