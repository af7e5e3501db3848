"""Distillation on standardised logits: the student follows the order and spacing of the teacher's logits, not their size.

Sun, Ren, Li, Wang, Cao, "Logit Standardization in Knowledge Distillation", CVPR 2024, https://arxiv.org/abs/2403.01427
Reference: sunshangquan/logit-standardization-KD, mdistiller/distillers/KD.py, normalize and kd_loss.

    z(x) = (x - mean(x)) / (1e-7 + std(x)) over the classes of an image, std with classes - 1
    loss = T^2 / B * sum over the batch of KL(softmax(z(teacher) / T) || softmax(z(student) / T))

The source adds 9 times this, at T = 2, to 0.1 times the cross entropy; here the cross entropy always counts once.
Departs: where all logits of an image are equal the gradient is zero, and not NaN. Of two classes standardised logits say only
which one is larger.
"""

import math

import torch
from torch import Tensor

from lib.distillation.term import logits_only, refuse_other_classes
from lib.distillation.terms.kd import divergence
from lib.params.bounds import Temperature
from lib.params.section import section
from lib.training.taps import Outputs, Term, exact

SLACK = 1e-7

taps = logits_only


@section
class LskdSettings:
    """temperature: of the standardised logits, above 0; larger is softer."""

    temperature: Temperature


def standardised(logits: Tensor) -> Tensor:
    """Logits (B, classes) -> the same less their mean, over their standard deviation, image by image."""
    precise = exact(logits)
    centred = precise - precise.mean(1, keepdim=True)
    deviation: Tensor = torch.linalg.vector_norm(centred, dim=1, keepdim=True) / math.sqrt(logits.shape[1] - 1)
    return centred / (SLACK + deviation)


def term(params: LskdSettings, student: Outputs, teacher: Outputs) -> Term:
    """Raises ValueError unless both tell the same classes apart."""
    refuse_other_classes("lskd", student, teacher)

    def loss(student: Outputs, teacher: Outputs, _: Tensor) -> Tensor:
        return divergence(standardised(student.logits), standardised(teacher.logits), params.temperature)

    return Term(loss, by_image=True)
