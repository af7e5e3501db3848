"""Knowledge distillation against recorded losses and gradients, and what a temperature promises."""

from typing import Any

import pytest
import torch
from torch import Tensor

from lib.distillation.terms.kd import KdSettings, divergence, term
from lib.params.section import ParamsError, read
from lib.training.taps import Outputs
from tests import goldens

RECORDED = goldens.read("kd")
LOGITS = RECORDED["inputs"]


def _logits(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    student, teacher = (torch.tensor(LOGITS[name], dtype=dtype) for name in ("student_logits", "teacher_logits"))
    return student.requires_grad_(), teacher


@pytest.mark.parametrize(("dtype", "loss_error", "gradient_error"), [(torch.float64, 1e-7, 1e-7), (torch.float32, 1e-5, 1e-4)])
@pytest.mark.parametrize("case", RECORDED["outputs"]["cases"], ids=lambda case: f"T{case['T']}")
def test_loss_and_gradient_are_those_of_the_reference(
    case: dict[str, Any], dtype: torch.dtype, loss_error: float, gradient_error: float
) -> None:
    student, teacher = _logits(dtype)
    loss = divergence(student, teacher, case["T"])
    loss.backward()
    assert student.grad is not None
    assert loss.item() == pytest.approx(case["loss"], rel=loss_error)
    expected = torch.tensor(case["grad_student_logits"], dtype=dtype)
    assert goldens.relative_error(student.grad, expected) < gradient_error


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0, 20.0])
def test_a_student_that_agrees_has_no_loss_and_no_gradient(temperature: float) -> None:
    _, teacher = _logits()
    student = teacher.clone().requires_grad_()
    loss = divergence(student, teacher, temperature)
    loss.backward()
    assert student.grad is not None
    assert loss.item() == pytest.approx(0.0, abs=1e-12)
    assert student.grad.abs().max() < 1e-12


def test_disagreement_costs_and_is_not_symmetric() -> None:
    student, teacher = _logits()
    there, back = divergence(student, teacher, 4.0).item(), divergence(teacher, student, 4.0).item()
    assert min(there, back) > 0.1
    assert there != pytest.approx(back, rel=1e-3)


def test_loss_sees_neither_a_shift_of_all_logits_nor_a_common_scale_of_logits_and_temperature() -> None:
    student, teacher = _logits()
    loss = divergence(student, teacher, 4.0).item()
    assert divergence(student + 3.0, teacher - 7.0, 4.0).item() == pytest.approx(loss, rel=1e-12)
    # T^2 alone is left when logits and temperature grow together.
    assert divergence(3 * student, 3 * teacher, 12.0).item() == pytest.approx(9 * loss, rel=1e-12)


def test_gradient_at_high_temperature_does_not_depend_on_it() -> None:
    # The limit of Hinton et al., section 2.1: (centred student - centred teacher) / (batch * classes).
    student, teacher = _logits()
    expected = (student - student.mean(1, keepdim=True) - teacher + teacher.mean(1, keepdim=True)).detach() / student.numel()
    for temperature in (1e4, 1e5):
        (gradient,) = torch.autograd.grad(divergence(student, teacher, temperature), student)
        assert goldens.relative_error(gradient, expected) < 2e-3


def test_loss_is_the_mean_over_the_batch() -> None:
    student, teacher = _logits()
    single = [divergence(student[i : i + 1], teacher[i : i + 1], 3.0).item() for i in range(len(student))]
    assert divergence(student, teacher, 3.0).item() == pytest.approx(sum(single) / len(single), rel=1e-12)


def test_extreme_logits_give_a_finite_loss_and_gradient() -> None:
    student = torch.tensor([[1000.0, -1000.0, 0.0]], requires_grad=True)
    loss = divergence(student, torch.tensor([[-1000.0, 1000.0, 0.0]]), 1.0)
    loss.backward()
    assert student.grad is not None
    assert loss.item() == pytest.approx(2000.0)
    assert student.grad.isfinite().all()


def test_term_compares_logits_at_its_temperature_and_trains_nothing_of_its_own() -> None:
    student, teacher = _logits()
    found = term(KdSettings(temperature=3.0), Outputs(student, {}), Outputs(teacher, {}))
    loss = found.loss(Outputs(2 * student, {}), Outputs(teacher, {}), torch.zeros(len(student), dtype=torch.long))
    assert torch.equal(loss, divergence(2 * student, teacher, 3.0))
    assert found.parameters == ()


def test_logits_of_other_classes_are_refused_with_a_cure() -> None:
    student, teacher = Outputs(torch.zeros(2, 10), {}), Outputs(torch.zeros(2, 100), {})
    with pytest.raises(
        ValueError, match=r"got student and teacher logits \(2, 10\) and \(2, 100\); train both on one data set"
    ):
        term(KdSettings(temperature=4.0), student, teacher)


@pytest.mark.parametrize("temperature", [0.0, -1.0])
def test_temperature_must_be_above_zero(temperature: float) -> None:
    with pytest.raises(ParamsError, match=r"kd\.temperature"):
        read({"kd": {"temperature": temperature}}, "kd", KdSettings)
