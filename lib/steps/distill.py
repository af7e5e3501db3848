"""Training a pruned network with a named distiller, its masks held."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from lib.distillation import teachers
from lib.distillation.answers import filed
from lib.distillation.building import distilled
from lib.distillation.classifier import share_classifier_
from lib.distillation.memory import remember
from lib.formats.checkpoint import load, save
from lib.formats.fitting import refuse_misfit
from lib.masks.kept import apply_
from lib.params.bounds import TermName, Weight
from lib.params.section import read, section
from lib.pruning.held import held
from lib.training.device import autocast
from lib.training.loop import Training
from lib.training.objective import Objective, Recall
from lib.training.run import Run, Setting, trained, write_log
from lib.training.taps import Tapped

Room: Any = Annotated[float, Field(gt=0.0, le=1_000_000.0)] | None


@section
class Distiller:
    """terms: weights of distillation terms, added to the cross entropy ({} for plain fine-tuning).

    share_classifier: the student starts with a copy of the teacher's classifier.
    """

    terms: Mapping[TermName, Weight]
    share_classifier: bool


def distill(document: Mapping[str, Any], name: str, pruned: Path, guide: Path, setting: Setting, out: Path, log: Path) -> None:
    """Train checkpoint `pruned` with distiller `name`; writes `out` and the log `log` (.csv).

    guide: the teacher's checkpoint or a folder of several teachers'.
    """
    distiller = read(document, f"distill.distillers.{name}", Distiller)
    training = read(document, "distill.training", Training)
    room: float | None = read(document, "distill.cache_gib", Room)
    start = load(pruned)
    refuse_misfit(pruned, start, setting.dataset)
    student = start.network.to(setting.device)
    if start.kept is None:
        msg = f"{pruned} holds no masks; give the checkpoint that the prune stage wrote"
        raise ValueError(msg)
    objective, sections = Objective(Tapped(student), training.label_smoothing), document["distill"]["terms"]
    if distiller.terms or distiller.share_classifier:
        teacher = teachers.load(guide, setting)
        if distiller.share_classifier:
            share_classifier_(student, teacher)
        example, smoothing, asked = setting.example(), training.label_smoothing, _asked_once(distiller, room, setting)
        objective = distilled(student, teacher, distiller.terms, sections, smoothing, example, asked)
    hooks = held(student, start.kept)
    label = f"{pruned.stem} {name}"
    decides = {"distiller": distiller, "terms": {name: sections[name] for name in distiller.terms}, "room": room}
    run = Run(label, student, hooks, objective, training, training.epochs, decides, "distill.training")
    with trained(run, setting) as rows:
        apply_(student, start.kept)
        carried = {name: start.notes[name] for name in ("pruned_top1",) if name in start.notes}
        done = {"epochs": start.notes["epochs"] + training.epochs, "validation_top1": rows[-1]["validation_top1"]}
        save(out, setting.checkpoint(student, start.kept, carried | done))
        write_log(log, rows)


def _asked_once(distiller: Distiller, room: float | None, setting: Setting) -> Callable[[Tapped], Recall | None] | None:
    """What lets the teacher be asked once: in this training, or in all of them."""
    if not distiller.terms:
        return None
    if room is not None:
        images, precision = setting.batches("train", setting.augmentation), autocast(setting.compute, setting.device)
        return partial(remember, train=images, precision=precision, gib=room)
    return None if setting.running.answers_gib is None else partial(filed, setting=setting, gib=setting.running.answers_gib)
