"""LSP: all student blocks and the student's logits follow the teacher's last blocks and its logits, by similarity.

Reference: uuuChen/Filter-Pruning-with-Attention-Preserving-Self-Distillation, distillers_zoo/LSP.py (224d4d6), no
paper; weight 300 in its history.

    loss = [ mean (M(z_student) - M(z_teacher))^2 + sum over student blocks s of mean over t of (M(a(F_s)) - M_t)^2 ] / (S + 1)

M_t are the similarity matrices of the teacher's last `teacher_maps` - 1 attention maps and of its logits, which are made unit
vectors first. Falls as 1 / B: its weight belongs to a batch size.
Departs: nothing.
"""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from lib.distillation.similarity import attended, similarity
from lib.distillation.term import blocks
from lib.params.bounds import Few
from lib.params.section import section
from lib.training.taps import Outputs, Term

taps = blocks


@section
class LspSettings:
    """teacher_maps: how many are followed: the last blocks, and the logits as one more."""

    teacher_maps: Annotated[Few, Field(ge=2)]


def of_logits(outputs: Outputs) -> Tensor:
    """The similarity matrix (B, B) of logits as unit vectors."""
    return similarity(functional.normalize(outputs.logits, dim=1))


def term(params: LspSettings, student: Outputs, teacher: Outputs) -> Term:  # noqa: ARG001 (the student's blocks are all taken)
    """Raises ValueError when the teacher has fewer blocks than are to be followed."""
    if params.teacher_maps - 1 > len(teacher.maps):
        msg = (
            f"lsp: teacher_maps must be at most {len(teacher.maps) + 1}, the teacher's blocks and 1, got {params.teacher_maps}"
        )
        raise ValueError(msg)

    def loss(student: Outputs, teacher: Outputs, _: Tensor) -> Tensor:
        theirs = of_logits(teacher)
        targets = torch.cat([attended(teacher.maps[-(params.teacher_maps - 1) :]), theirs[None]])
        mine = attended(student.maps)
        by_block = (mine[:, None] - targets[None]).square().mean((1, 2, 3)).sum()
        return ((of_logits(student) - theirs).square().mean() + by_block) / (len(mine) + 1)

    return Term(loss)
