"""Named combinations of distillation terms -> what a student minimises."""

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from lib import plugins
from lib.distillation import terms
from lib.distillation.term import logits_only
from lib.foreign_code import FAILURES
from lib.networks.ensemble import Ensemble
from lib.networks.network import Network
from lib.params.section import read
from lib.training.objective import Objective, Recall
from lib.training.taps import Outputs, Tapped, Taps, Term, Weighted


def distilled(
    student: Network,
    teacher: Network | Ensemble,
    weights: Mapping[str, float],
    settings: Mapping[str, Any],
    label_smoothing: float,
    example: Tensor,
    remember: Callable[[Tapped], Recall | None] | None = None,
) -> Objective:
    """The objective of a named combination of terms.

    weights: by term name; settings: the parameter sections of the terms; example: two or more normalised images (B, C, H, W),
    to see the shapes; remember: gives what is asked instead of the teacher. Raises ValueError for an unknown term or one that
    refuses these networks, and ParamsError for wrong settings.
    """
    modules = {name: plugins.find(terms, name) for name in weights}
    params = {name: read(settings, name, plugins.settings(module)) for name, module in modules.items()}
    taps = {n: (m.taps(params[n], student), _taps(n, m, params[n], teacher)) for n, m in modules.items()}
    of_student, of_teacher = (tuple(dict.fromkeys(tap for pair in taps.values() for tap in pair[side])) for side in (0, 1))
    tapped = Tapped(student, of_student), Tapped(teacher.eval().requires_grad_(requires_grad=False), of_teacher)
    training = student.training
    with torch.no_grad():
        student.eval()
        seen = [network(example) for network in tapped]
    student.train(training)
    built = {}
    for name, module in modules.items():
        own = [outputs.only(some) for outputs, some in zip(seen, taps[name], strict=True)]
        term = module.term(params[name], *own)
        _try(name, term, *own)
        built[name] = Weighted(weights[name], term, taps[name])
    return Objective(tapped[0], label_smoothing, built, tapped[1], remember(tapped[1]) if remember else None)


def _try(name: str, term: Term, student: Outputs, teacher: Outputs) -> None:
    """Raise ValueError where a term cannot compute its loss, before any training."""
    labels = torch.zeros(len(student.logits), dtype=torch.int64, device=student.logits.device)
    try:
        with torch.no_grad():
            loss = term.loss(student, teacher, labels)
    except FAILURES as error:
        msg = f"{name} has no loss for these networks ({type(error).__name__}: {' '.join(str(error).split())[:200]})"
        raise ValueError(msg) from error
    if loss.dim():
        msg = f"{name} gives a loss of shape {tuple(loss.shape)}; it must be one number"
        raise ValueError(msg)


def _taps(name: str, module: ModuleType, params: object, teacher: Network | Ensemble) -> Taps:
    """What a term sees of the teacher. Raises ValueError when it looks inside an ensemble."""
    if isinstance(teacher, Network):
        seen: Taps = module.taps(params, teacher)
        return seen
    if module.taps is not logits_only:
        msg = f"{name} looks inside the teacher, and {teacher.name} has only logits to average; give one teacher"
        raise ValueError(msg)
    return ()
