"""HAP, attention-preserving: images attended to alike in the teacher's last blocks are so in all blocks of the student.

The distiller of https://github.com/uuuChen/Filter-Pruning-with-Attention-Preserving-Self-Distillation
Reference: that repository, distillers_zoo/MSP.py (224d4d6), called msp in its code; weight 700 at a mini-batch of 128 there.

    loss = mean over student blocks s and teacher blocks t of |M(a(F_s)) - M(a(F_t))|^2 / B^2

a is the attention map and M the similarity matrix of `lib.distillation.similarity`; t runs over the last `teacher_blocks`.
Only images are compared, so blocks of any size are. The loss lies in [0, 2 / B] and falls as 1 / B: its weight belongs to a
batch size.
Departs: nothing.
"""

from torch import Tensor

from lib.distillation.similarity import attended
from lib.distillation.term import blocks
from lib.params.bounds import Few
from lib.params.section import section
from lib.training.taps import Outputs, Term

taps = blocks


@section
class HapSettings:
    """teacher_blocks: how many are followed, from the last one backwards."""

    teacher_blocks: Few


def preserving(student: Tensor, teacher: Tensor) -> Tensor:
    """Similarity matrices (S, B, B) and (T, B, B) -> the mean of their squared differences over all pairs."""
    return (student[:, None] - teacher[None]).square().mean()


def term(params: HapSettings, student: Outputs, teacher: Outputs) -> Term:  # noqa: ARG001 (the student's blocks are all taken)
    """Raises ValueError when the teacher has fewer blocks than are to be followed."""
    if params.teacher_blocks > len(teacher.maps):
        msg = f"hap: teacher_blocks must be at most {len(teacher.maps)}, the teacher's blocks, got {params.teacher_blocks}"
        raise ValueError(msg)

    def loss(student: Outputs, teacher: Outputs, _: Tensor) -> Tensor:
        return preserving(attended(student.maps), attended(teacher.maps[-params.teacher_blocks :]))

    return Term(loss)
