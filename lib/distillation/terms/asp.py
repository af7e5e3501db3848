"""ASP: similarity-preserving distillation of attention maps instead of features, at the last stage.

Reference: uuuChen/Filter-Pruning-with-Attention-Preserving-Self-Distillation, distillers_zoo/ASP.py (224d4d6), no
paper; weight 3000 in its history.

    loss = |M(a(F_student)) - M(a(F_teacher))|^2 / B^2

with a and M of `lib.distillation.similarity`. Falls as 1 / B: its weight belongs to a batch size.
Departs: nothing.
"""

from torch import Tensor

from lib.distillation.similarity import attention, similarity
from lib.distillation.term import stages
from lib.params.section import section
from lib.training.taps import Outputs, Term

taps = stages


@section
class AspSettings:
    """Nothing of its own."""


def term(params: AspSettings, student: Outputs, teacher: Outputs) -> Term:  # noqa: ARG001 (any shapes do)
    """Stages (B, C, H, W) of any channels and sizes."""

    def loss(student: Outputs, teacher: Outputs, _: Tensor) -> Tensor:
        mine, theirs = (similarity(attention(outputs.maps[-1])) for outputs in (student, teacher))
        return (mine - theirs).square().mean()

    return Term(loss)
