"""What a training minimises: cross entropy plus a weighted sum of distillation terms."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from lib.training.taps import Outputs, Tapped, Weighted

Recall = Callable[[Tensor], Outputs]  # from places in the training split (B,) to what the teacher says there


@dataclass(frozen=True)
class Losses:
    """total: the weighted sum to minimise. parts: every term by itself, unweighted, for the log. logits: the student's."""

    total: Tensor
    parts: Mapping[str, Tensor]
    logits: Tensor


@dataclass(frozen=True)
class Objective:
    """Cross entropy of the student, and where a teacher is given, terms that compare the two.

    terms: by name. teacher: frozen, in eval mode. recall: the teacher's outputs, remembered, instead of computed.
    """

    student: Tapped
    label_smoothing: float
    terms: Mapping[str, Weighted] = field(default_factory=dict)
    teacher: Tapped | None = None
    recall: Recall | None = None

    @property
    def parameters(self) -> tuple[nn.Parameter, ...]:
        """The terms' own parameters, to be trained with the student's."""
        return tuple(parameter for part in self.terms.values() for parameter in part.term.parameters)

    def __call__(self, images: Tensor, labels: Tensor, indices: Tensor | None = None) -> Losses:
        """Normalised images (B, C, H, W), labels (B,); indices: their places in the training split, (B,), for `recall`."""
        student = self.student(images)
        parts = {"cross_entropy": functional.cross_entropy(student.logits, labels, label_smoothing=self.label_smoothing)}
        total = parts["cross_entropy"]
        if self.teacher is not None and self.terms:
            teacher = self._teacher(self.teacher, images, indices)
            for name, part in self.terms.items():
                of_student, of_teacher = part.taps
                parts[name] = part.term.loss(student.only(of_student), teacher.only(of_teacher), labels)
                total = total + part.weight * parts[name]
        return Losses(total, parts, student.logits)

    def _teacher(self, teacher: Tapped, images: Tensor, indices: Tensor | None) -> Outputs:
        if self.recall is not None and indices is not None:
            return self.recall(indices)
        with torch.no_grad():
            return teacher(images)
