"""Whether a teacher knows more than chance: several of the sources distil from a random network without noticing."""

from pathlib import Path

from lib.checkpoint import Checkpoint
from lib.evaluation import evaluate
from lib.runs import STILL, Setting

TIMES_CHANCE = 1.5


def check_teacher(teacher: Checkpoint, path: Path, setting: Setting) -> None:
    """Raise ValueError when the teacher of checkpoint `path` is hardly better than guessing on the validation split.

    Its accuracy is the one that its training noted, or is measured where there is no note.
    """
    chance = 100.0 / len(setting.dataset.classes)
    top1 = teacher.notes.get("validation_top1")
    if top1 is None:
        top1 = evaluate(teacher.network.to(setting.device), setting.batches("validation", STILL)).top1
    if top1 < TIMES_CHANCE * chance:
        msg = f"{path}: this teacher reaches {top1:.1f} % on the validation split, where guessing reaches {chance:.1f} %; "
        msg += "train it (longer) or give another one before anything is distilled from it"
        raise ValueError(msg)
