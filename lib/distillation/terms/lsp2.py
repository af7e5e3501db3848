"""LSP2: every student block follows the teacher's blocks of about its own depth, by similarity of attention.

Reference: uuuChen/Filter-Pruning-with-Attention-Preserving-Self-Distillation, distillers_zoo/LSP2.py (224d4d6), no
paper; weight 300 and window 4 in its history.

    loss = mean over student blocks s of the mean over t in window(s) of mean (M(a(F_s)) - M(a(F_t)))^2

window(s) begins at max(0, s - floor((w - 1) / 2)), has w blocks and is cut at the teacher's last. Falls as 1 / B: its weight
belongs to a batch size.
Departs: a student with more blocks than the teacher is refused, where windows past the end would be empty.
"""

import torch
from torch import Tensor

from lib.distillation.similarity import attended
from lib.distillation.term import blocks
from lib.params.bounds import Few
from lib.params.section import section
from lib.training.taps import Outputs, Term

taps = blocks


@section
class Lsp2Settings:
    """window: teacher blocks for each student block; null: all of them."""

    window: Few | None


def around(block: int, window: int | None) -> slice:
    """The teacher blocks that student block number `block` follows."""
    if window is None:
        return slice(None)
    start = max(0, block - (window - 1) // 2)
    return slice(start, start + window)


def term(params: Lsp2Settings, student: Outputs, teacher: Outputs) -> Term:
    """Raises ValueError when a window would lie behind the teacher's last block."""
    last = around(len(student.maps) - 1, params.window)
    if (last.start or 0) >= len(teacher.maps):
        msg = f"lsp2: the student has {len(student.maps)} blocks and the teacher {len(teacher.maps)}; window: null follows all"
        raise ValueError(msg)

    def loss(student: Outputs, teacher: Outputs, _: Tensor) -> Tensor:
        mine, theirs = attended(student.maps), attended(teacher.maps)
        parts = [(one - theirs[around(block, params.window)]).square().mean() for block, one in enumerate(mine)]
        return torch.stack(parts).mean()

    return Term(loss)
