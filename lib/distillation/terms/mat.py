"""MAT: every student block attends where the teacher's next blocks do, those that agree already counting most.

Reference: uuuChen/Filter-Pruning-with-Attention-Preserving-Self-Distillation, distillers_zoo/MAT.py (224d4d6), no
paper; weight 1000 and window 3 in its history.

    v_t = mean (a(F_s) - a(F_t))^2,   w = softmax over t of (-v_t / mean v),   loss = mean over s of the mean over t of w_t v_t

t runs over `window` teacher blocks from ceil(T / S) s on, cut at the last; a is the attention map of
`lib.distillation.similarity`, the student's features average-pooled to the teacher's size first; w carries no gradient.
Departs: nothing.
"""

import math

import torch
from torch import Tensor

from lib.distillation.similarity import attention, resized
from lib.distillation.term import blocks
from lib.params.bounds import Few
from lib.params.section import section
from lib.training.taps import Outputs, Term

TINY = 1e-12  # of identical maps the mean is 0

taps = blocks


@section
class MatSettings:
    """window: teacher blocks for each student block."""

    window: Few


def matching(student: Tensor, teachers: list[Tensor]) -> Tensor:
    """One student feature (B, C, H, W) against the teacher's features in its window -> scalar."""
    sizes = {theirs.shape[2:]: theirs for theirs in teachers}
    mine = {size: attention(resized(student, theirs)) for size, theirs in sizes.items()}
    values = torch.stack([(mine[theirs.shape[2:]] - attention(theirs)).square().mean() for theirs in teachers])
    fixed = values.detach()
    weights = torch.softmax(-fixed / fixed.mean().clamp_min(TINY), dim=0)
    return (weights * values).mean()


def term(params: MatSettings, student: Outputs, teacher: Outputs) -> Term:
    """Raises ValueError when a window would lie behind the teacher's last block."""
    stride = math.ceil(len(teacher.maps) / len(student.maps))
    if stride * (len(student.maps) - 1) >= len(teacher.maps):
        msg = f"mat: {len(teacher.maps)} teacher blocks do not spread over {len(student.maps)} of the student"
        msg += "; choose a teacher whose number of blocks is a multiple of the student's"
        raise ValueError(msg)

    def loss(student: Outputs, teacher: Outputs, _: Tensor) -> Tensor:
        windows = [teacher.maps[stride * s : stride * s + params.window] for s in range(len(student.maps))]
        return torch.stack([matching(mine, window) for mine, window in zip(student.maps, windows, strict=True)]).mean()

    return Term(loss)
