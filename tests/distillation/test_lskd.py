"""Distillation on standardised logits: against the published formula written out, and what it does not see."""

import numpy as np
import pytest
import torch
from torch import Tensor

from lib.distillation.terms.lskd import LskdSettings, term
from lib.training.taps import Outputs
from tests import goldens

LOGITS = goldens.read("kd")["inputs"]


def _logits() -> tuple[Tensor, Tensor]:
    student, teacher = (torch.tensor(LOGITS[name], dtype=torch.float64) for name in ("student_logits", "teacher_logits"))
    return student.requires_grad_(), teacher


def _loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    made = term(LskdSettings(temperature), Outputs(student, {}), Outputs(teacher, {}))
    return made.loss(Outputs(student, {}), Outputs(teacher, {}), torch.zeros(len(student), dtype=torch.long))


def _written_out(student: np.ndarray, teacher: np.ndarray, temperature: float) -> float:
    """The paper's algorithm 1, image by image, in NumPy; its Z-score has the sample deviation, as the reference code has."""
    total = 0.0
    for pair in zip(student, teacher, strict=True):
        scores = [(row - row.mean()) / (1e-7 + row.std(ddof=1)) / temperature for row in pair]
        mine, theirs = (np.exp(row) / np.exp(row).sum() for row in scores)
        total += float((theirs * (np.log(theirs) - np.log(mine))).sum())
    return total / len(student) * temperature**2


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
def test_loss_is_the_papers(temperature: float) -> None:
    student, teacher = _logits()
    expected = _written_out(student.detach().numpy(), teacher.numpy(), temperature)
    assert _loss(student, teacher, temperature).item() == pytest.approx(expected, rel=1e-9)


def test_gradient_is_that_of_the_loss() -> None:
    student, teacher = _logits()
    assert torch.autograd.gradcheck(lambda logits: _loss(logits, teacher, 2.0), (student,))


def test_neither_the_size_nor_the_mean_of_an_images_logits_matters() -> None:
    student, teacher = _logits()
    scales = torch.linspace(0.2, 5.0, len(student), dtype=torch.float64)[:, None]
    moved = student * scales + 3.0 * scales
    assert _loss(moved, teacher, 2.0).item() == pytest.approx(_loss(student, teacher, 2.0).item(), rel=1e-5)
    assert _loss(7.0 * teacher - 1.0, teacher, 2.0).item() == pytest.approx(0.0, abs=1e-9)


def test_equal_logits_give_a_finite_loss_and_no_gradient() -> None:
    _, teacher = _logits()
    student = torch.full_like(teacher, 2.5).requires_grad_()
    loss = _loss(student, teacher, 2.0)
    loss.backward()
    assert loss.isfinite()
    assert student.grad is not None
    assert student.grad.isfinite().all()


def test_half_precision_logits_are_standardised_in_single_precision() -> None:
    student, teacher = (logits.detach().bfloat16() for logits in _logits())
    exact = _loss(student.float(), teacher.float(), 2.0)
    assert torch.equal(_loss(student, teacher, 2.0), exact)


def test_logits_of_other_classes_are_refused_with_a_cure() -> None:
    student, teacher = Outputs(torch.zeros(2, 10), {}), Outputs(torch.zeros(2, 100), {})
    with pytest.raises(ValueError, match=r"lskd compares .* \(2, 10\) and \(2, 100\); train both on one data set"):
        term(LskdSettings(temperature=2.0), student, teacher)
