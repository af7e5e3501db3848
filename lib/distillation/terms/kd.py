"""Knowledge distillation: the student's softened class probabilities follow the teacher's.

Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015, https://arxiv.org/abs/1503.02531
Reference: uuuChen/Filter-Pruning-with-Attention-Preserving-Self-Distillation, distillers_zoo/KD.py

    loss = T^2 / B * sum over the batch of KL(softmax(teacher / T) || softmax(student / T))

Departs: nothing. T^2 keeps the size of the gradient independent of the temperature.
"""

from torch import Tensor
from torch.nn import functional

from lib.distillation.term import logits_only, refuse_other_classes
from lib.params.bounds import Temperature
from lib.params.section import section
from lib.training.taps import Outputs, Term

taps = logits_only


@section
class KdSettings:
    """temperature: above 0; larger is softer."""

    temperature: Temperature


def divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """The loss above for logits (B, classes) -> scalar."""
    log_student = functional.log_softmax(student / temperature, dim=1)
    log_teacher = functional.log_softmax(teacher / temperature, dim=1)
    return functional.kl_div(log_student, log_teacher, reduction="batchmean", log_target=True) * temperature**2


def term(params: KdSettings, student: Outputs, teacher: Outputs) -> Term:
    """Raises ValueError unless both tell the same classes apart."""
    refuse_other_classes("kd", student, teacher)
    return Term(lambda student, teacher, _: divergence(student.logits, teacher.logits, params.temperature), by_image=True)
