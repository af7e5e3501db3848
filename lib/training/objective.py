"""What a training minimises: cross entropy plus a weighted sum of distillation terms."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from lib.training.processes import gathered, share, summed
from lib.training.taps import Outputs, Tapped, Taps, Weighted

Pair = tuple[Outputs, Outputs]  # of student and teacher
Recall = Callable[[Tensor, Tensor | None], Outputs]  # images (b, C, H, W), their places in the training split -> the teacher's


@dataclass(frozen=True)
class Losses:
    """total: the weighted sum to minimise. parts: every term by itself, unweighted, for the log. logits: the student's."""

    total: Tensor
    parts: Mapping[str, Tensor]
    logits: Tensor


@dataclass(frozen=True)
class Objective:
    """Cross entropy of the student, and where a teacher is given, terms that compare the two.

    terms: by name. teacher: frozen, in eval mode. recall: is asked instead of it, and remembers what the teacher said.
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
        """Normalised images, this process's share (b, C, H, W) of a mini-batch; labels (B,) and, for `recall`, the images'
        places in the training split (B,), of the whole mini-batch. The losses are the whole mini-batch's, in every process.
        """
        own = self.student(images)
        logits = gathered(own.logits, len(labels))
        parts = {"cross_entropy": functional.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)}
        total = parts["cross_entropy"]
        if self.teacher is not None and self.terms:
            pair = own, self._teacher(self.teacher, images, indices)
            whole = pair if share().processes == 1 else self._gathered(*pair, len(labels))
            for name, part in self.terms.items():
                parts[name] = _of_all(part, pair, labels) if part.term.by_image else _loss(part, whole, labels)
                total = total + part.weight * parts[name]
        return Losses(total, parts, logits)

    def _teacher(self, teacher: Tapped, images: Tensor, indices: Tensor | None) -> Outputs:
        own = share()
        with torch.no_grad():
            if self.recall is None:
                return teacher(images)
            return self.recall(images, None if indices is None else indices[own.process :: own.processes])

    def _gathered(self, student: Outputs, teacher: Outputs, images: int) -> Pair:
        """What the terms that compare images with one another look at, of all processes."""
        looked = [part.taps for part in self.terms.values() if not part.term.by_image]
        of_student, of_teacher = (tuple(dict.fromkeys(tap for taps in looked for tap in taps[side])) for side in (0, 1))
        return _whole(student, of_student, images), _whole(teacher, of_teacher, images)


def _whole(outputs: Outputs, taps: Taps, images: int) -> Outputs:
    features = {tap: gathered(outputs.features[tap], images) for tap in taps}
    return Outputs(gathered(outputs.logits, images), features)


def _loss(part: Weighted, pair: Pair, labels: Tensor) -> Tensor:
    of_student, of_teacher = part.taps
    return part.term.loss(pair[0].only(of_student), pair[1].only(of_teacher), labels)


def _of_all(part: Weighted, pair: Pair, labels: Tensor) -> Tensor:
    """The mean over the mini-batch from the means over the shares."""
    own = share()
    if own.processes == 1:
        return _loss(part, pair, labels)
    mine = labels[own.process :: own.processes]
    return summed(_loss(part, pair, mine) * (len(mine) / len(labels)))
