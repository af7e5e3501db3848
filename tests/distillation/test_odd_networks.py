"""Networks of a user's that are right and unusual: what terms see of them, and what is refused before any training."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lib.distillation.building import distilled
from lib.distillation.terms import kd
from lib.masks.kept import Kept, apply_
from lib.pruning.scores import norms
from lib.pruning.selection import Selection
from lib.training.remaining import remaining
from lib.training.taps import Outputs, Tapped, Term
from tests.distillation.test_every_term import SETTINGS
from tests.networks_for_tests import images
from tests.odd_networks import HIDDEN, LINEAR, ONE_RELU, network


def test_a_module_that_is_called_often_shows_each_of_its_outputs() -> None:
    """Every tap showed the last one."""
    made = network(ONE_RELU)
    given = images(made, 3)
    seen: list[Tensor] = []
    made.get_submodule("relu").register_forward_hook(lambda _, __, output: seen.append(output))
    tapped = Tapped(made, ("stage1", "stage2", "block1", "block2", "penultimate"))
    for _ in range(2):
        seen.clear()
        with torch.no_grad():
            made(given[:1])  # calls that nobody looks at count for nothing
            seen.clear()
            features = tapped(given).features
        expected = {"stage1": seen[1], "stage2": seen[3], "block1": seen[1], "block2": seen[3]}
        expected["penultimate"] = seen[3].mean((2, 3))
        assert [tap for tap, value in expected.items() if not torch.equal(value, features[tap])] == []
    with pytest.raises(ValueError, match="OneRelu calls relu 4 times; take a module that it calls once"):
        Tapped(made, ("relu",))(given)


@pytest.mark.parametrize("term", ["at", "hap", "rc", "afd"])
def test_what_remains_is_distilled_as_the_masked_network_where_modules_are_called_often(term: str) -> None:
    """It has a module for each call."""
    student, teacher = (network(ONE_RELU, seed=seed) for seed in (0, 1))
    given, labels = images(student, 6), torch.arange(6)
    objective = distilled(student, teacher, {term: 1.0}, SETTINGS | {"hap": {"teacher_blocks": 1}}, 0.0, given)
    kept = Kept(Selection(student, 0.5, coupled=False).choose(norms(student.filters(), 1)))
    apply_(student, kept)
    small = remaining(student, kept, objective)
    assert small is not None
    with torch.no_grad():
        expected, found = objective(given, labels).parts[term], small.objective(given, labels).parts[term]
    assert expected > 0
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("term", SETTINGS)
@pytest.mark.parametrize("name", [HIDDEN, LINEAR])
def test_a_term_that_sees_nothing_is_refused_by_name(term: str, name: str) -> None:
    """It failed in the middle of a run, or compared less than it says."""
    student, teacher = (network(name, seed=seed) for seed in (0, 1))
    given = images(student, 6)
    settings = SETTINGS | {"feature": {"where": "penultimate", "distance": "mse"}}
    if term in ("kd", "lskd", "feature"):
        losses = distilled(student, teacher, {term: 1.0}, settings, 0.0, given)(given, torch.arange(6))
        assert losses.total.isfinite()
        return
    said = "hides (stage|block)1 between functions; let a module" if name == HIDDEN else "has no (stage|block)s: it sums, "
    with pytest.raises(ValueError, match=rf"tests.odd_networks:{name.partition(':')[2]} {said}"):
        distilled(student, teacher, {term: 1.0}, settings, 0.0, given)


def test_a_term_whose_loss_fails_is_told_before_any_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a user's own file, with an error of torch's that would come in the first step."""
    student = network(ONE_RELU)
    given = images(student, 6)
    wrong: list[tuple[Callable[..., Tensor], str]] = [
        (lambda *_: torch.ones(2) @ torch.ones(3), r"kd has no loss for these networks \(RuntimeError: "),
        (lambda own, *_: own.logits, r"kd gives a loss of shape \(6, 10\); it must be one number"),
    ]
    for loss, said in wrong:

        def term(params: kd.KdSettings, *_: Outputs, loss: Callable[..., Tensor] = loss) -> Term:
            return Term(loss)

        monkeypatch.setattr(kd, "term", term)
        with pytest.raises(ValueError, match=said):
            distilled(student, copy.deepcopy(student), {"kd": 1.0}, SETTINGS, 0.0, given)
