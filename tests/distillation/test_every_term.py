"""One contract for every file of lib/distillation/terms: a new term joins by existing, and by its entry in SETTINGS."""

import re
from collections.abc import Mapping
from typing import Any

import pytest
import torch

from bench import distilled_step
from lib import plugins
from lib.compaction.compact import compact
from lib.distillation import terms
from lib.distillation.building import distilled
from lib.masks.kept import Kept, apply_
from lib.networks.network import Network
from lib.training.objective import Objective
from tests.networks_for_tests import images, lived_in, random_masks, side

SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "afd": {"dim": 8},
    "asp": {},
    "at": {},
    "feature": {"where": "stages", "distance": "mse"},
    "hap": {"teacher_blocks": 2},
    "kd": {"temperature": 4.0},
    "lskd": {"temperature": 2.0},
    "lsp": {"teacher_maps": 3},
    "lsp2": {"window": 4},
    "mat": {"window": 2},
    "rc": {},
    "sp": {"stages": 1},
}
NAMES = plugins.names(terms)
PAIRS = [
    ("resnet8", "resnet8"),
    ("resnet8", "resnet8x2"),
    ("resnet8", "resnet20"),
    ("resnet20", "resnet56"),
    ("resnet8", "vgg11"),
    ("resnet20", "vgg16"),
    ("vgg11", "resnet8"),
    ("resnet8", "resnet18"),
    ("resnet18", "resnet8"),
]
STAGES = {"resnet8": 3, "resnet20": 3, "resnet18": 4, "vgg11": 5, "vgg16": 5}
UNLIKE = [pair for pair in PAIRS if STAGES.get(pair[0], 3) != STAGES.get(pair[1], 3)]
REFUSED = {  # terms that pair stages or blocks of networks that have other ones
    **{
        (name, *pair): rf"{name} pairs stages one by one, got {STAGES[pair[0]]} of the student \[\(.* and {STAGES[pair[1]]} of"
        for name in ("at", "feature", "rc")
        for pair in UNLIKE
    },
    ("lsp2", "vgg11", "resnet8"): "the student has 8 blocks and the teacher 3; window: null follows all",
    ("lsp2", "resnet18", "resnet8"): "the student has 8 blocks and the teacher 3; window: null follows all",
    ("mat", "vgg11", "resnet8"): "3 teacher blocks do not spread over 8 of the student",
    ("mat", "resnet18", "resnet8"): "3 teacher blocks do not spread over 8 of the student",
    ("mat", "resnet20", "vgg16"): "13 teacher blocks do not spread over 9 of the student",
}


def objective(name: str, student: Network, teacher: Network) -> Objective:
    assert name in SETTINGS, f"give {name} an entry in SETTINGS of this test"
    size = max(side(network.architecture.name) for network in (student, teacher))
    example = torch.zeros(2, 3, size, size)
    return distilled(student, teacher, {name: 1.0}, SETTINGS, 0.0, example)


def batch(student: Network, teacher: Network) -> tuple[torch.Tensor, torch.Tensor]:
    larger = max((student, teacher), key=lambda network: side(network.architecture.name))
    return images(larger, 6), torch.arange(6)


@pytest.mark.parametrize("name", NAMES)
def test_docstring_names_source_formula_and_departures(name: str) -> None:
    text = plugins.find(terms, name).__doc__
    assert text is not None
    assert re.search(r"^Reference: ", text, re.MULTILINE)
    assert re.search(r"^Departs: ", text, re.MULTILINE)


@pytest.mark.grid
@pytest.mark.parametrize(("student", "teacher"), PAIRS)
@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_the_student_and_the_terms_own_parameters_only(name: str, student: str, teacher: str) -> None:
    pupil, guide = lived_in(student, 0), lived_in(teacher, 1)
    if (name, student, teacher) in REFUSED:
        with pytest.raises(ValueError, match=REFUSED[name, student, teacher]):
            objective(name, pupil, guide)
        return
    before = {key: tensor.clone() for key, tensor in guide.state_dict().items()}
    made = objective(name, pupil, guide)
    pupil.train()
    losses = made(*batch(pupil, guide))
    value = losses.parts[name]
    assert value.shape == ()
    assert value.isfinite()
    assert value > 0
    gradients = torch.autograd.grad(value, [*pupil.parameters(), *made.parameters], allow_unused=True)
    assert any(gradient is not None and bool(gradient.ne(0).any()) for gradient in gradients[: len(list(pupil.parameters()))])
    assert all(gradient is not None for gradient in gradients[len(list(pupil.parameters())) :])
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in guide.parameters())
    assert all(torch.equal(tensor, before[key]) for key, tensor in guide.state_dict().items())


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("afd", "hap", "lsp", "lsp2", "mat")])
def test_a_student_that_is_its_teacher_has_no_loss(name: str) -> None:
    pupil, guide = lived_in("resnet8"), lived_in("resnet8")
    made = objective(name, pupil, guide)
    assert float(made(*batch(pupil, guide)).parts[name].detach()) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_masked_and_compact_students_have_the_same_loss(name: str) -> None:
    student, guide = lived_in("resnet8", 0).double(), lived_in("resnet20", 1).double()
    masks = random_masks(student)
    apply_(student, Kept(masks))
    values = []
    for network in (student, compact(student, Kept(masks), "scatter")):
        made = distilled(network, guide, {name: 1.0}, SETTINGS, 0.0, torch.zeros(2, 3, 8, 8, dtype=torch.float64))
        with torch.no_grad():
            values.append(float(made(images(network, 6, dtype=torch.float64), torch.arange(6)).parts[name]))
    assert values[0] == pytest.approx(values[1], rel=1e-5)


@pytest.mark.parametrize("name", ["afd", "feature", "rc"])
def test_learnt_parts_start_the_same_in_every_run(name: str) -> None:
    runs = []
    for seed in (3, 4):
        torch.manual_seed(seed)
        runs.append(objective(name, lived_in("resnet8"), lived_in("vgg11" if name == "afd" else "resnet8")).parameters)
    assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))


def test_the_bench_of_a_distilled_step_knows_every_term() -> None:
    assert set(distilled_step.SETTINGS) == set(NAMES)
