"""AT, SP, HAP and AFD against recorded losses and gradients of the public reference implementations."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from lib.distillation.similarity import attended, similarity
from lib.distillation.terms import afd, at, hap, sp
from tests.goldens import read, relative_error

EXACT, SINGLE = (torch.float64, 1e-7, 1e-7), (torch.float32, 1e-5, 1e-4)
Maps = list[Tensor]


def features(case: str, dtype: torch.dtype) -> tuple[Maps, Maps]:
    inputs = read(case)["inputs"]
    student, teacher = ([torch.tensor(one, dtype=dtype) for one in inputs[side]] for side in ("student", "teacher"))
    return [one.requires_grad_() for one in student], teacher


LOSSES: dict[str, Callable[[Maps, Maps], Tensor]] = {
    "at": lambda student, teacher: torch.stack([at.transfer(a, b) for a, b in zip(student, teacher, strict=True)]).sum(),
    "sp": lambda student, teacher: torch.stack([sp.preserving(a, b) for a, b in zip(student, teacher, strict=True)]).sum(),
    "hap": lambda student, teacher: hap.preserving(attended(student), attended(teacher)),
}


@pytest.mark.parametrize(("dtype", "loss_error", "gradient_error"), [EXACT, SINGLE])
@pytest.mark.parametrize("case", LOSSES)
def test_loss_and_gradient(case: str, dtype: torch.dtype, loss_error: float, gradient_error: float) -> None:
    student, teacher = features(case, dtype)
    loss = LOSSES[case](student, teacher)
    loss.backward()
    expected = read(case)["outputs"]
    assert loss.item() == pytest.approx(expected["loss"], rel=loss_error)
    for one, gradient in zip(student, expected["grad_student"], strict=True):
        assert one.grad is not None
        assert relative_error(one.grad, torch.tensor(gradient, dtype=dtype)) < gradient_error


@pytest.mark.parametrize(("case", "pair"), [("at", at.transfer), ("sp", sp.preserving)])
def test_every_pair_by_itself(case: str, pair: Callable[[Tensor, Tensor], Tensor]) -> None:
    student, teacher = features(case, torch.float64)
    values = [pair(a, b).item() for a, b in zip(student, teacher, strict=True)]
    assert values == pytest.approx(read(case)["outputs"]["per_pair"], rel=1e-7)


def test_hap_of_every_pair_and_its_similarity_matrices() -> None:
    student, teacher = features("hap", torch.float64)
    expected = read("hap")["outputs"]
    mine, theirs = attended(student).detach(), attended(teacher)
    assert relative_error(mine, torch.tensor(expected["similarity_student"], dtype=torch.float64)) < 1e-7
    assert relative_error(theirs, torch.tensor(expected["similarity_teacher"], dtype=torch.float64)) < 1e-7
    pairs = [[hap.preserving(a[None], b[None]).item() for b in theirs] for a in mine]
    for got, row in zip(pairs, expected["pair_matrix"], strict=True):
        assert got == pytest.approx(row, rel=1e-7)


def project(projection: torch.nn.Module, recorded: dict[str, Any], weight: str, bias: str) -> None:
    state = {"0.weight": recorded[weight], "0.bias": recorded[bias], "1.weight": recorded["bn_gamma"]}
    state["1.bias"] = recorded["bn_beta"]
    projection.load_state_dict({name: torch.tensor(values, dtype=torch.float64) for name, values in state.items()})


def recorded_attention() -> afd.Attention:
    parameters = read("afd")["inputs"]["parameters"]
    student, teacher = features("afd", torch.float64)
    made = afd.Attention([one.shape[1] for one in student], [one.shape[1] for one in teacher], 4).double()
    for module, one in zip([*made.queries, *made.keys], [*parameters["query"], *parameters["key"]], strict=True):
        project(module, one, "W", "b")
    project(made.bilinear, parameters["bilinear"], "W", "b")
    with torch.no_grad():
        made.positions_teacher.copy_(torch.tensor(parameters["P_T"]))
        made.positions_student.copy_(torch.tensor(parameters["P_S"]))
    return made


def test_afd_logits_attention_loss_and_gradients() -> None:
    student, teacher = features("afd", torch.float64)
    expected = read("afd")["outputs"]
    made = recorded_attention()
    logits = made.logits(student, teacher)
    assert relative_error(logits.detach(), torch.tensor(expected["logit"], dtype=torch.float64)) < 1e-7
    share = torch.softmax(logits, dim=2).detach()
    assert relative_error(share, torch.tensor(expected["attention"], dtype=torch.float64)) < 1e-7
    loss = made(student, teacher)
    loss.backward()
    assert loss.item() == pytest.approx(expected["loss"], rel=1e-7)
    gradients = {
        "grad_P_T": made.positions_teacher.grad,
        "grad_P_S": made.positions_student.grad,
        "grad_bilinear_W": made.bilinear[0].weight.grad,
    }
    for name, gradient in gradients.items():
        assert isinstance(gradient, Tensor)
        assert relative_error(gradient, torch.tensor(expected[name], dtype=torch.float64)) < 1e-6
    for one, recorded in zip(student, expected["grad_student"], strict=True):
        assert one.grad is not None
        assert relative_error(one.grad, torch.tensor(recorded, dtype=torch.float64)) < 1e-6


def test_afd_of_resnet56_has_as_many_parameters_as_the_reference() -> None:
    channels = [16] * 9 + [32] * 9 + [64] * 9
    made = afd.Attention(channels, channels, 128)
    assert sum(parameter.numel() for parameter in made.parameters()) == 738_432
    assert sum(parameter.numel() for parameter in made.bilinear.parameters()) == 452_736


def test_similarity_rows_have_unit_length() -> None:
    assert similarity(torch.randn(5, 3, 4, 4)).norm(dim=1).tolist() == pytest.approx([1.0] * 5)
