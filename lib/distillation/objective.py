"""What a training minimises: cross entropy plus a weighted sum of distillation terms."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from lib.distillation.term import Tapped, Term
from lib.networks.network import Network


@dataclass(frozen=True)
class Losses:
    """total: the weighted sum to minimise. parts: every term by itself, unweighted, for the log. logits: the student's."""

    total: Tensor
    parts: Mapping[str, Tensor]
    logits: Tensor


class Objective:
    """Cross entropy of the student, and where a teacher is given, terms that compare the two."""

    def __init__(
        self,
        student: Network,
        label_smoothing: float,
        teacher: Network | None = None,
        built: Mapping[str, tuple[float, Term]] | None = None,
        taps: tuple[str, ...] = (),
    ) -> None:
        """built: the terms with their weights, by name. The teacher is frozen: eval mode, no gradients."""
        self.label_smoothing = label_smoothing
        self.built = built or {}
        self.student = Tapped(student, taps)
        self.teacher = Tapped(teacher.eval().requires_grad_(requires_grad=False), taps) if teacher else None

    @property
    def parameters(self) -> tuple[nn.Parameter, ...]:
        """The terms' own parameters, to be trained with the student's."""
        return tuple(parameter for _, term in self.built.values() for parameter in term.parameters)

    def __call__(self, images: Tensor, labels: Tensor) -> Losses:
        """Normalised images (B, C, H, W), labels (B,)."""
        student = self.student(images)
        parts = {"cross_entropy": functional.cross_entropy(student.logits, labels, label_smoothing=self.label_smoothing)}
        total = parts["cross_entropy"]
        if self.teacher is not None and self.built:
            with torch.no_grad():
                teacher = self.teacher(images)
            for name, (weight, term) in self.built.items():
                parts[name] = term.loss(student, teacher, labels)
                total = total + weight * parts[name]
        return Losses(total, parts, student.logits)
