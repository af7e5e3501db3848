"""Feature distillation: the three distances, whom the gradient reaches, and the adapter between unequal widths."""

import pytest
import torch
from torch import Tensor, nn

from lib.distillation.terms.feature import FeatureSettings, taps, term
from lib.params.section import ParamsError, read
from lib.training.taps import Outputs, Term
from tests.networks_for_tests import lived_in

DISTANCES = {"mse": nn.MSELoss(), "l1": nn.L1Loss(), "smooth_l1": nn.SmoothL1Loss(beta=1.0)}
LABELS = torch.zeros(4, dtype=torch.long)


def _vectors(width: int, seed: int) -> Tensor:
    """(4, width), some differences above 1 and some below, where smooth_l1 changes."""
    return 2 * torch.randn(4, width, generator=torch.Generator().manual_seed(seed))


def _outputs(vectors: Tensor) -> Outputs:
    return Outputs(torch.zeros(len(vectors), 10), {"penultimate": vectors})


def _term(student: int, teacher: int, distance: str = "mse") -> Term:
    params = read({"feature": {"where": "penultimate", "distance": distance}}, "feature", FeatureSettings)
    return term(params, _outputs(torch.zeros(2, student)), _outputs(torch.zeros(2, teacher)))


@pytest.mark.parametrize("distance", DISTANCES)
def test_distance_is_the_one_of_torch_averaged_over_all_elements(distance: str) -> None:
    student, teacher = _vectors(6, 1), _vectors(6, 2)
    found = _term(6, 6, distance).loss(_outputs(student), _outputs(teacher), LABELS)
    torch.testing.assert_close(found, DISTANCES[distance](student, teacher))


def test_the_distances_are_what_their_names_say() -> None:
    student, teacher = torch.tensor([[0.5, 3.0]]), torch.tensor([[0.0, 0.0]])
    found = {name: _term(2, 2, name).loss(_outputs(student), _outputs(teacher), LABELS).item() for name in DISTANCES}
    assert found == {"mse": (0.25 + 9.0) / 2, "l1": (0.5 + 3.0) / 2, "smooth_l1": (0.125 + 2.5) / 2}


def test_gradient_pulls_the_student_to_the_teacher() -> None:
    student, teacher = _vectors(6, 1).requires_grad_(), _vectors(6, 2)
    _term(6, 6).loss(_outputs(student), _outputs(teacher), LABELS).backward()
    assert student.grad is not None
    torch.testing.assert_close(student.grad, 2 * (student.detach() - teacher) / student.numel())


@pytest.mark.parametrize(("student", "teacher"), [(6, 6), (4, 6), (6, 4)])
def test_adapter_is_made_only_where_the_widths_differ(student: int, teacher: int) -> None:
    shapes = [tuple(parameter.shape) for parameter in _term(student, teacher).parameters]
    assert shapes == ([] if student == teacher else [(teacher, student)])


@pytest.mark.parametrize(("student", "teacher"), [(4, 6), (6, 4)])
def test_adapter_starts_by_comparing_what_the_two_have_in_common(student: int, teacher: int) -> None:
    mine, theirs = _vectors(student, 1), _vectors(teacher, 2)
    both = min(student, teacher)
    aligned = torch.zeros_like(theirs)
    aligned[:, :both] = mine[:, :both]
    found = _term(student, teacher).loss(_outputs(mine), _outputs(theirs), LABELS)
    torch.testing.assert_close(found, nn.functional.mse_loss(aligned, theirs))


def test_adapter_learns_to_translate_the_student() -> None:
    mine = _vectors(4, 1)
    theirs = torch.cat([mine.flip(1), mine[:, :2]], 1)  # (4, 6), a linear image of the student's
    found = _term(4, 6)
    optimizer = torch.optim.Adam(found.parameters, lr=0.1)
    start = found.loss(_outputs(mine), _outputs(theirs), LABELS).item()
    for _ in range(200):
        optimizer.zero_grad()
        loss = found.loss(_outputs(mine), _outputs(theirs), LABELS)
        loss.backward()
        optimizer.step()
    assert loss.item() < 1e-3 * start


def test_term_looks_at_what_feeds_the_classifier() -> None:
    network = lived_in("resnet8")
    assert taps(FeatureSettings("penultimate", "mse"), network) == ("penultimate",)
    assert taps(FeatureSettings("stages", "mse"), network) == ("stage1", "stage2", "stage3")


def test_stages_are_summed_each_adapted_and_at_the_smaller_size() -> None:
    shapes = [(4, 6, 8), (6, 6, 4), (8, 12, 4)]  # channels of the student and of the teacher, size of the student
    mine = {f"stage{n}": torch.randn(2, a, size, size) for n, (a, _, size) in enumerate(shapes)}
    theirs = {f"stage{n}": torch.randn(2, b, 4, 4) for n, (_, b, _) in enumerate(shapes)}
    student, teacher = (Outputs(torch.zeros(2, 10), features) for features in (mine, theirs))
    found = term(FeatureSettings("stages", "mse"), student, teacher)
    assert [tuple(parameter.shape) for parameter in found.parameters] == [(6, 4, 1, 1), (12, 8, 1, 1)]
    expected = 0.0
    for (a, b, size), one, other in zip(shapes, mine.values(), theirs.values(), strict=True):
        small = nn.functional.avg_pool2d(one, size // 4)
        aligned = torch.zeros_like(other)
        aligned[:, : min(a, b)] = small[:, : min(a, b)]
        expected += float(nn.functional.mse_loss(aligned, other))
    assert float(found.loss(student, teacher, LABELS).detach()) == pytest.approx(expected, rel=1e-5)


def test_unknown_distance_is_refused() -> None:
    with pytest.raises(ParamsError, match=r"feature\.distance"):
        read({"feature": {"where": "penultimate", "distance": "cosine"}}, "feature", FeatureSettings)
