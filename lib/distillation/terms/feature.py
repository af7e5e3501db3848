"""Feature distillation: the vector that feeds the classifier follows the teacher's.

Reference: favorxin/AHSG-HT-pruning-with-KD, distillation/cifar10_resnet_test.py (MSE) and pure_dis (L1, MSE or SmoothL1),
averaged over all elements, added to the cross entropy with weight 1.
Departs: a linear adapter maps the student's vector where the widths differ, as in Romero et al., "FitNets", ICLR 2015,
https://arxiv.org/abs/1412.6550; it is trained with the student and thrown away.
"""

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from lib.distillation.term import Outputs, Term
from lib.params import section

TAPS = ("penultimate",)

DISTANCES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": functional.mse_loss,
    "l1": functional.l1_loss,
    "smooth_l1": functional.smooth_l1_loss,
}


@section
class Params:
    """distance: averaged over all elements; smooth_l1 turns linear at 1."""

    distance: Literal["mse", "l1", "smooth_l1"]


def term(params: Params, student: Outputs, teacher: Outputs) -> Term:
    """Vectors (B, D_student) and (B, D_teacher); an adapter is made when the widths differ."""
    mine, theirs = (outputs.features["penultimate"] for outputs in (student, teacher))
    distance = DISTANCES[params.distance]
    adapter = nn.Identity() if mine.shape[1] == theirs.shape[1] else _adapter(mine.shape[1], theirs.shape[1]).to(mine.device)

    def loss(student: Outputs, teacher: Outputs, _: Tensor) -> Tensor:
        return distance(adapter(student.features["penultimate"]), teacher.features["penultimate"])

    return Term(loss, tuple(adapter.parameters()))


def _adapter(student: int, teacher: int) -> nn.Linear:
    adapter = nn.Linear(student, teacher, bias=False)
    with torch.no_grad():
        nn.init.eye_(adapter.weight)  # deterministic, and close to comparing what the two have in common
    return adapter
