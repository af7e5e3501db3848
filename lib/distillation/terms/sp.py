"""SP, similarity-preserving: images that are alike to the teacher are alike to the student.

Tung, Mori, "Similarity-Preserving Knowledge Distillation", ICCV 2019, https://arxiv.org/abs/1907.09682
Reference: uuuChen/Filter-Pruning-with-Attention-Preserving-Self-Distillation, distillers_zoo/SP.py (224d4d6);
weight 3000 on CIFAR there.

    loss = sum over stages of |M(F_student) - M(F_teacher)|^2 / B^2,   M the row-normalised matrix of inner products (B, B)

Only images are compared, so channels and sizes may differ freely. B is the mini-batch's size: the loss falls as 1 / B, so the
weight belongs to a batch size.
Departs: the last `stages` stages are compared, where the paper chooses pairs; 1 is the reference.
"""

import torch
from torch import Tensor

from lib.distillation import term as parts
from lib.distillation.similarity import similarity
from lib.params.bounds import Few
from lib.params.section import section
from lib.training.taps import Outputs, Term

taps = parts.stages


@section
class SpSettings:
    """stages: how many are compared, from the last one backwards."""

    stages: Few


def preserving(student: Tensor, teacher: Tensor) -> Tensor:
    """The loss of one pair of features (B, ...)."""
    return (similarity(student) - similarity(teacher)).square().mean()


def term(params: SpSettings, student: Outputs, teacher: Outputs) -> Term:
    """Raises ValueError when a network has fewer stages than are to be compared."""
    least = min(len(student.maps), len(teacher.maps))
    if params.stages > least:
        msg = f"sp: stages must be at most {least}, the stages that both networks have, got {params.stages}"
        raise ValueError(msg)

    def loss(student: Outputs, teacher: Outputs, _: Tensor) -> Tensor:
        pairs = zip(student.maps[-params.stages :], teacher.maps[-params.stages :], strict=True)
        return torch.stack([preserving(a, b) for a, b in pairs]).sum()

    return Term(loss)
