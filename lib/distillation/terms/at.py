"""AT, attention transfer: stage by stage the student attends where the teacher does.

Zagoruyko, Komodakis, "Paying More Attention to Attention", ICLR 2017, https://arxiv.org/abs/1612.03928
Reference: uuuChen/Filter-Pruning-with-Attention-Preserving-Self-Distillation, distillers_zoo/AT.py (224d4d6);
weight 1000 on CIFAR there.

    loss = sum over stages of mean over images and positions of (a(F_student) - a(F_teacher))^2

a is the attention map of `lib.distillation.similarity`. Of maps of different sizes the larger one is average-pooled first.
All stages count: three in a ResNet for CIFAR, as in the reference, and four in one for ImageNet.
Departs: nothing from the reference, whose mean of squares differs from the paper's norm.
"""

import torch
from torch import Tensor

from lib.distillation.similarity import attention, paired, same_size
from lib.distillation.term import stages
from lib.params.section import section
from lib.training.taps import Outputs, Term

taps = stages


@section
class AtSettings:
    """Nothing of its own."""


def transfer(student: Tensor, teacher: Tensor) -> Tensor:
    """The loss of one pair of features (B, C, H, W), any channels and sizes."""
    mine, theirs = same_size(student, teacher)
    return (attention(mine) - attention(theirs)).square().mean()


def term(params: AtSettings, student: Outputs, teacher: Outputs) -> Term:  # noqa: ARG001 (nothing to set)
    """Raises ValueError unless both networks have equally many stages."""
    paired(student.maps, teacher.maps, "at")

    def loss(student: Outputs, teacher: Outputs, _: Tensor) -> Tensor:
        return torch.stack([transfer(a, b) for a, b in zip(student.maps, teacher.maps, strict=True)]).sum()

    return Term(loss, by_image=True)
