"""Named combinations of distillation terms -> what a student minimises."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lib import plugins
from lib.distillation import terms
from lib.distillation.objective import Objective
from lib.networks.network import Network
from lib.params import read


def distilled(
    student: Network,
    teacher: Network,
    weights: Mapping[str, float],
    settings: Mapping[str, Any],
    label_smoothing: float,
    example: Tensor,
) -> Objective:
    """The objective of a named combination of terms.

    weights: by term name; settings: the parameter sections of the terms; example: two or more normalised images (B, C, H, W),
    to see the shapes. Raises ValueError for an unknown term, and ParamsError for wrong settings.
    """
    modules = {name: plugins.find(terms, name) for name in weights}
    taps = tuple(dict.fromkeys(tap for module in modules.values() for tap in module.TAPS))
    objective = Objective(student, label_smoothing, teacher, {}, taps)
    training = student.training
    with torch.no_grad():
        student.eval()
        assert objective.teacher is not None
        seen = objective.student(example), objective.teacher(example)
    student.train(training)
    objective.built = {
        name: (weights[name], module.term(read(settings, name, module.Params), *seen)) for name, module in modules.items()
    }
    return objective
