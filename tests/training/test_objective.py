"""What a training minimises: the weighted sum, its parts, and a teacher that nothing changes."""

import copy
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from lib.distillation.building import distilled
from lib.distillation.terms.kd import divergence
from lib.networks import build
from lib.networks.architecture import Architecture
from lib.networks.network import Network
from lib.params.section import ParamsError
from lib.randomness import stream
from lib.training.objective import Objective
from lib.training.taps import Tapped

SETTINGS: Mapping[str, Any] = {"kd": {"temperature": 4.0}, "feature": {"where": "penultimate", "distance": "mse"}}
WEIGHTS = {"kd": 0.5, "feature": 3.0}


def _network(seed: int, name: str = "resnet8", classes: int = 10) -> Network:
    return build(Architecture(name, classes, 3), stream(seed, "initialisation"))


def _batch(name: str = "resnet8") -> tuple[Tensor, Tensor]:
    size = 32 if name.startswith("vgg") else 8
    images = torch.randn(6, 3, size, size, generator=stream(0, "images"))
    return images, torch.randint(0, 10, (6,), generator=stream(0, "labels"))


def _distilled(
    student: Network, teacher: Network, weights: Mapping[str, float] = WEIGHTS, smoothing: float = 0.0
) -> Objective:
    return distilled(student, teacher, weights, SETTINGS, smoothing, _batch(student.architecture.name)[0][:2])


def _narrower() -> Network:
    """A resnet8 whose last stage, and so what feeds its classifier, has 48 channels."""
    narrow = Architecture("resnet8", 10, 3).with_kept({"layer3.0.conv2": tuple(range(48))}, "coupled")
    return build(narrow, stream(0, "initialisation"))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_without_a_teacher_the_loss_is_the_cross_entropy(smoothing: float) -> None:
    network = _network(0)
    images, labels = _batch()
    losses = Objective(Tapped(network), smoothing)(images, labels)
    expected = functional.cross_entropy(losses.logits, labels, label_smoothing=smoothing)
    assert torch.equal(losses.total, expected)
    assert list(losses.parts) == ["cross_entropy"]


@pytest.mark.parametrize("name", ["resnet8", "vgg11"])
def test_total_is_cross_entropy_plus_the_weighted_terms_and_parts_are_unweighted(name: str) -> None:
    student, teacher = _network(0, name).eval(), _network(1, name)
    images, labels = _batch(name)
    losses = _distilled(student, teacher, smoothing=0.1)(images, labels)
    with torch.no_grad():
        both = [Tapped(network, ("penultimate",))(images) for network in (student, teacher)]
    mine, theirs = both
    expected = {
        "cross_entropy": functional.cross_entropy(mine.logits, labels, label_smoothing=0.1),
        "kd": divergence(mine.logits, theirs.logits, 4.0),
        "feature": functional.mse_loss(mine.features["penultimate"], theirs.features["penultimate"]),
    }
    assert losses.parts.keys() == expected.keys()
    for part, value in expected.items():
        torch.testing.assert_close(losses.parts[part].detach(), value)
    total = expected["cross_entropy"] + 0.5 * expected["kd"] + 3.0 * expected["feature"]
    torch.testing.assert_close(losses.total.detach(), total)
    torch.testing.assert_close(losses.logits.detach(), mine.logits)


def test_term_of_weight_zero_is_logged_but_not_minimised() -> None:
    losses = _distilled(_network(0), _network(1), {"kd": 0.0})(*_batch())
    assert losses.parts["kd"] > 0
    assert torch.equal(losses.total, losses.parts["cross_entropy"])


def test_feature_is_the_vector_that_the_classifier_reads() -> None:
    network = _network(0).eval()
    found = Tapped(network, ("penultimate",))(_batch()[0])
    assert found.features["penultimate"].shape == (6, 64)
    torch.testing.assert_close(network.get_submodule("classifier")(found.features["penultimate"]), found.logits)


def test_a_step_changes_the_student_and_no_bit_of_the_teacher() -> None:
    student, teacher = _network(0).train(), _network(1).train()
    with torch.no_grad():
        teacher(_batch()[0])  # gives its batch norms statistics of their own
    before, start = copy.deepcopy(teacher.state_dict()), copy.deepcopy(student.state_dict())
    objective = _distilled(student, teacher)
    optimizer = torch.optim.SGD([*student.parameters(), *objective.parameters], lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        objective(*_batch()).total.backward()
        optimizer.step()
    assert all(torch.equal(tensor, before[name]) for name, tensor in teacher.state_dict().items())
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in teacher.parameters())
    assert not teacher.training
    assert not any(torch.equal(tensor, start[name]) for name, tensor in student.state_dict().items())


@pytest.mark.parametrize("training", [True, False])
def test_building_an_objective_leaves_the_student_as_it_was(training: bool) -> None:
    student = _network(0).train(training)
    before = copy.deepcopy(student.state_dict())
    _distilled(student, _network(1))
    assert student.training == training
    assert all(torch.equal(tensor, before[name]) for name, tensor in student.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in student.parameters())


def test_adapter_of_a_narrower_student_is_trained_with_it() -> None:
    student = _narrower()
    objective = _distilled(student, _network(1), {"feature": 1.0})
    (adapter,) = objective.parameters
    assert adapter.shape == (64, 48)
    start = adapter.detach().clone()
    optimizer = torch.optim.SGD([*student.parameters(), *objective.parameters], lr=0.1)
    objective(*_batch()).total.backward()
    optimizer.step()
    assert not torch.equal(adapter, start)
    assert not any(parameter is adapter for parameter in student.parameters())


def test_equal_widths_need_no_parameters() -> None:
    assert _distilled(_network(0), _network(1)).parameters == ()


def test_term_is_named_with_those_there_are_when_it_is_unknown() -> None:
    with pytest.raises(ValueError, match=r"has no 'attention'; there are: afd, asp, at, feature, hap, kd"):
        _distilled(_network(0), _network(1), {"attention": 1.0})


def test_wrong_settings_of_a_term_are_refused() -> None:
    with pytest.raises(ParamsError, match=r"kd\.temperature"):
        distilled(_network(0), _network(1), {"kd": 1.0}, {"kd": {"temperature": 0.0}}, 0.0, _batch()[0])


def test_teacher_of_other_classes_is_refused_for_kd() -> None:
    with pytest.raises(ValueError, match="compares logits of one set of classes"):
        _distilled(_network(0), _network(1, classes=100), {"kd": 1.0})


def test_tap_that_a_network_lacks_is_refused_with_those_it_has() -> None:
    there = "stage1, stage2, stage3, block1, block2, block3, penultimate"
    with pytest.raises(ValueError, match=rf"resnet8 has no tap stage4; it has: {there}, or a module's name$"):
        Tapped(_network(0), ("stage1", "stage4"))
