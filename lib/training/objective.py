"""What a training minimises: cross entropy plus a weighted sum of distillation terms."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from lib.networks.ensemble import Ensemble
from lib.networks.network import Network
from lib.training.taps import Outputs, Tapped, Taps, Weighted


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
        teacher: Network | Ensemble | None = None,
        built: Mapping[str, Weighted] | None = None,
        taps: tuple[Taps, Taps] = ((), ()),
    ) -> None:
        """built: the terms, by name. taps: all that they see of the student and of the teacher.

        The teacher is frozen: eval mode, no gradients.
        """
        self.label_smoothing = label_smoothing
        self.built = built or {}
        self.student = Tapped(student, taps[0])
        self.memory: Callable[[Tensor], Outputs] | None = None
        self.teacher = Tapped(teacher.eval().requires_grad_(requires_grad=False), taps[1]) if teacher else None

    @property
    def parameters(self) -> tuple[nn.Parameter, ...]:
        """The terms' own parameters, to be trained with the student's."""
        return tuple(parameter for part in self.built.values() for parameter in part.term.parameters)

    def __call__(self, images: Tensor, labels: Tensor, which: Tensor | None = None) -> Losses:
        """Normalised images (B, C, H, W), labels (B,); which: their places in the training split, (B,).

        `which` is used where the teacher's outputs are remembered.
        """
        student = self.student(images)
        parts = {"cross_entropy": functional.cross_entropy(student.logits, labels, label_smoothing=self.label_smoothing)}
        total = parts["cross_entropy"]
        if self.teacher is not None and self.built:
            if self.memory is not None and which is not None:
                teacher = self.memory(which)
            else:
                with torch.no_grad():
                    teacher = self.teacher(images)
            for name, part in self.built.items():
                mine, theirs = part.taps
                parts[name] = part.term.loss(student.only(mine), teacher.only(theirs), labels)
                total = total + part.weight * parts[name]
        return Losses(total, parts, student.logits)
