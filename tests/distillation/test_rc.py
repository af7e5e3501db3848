"""RC, masked filter modelling, and how KDFS weighs it, against recorded values of the reference implementation."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from lib.distillation.terms.kd import divergence
from lib.distillation.terms.rc import RcSettings, term
from lib.training.taps import Outputs, Term
from tests.goldens import read, relative_error

GOLDEN = read("kdfs_losses")
INPUTS, EXPECTED, PARAMS = GOLDEN["inputs"], GOLDEN["outputs"], GOLDEN["params"]
LABELS = torch.tensor(INPUTS["targets"])


def double(values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def outputs(side: str) -> Outputs:
    taps = {
        f"stage{number}": double(one).requires_grad_(side == "student") for number, one in enumerate(INPUTS[f"{side}_taps"], 1)
    }
    return Outputs(double(INPUTS[f"{side}_logits"]).requires_grad_(side == "student"), taps)


def with_decoders(student: Outputs, teacher: Outputs) -> Term:
    """The term with the decoders of the file: weight and bias of each stage in turn."""
    made = term(RcSettings(), student, teacher)
    recorded = [double(decoder[name]) for decoder in INPUTS["decoders"] for name in ("W", "b")]
    with torch.no_grad():
        for parameter, values in zip(made.parameters, recorded, strict=True):
            parameter.copy_(values.view(parameter.shape))
    return made


def test_loss_and_gradients_are_those_of_the_reference() -> None:
    student, teacher = outputs("student"), outputs("teacher")
    made = with_decoders(student, teacher)
    loss = made.loss(student, teacher, LABELS)
    assert float(loss.detach()) == pytest.approx(sum(EXPECTED["rc"]) / 3, rel=1e-7)
    (3 * loss).backward()
    for tap, gradient in zip(student.features.values(), EXPECTED["grad_rc_student_taps"], strict=True):
        assert tap.grad is not None
        assert relative_error(tap.grad, double(gradient)) < 1e-6
    for index, name in ((0, "grad_rc_decoder_W"), (1, "grad_rc_decoder_b")):
        for parameter, gradient in zip(made.parameters[index::2], EXPECTED[name], strict=True):
            assert parameter.grad is not None
            assert relative_error(parameter.grad.flatten(), double(gradient).flatten()) < 1e-6


def test_decoders_start_as_none_at_all() -> None:
    student, teacher = outputs("student"), outputs("teacher")
    loss = term(RcSettings(), student, teacher).loss(student, teacher, LABELS)
    assert float(loss.detach()) == pytest.approx(sum(EXPECTED["rc_without_decoder"]) / 3, rel=1e-7)


def test_the_sources_total_from_our_parts() -> None:
    student, teacher = outputs("student"), outputs("teacher")
    parts = {
        "ce": functional.cross_entropy(student.logits, LABELS),
        "kd": divergence(student.logits, teacher.logits, PARAMS["T"]),
        "rc": with_decoders(student, teacher).loss(student, teacher, LABELS),
    }
    penalty = (INPUTS["flops"] / PARAMS["flops_base"] - PARAMS["r"]) ** 2
    total = (
        parts["ce"] + PARAMS["lambda_kd"] * parts["kd"] + PARAMS["lambda_rc"] * parts["rc"] + PARAMS["lambda_mask"] * penalty
    )
    assert float(parts["ce"].detach()) == pytest.approx(EXPECTED["ce"], rel=1e-7)
    assert float(parts["kd"].detach()) == pytest.approx(EXPECTED["kd"], rel=1e-7)
    assert float(total.detach()) == pytest.approx(EXPECTED["total"], rel=1e-7)
    (gradient,) = torch.autograd.grad(parts["kd"], student.logits)
    assert relative_error(gradient, double(EXPECTED["grad_kd_student_logits"])) < 1e-7


def test_equal_stages_cost_nothing_and_scale_is_not_seen() -> None:
    student, teacher = outputs("student"), outputs("teacher")
    made = term(RcSettings(), student, teacher)
    same = Outputs(teacher.logits, {name: 3.0 * tap.detach() for name, tap in student.features.items()})
    assert float(made.loss(student, same, LABELS).detach()) == pytest.approx(0.0, abs=1e-15)
    scaled = Outputs(student.logits, {name: 0.2 * tap for name, tap in student.features.items()})
    values = [float(made.loss(one, teacher, LABELS).detach()) for one in (student, scaled)]
    assert values[0] == pytest.approx(values[1], rel=1e-9)
    assert 0.0 < values[0] <= 2 / 16  # at most 2 / (H W)


def test_stages_of_other_sizes_are_refused_with_their_shapes() -> None:
    student, teacher = outputs("student"), outputs("teacher")
    wrong = Outputs(teacher.logits, dict(teacher.features) | {"stage2": torch.zeros(4, 3, 2, 2)})
    with pytest.raises(ValueError, match=r"stage2 needs equal .*student \(4, 4\) and teacher \(2, 2\)"):
        term(RcSettings(), student, wrong)
