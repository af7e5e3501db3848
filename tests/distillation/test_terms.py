from typing import Literal

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from lib.distillation.combination import distilled
from lib.distillation.objective import Objective
from lib.distillation.sharing import share_classifier_
from lib.distillation.term import Outputs, Tapped
from lib.distillation.terms import feature, kd
from lib.params import ParamsError
from tests.golden_cases import golden
from tests.small_networks import images, lively

GOLDEN = golden("kd")
SETTINGS = {"kd": {"temperature": 4.0}, "feature": {"distance": "mse"}}


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-7), (torch.float32, 1e-4)])
@pytest.mark.parametrize("case", GOLDEN["outputs"]["cases"], ids=lambda case: f"T{case['T']}")
def test_kd_loss_and_gradient_are_the_reference_ones(case: dict[str, object], dtype: torch.dtype, tolerance: float) -> None:
    student = torch.tensor(GOLDEN["inputs"]["student_logits"], dtype=dtype, requires_grad=True)
    teacher = torch.tensor(GOLDEN["inputs"]["teacher_logits"], dtype=dtype)
    loss = kd.divergence(student, teacher, float(str(case["T"])))
    loss.backward()
    expected = torch.tensor(case["grad_student_logits"], dtype=dtype)
    assert loss.item() == pytest.approx(case["loss"], rel=tolerance)
    assert student.grad is not None
    assert (student.grad - expected).abs().max() <= tolerance * expected.abs().max()


def logits(seed: int) -> Tensor:
    return torch.randn(6, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_kd_of_equal_logits_is_zero_and_of_others_positive(temperature: float) -> None:
    assert kd.divergence(logits(0), logits(0), temperature).item() == pytest.approx(0.0, abs=1e-12)
    assert kd.divergence(logits(0), logits(1), temperature).item() > 0


def test_kd_gradient_scale_does_not_depend_on_a_high_temperature() -> None:
    sizes = []
    for temperature in (50.0, 100.0):
        student = logits(0).requires_grad_()
        kd.divergence(student, logits(1), temperature).backward()
        assert student.grad is not None
        sizes.append(student.grad.norm().item())
    assert sizes[0] == pytest.approx(sizes[1], rel=0.05)


def test_kd_refuses_networks_of_other_classes() -> None:
    with pytest.raises(ValueError, match="one set of classes"):
        kd.term(kd.Params(4.0), Outputs(torch.zeros(2, 10), {}), Outputs(torch.zeros(2, 100), {}))


def seen(width: int, seed: int) -> Outputs:
    vector = torch.randn(3, width, generator=torch.Generator().manual_seed(seed))
    return Outputs(torch.zeros(3, 10), {"penultimate": vector})


@pytest.mark.parametrize(
    ("name", "distance"), [("mse", functional.mse_loss), ("l1", functional.l1_loss), ("smooth_l1", functional.smooth_l1_loss)]
)
def test_feature_term_is_the_mean_over_all_elements(name: Literal["mse", "l1", "smooth_l1"], distance: object) -> None:
    student, teacher = seen(8, 0), seen(8, 1)
    term = feature.term(feature.Params(name), student, teacher)
    assert callable(distance)
    expected = distance(student.features["penultimate"], teacher.features["penultimate"])
    assert term.parameters == ()
    assert torch.equal(term.loss(student, teacher, torch.zeros(3)), expected)


def test_feature_term_learns_an_adapter_when_widths_differ() -> None:
    student, teacher = seen(4, 0), seen(8, 1)
    term = feature.term(feature.Params("mse"), student, teacher)
    assert [tuple(parameter.shape) for parameter in term.parameters] == [(8, 4)]
    term.loss(student, teacher, torch.zeros(3)).backward()
    assert term.parameters[0].grad is not None


def test_tap_sees_what_feeds_the_classifier() -> None:
    for name, width in (("resnet8", 64), ("vgg11", 512)):
        network = lively(name)
        out = Tapped(network, ("penultimate",))(images(name))
        assert out.features["penultimate"].shape == (2, width)
        assert torch.allclose(network.get_submodule("classifier").float()(out.features["penultimate"]), out.logits)


def test_unknown_tap_is_refused_with_the_taps_there_are() -> None:
    with pytest.raises(ValueError, match="has no tap \\['stage9'\\]; it has: stage1"):
        Tapped(lively("resnet8"), ("stage9",))


def test_total_is_cross_entropy_plus_weighted_parts_which_are_logged_unweighted() -> None:
    student, teacher = lively("resnet8").float(), lively("resnet14", seed=1).float()
    batch, labels = images("resnet8", 6).float(), torch.arange(6)
    objective = distilled(student, teacher, {"kd": 0.9, "feature": 2.0}, SETTINGS, 0.1, batch[:2])
    losses = objective(batch, labels)
    parts = losses.parts
    assert set(parts) == {"cross_entropy", "kd", "feature"}
    assert torch.equal(parts["cross_entropy"], functional.cross_entropy(student(batch), labels, label_smoothing=0.1))
    assert torch.allclose(losses.total, parts["cross_entropy"] + 0.9 * parts["kd"] + 2.0 * parts["feature"])
    assert torch.allclose(parts["kd"], kd.divergence(student(batch), teacher(batch), 4.0))


def test_gradients_reach_the_student_only_and_the_teacher_keeps_every_bit() -> None:
    student, teacher = lively("resnet8").float(), lively("resnet14", seed=1).float().train()
    before = {key: tensor.clone() for key, tensor in teacher.state_dict().items()}
    objective = distilled(student, teacher, {"kd": 1.0}, SETTINGS, 0.0, images("resnet8").float())
    student.train()
    objective(images("resnet8", 6).float(), torch.arange(6)).total.backward()
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert all(parameter.grad is not None for parameter in student.parameters())
    assert all(torch.equal(tensor, before[key]) for key, tensor in teacher.state_dict().items())


def test_without_terms_the_loss_is_cross_entropy_alone() -> None:
    student = lively("resnet8").float()
    batch = images("resnet8", 6).float()
    losses = Objective(student, 0.0)(batch, torch.arange(6))
    assert torch.equal(losses.total, functional.cross_entropy(student(batch), torch.arange(6)))


def test_looking_at_shapes_leaves_the_student_as_it_was() -> None:
    student = lively("resnet8").float().train()
    before = {key: tensor.clone() for key, tensor in student.state_dict().items()}
    distilled(student, lively("resnet8").float(), {"kd": 1.0}, SETTINGS, 0.0, images("resnet8").float())
    assert student.training
    assert all(torch.equal(tensor, before[key]) for key, tensor in student.state_dict().items())


def test_wrong_settings_and_unknown_terms_are_refused() -> None:
    student, teacher, example = lively("resnet8").float(), lively("resnet8").float(), images("resnet8").float()
    with pytest.raises(ParamsError, match=r"kd\.temperature: is -1"):
        distilled(student, teacher, {"kd": 1.0}, {"kd": {"temperature": -1}}, 0.0, example)
    with pytest.raises(ValueError, match="has no 'magic'; there are: feature, kd"):
        distilled(student, teacher, {"magic": 1.0}, {}, 0.0, example)


def test_shared_classifier_is_a_copy_and_must_fit() -> None:
    student, teacher = lively("resnet8"), lively("resnet14", seed=1)
    share_classifier_(student, teacher)
    assert torch.equal(student.get_parameter("classifier.weight"), teacher.get_parameter("classifier.weight"))
    student.get_parameter("classifier.weight").data.zero_()
    assert teacher.get_parameter("classifier.weight").ne(0).any()
    with pytest.raises(ValueError, match="share_classifier needs equal classifiers"):
        share_classifier_(student, lively("vgg11"))
