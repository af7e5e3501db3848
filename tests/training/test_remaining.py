"""Training what remains takes the masked network's steps, and nobody who looks at the result can tell."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from lib import plugins
from lib.compaction.compact import compact
from lib.distillation import terms
from lib.distillation.building import distilled
from lib.masks.kept import Kept, apply_, leftovers
from lib.masks.weights import weights
from lib.networks.network import Network
from lib.pruning.held import held
from lib.training.hooks import Hooks, Moment
from lib.training.loop import Fit, fit
from lib.training.objective import Objective
from lib.training.remaining import remaining
from lib.training.resume import Unfinished
from lib.training.sgd import Sgd, sgd
from lib.training.taps import Tapped
from tests import tiny
from tests.distillation.test_every_term import SETTINGS
from tests.networks_for_tests import images, lived_in, random_masks
from tests.pruning.test_every_method import make
from tests.training.test_loop import Bar, _task, folder, here  # noqa: F401 (fixtures)

STEPS = 10
MAKERS: Mapping[str, Callable[[list[nn.Parameter], float], torch.optim.Optimizer]] = {
    "sgd": lambda parameters, rate: sgd(parameters, Sgd(rate, 0.9, nesterov=True, weight_decay=5e-3, decayed="all")),
    "adamax": lambda parameters, rate: torch.optim.Adamax(parameters, lr=rate / 50, eps=1e-7, foreach=True),
}
RATES = {"resnet8": 0.05, "vgg16_kdfs": 1e-3, "mobilenet_v2_cifar": 1e-4}  # deep ones full of noise multiply rounding
WEIGHTS = {"at": 100.0, "sp": 100.0, "hap": 1.0}


def steps_(network: Network, objective: Objective, optimizer: torch.optim.Optimizer, hooks: Hooks, *, whole: bool) -> None:
    network.train()
    for step in range(STEPS):
        batch, labels = images(network, 6, step, dtype=torch.float64), (torch.arange(6) + step) % 10
        optimizer.zero_grad()
        objective(batch, labels).total.backward()
        optimizer.step()
        hooks.after_step(Moment(0, step, optimizer, whole))


def objective_of(network: Network, combination: Mapping[str, float]) -> Objective:
    if not combination:
        return Objective(Tapped(network), 0.1)
    teacher = lived_in("resnet20", 1).double()
    example = images(network, 2, dtype=torch.float64)
    return distilled(network, teacher, combination, SETTINGS, 0.1, example)


def compared(name: str, combination: Mapping[str, float], maker: str) -> float:
    """The largest difference of weights and statistics after ten steps of the masked network and of what remains of it."""
    found = []
    for whole in (True, False):
        network = lived_in(name).double()
        kept = Kept(random_masks(network, 3))
        apply_(network, kept)
        objective = objective_of(network, combination)
        for parameter in objective.parameters:
            parameter.data = parameter.data.double()
        hooks = held(network, kept)
        if whole:
            parameters = [*network.parameters(), *objective.parameters]
            steps_(network, objective, MAKERS[maker](parameters, RATES[name]), hooks, whole=True)
        else:
            small = remaining(network, kept, objective)
            assert small is not None
            parameters = [*small.network.parameters(), *small.objective.parameters]
            steps_(small.network, small.objective, MAKERS[maker](parameters, RATES[name]), hooks, whole=False)
            small.put_back_(network)
        assert not leftovers(network, kept)
        state = compact(network, kept, "coupled").state_dict()
        found.append({**state, **{f"term {place}": p.detach() for place, p in enumerate(objective.parameters)}})
    assert found[0].keys() == found[1].keys()
    return max(float((found[0][key] - found[1][key]).abs().max()) for key in found[0])


@pytest.mark.grid
@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("name", RATES)
def test_ten_steps_are_the_masked_networks(name: str, maker: str) -> None:
    assert compared(name, {}, maker) < 1e-10


@pytest.mark.parametrize("term", plugins.names(terms))
def test_ten_steps_are_the_same_with_every_term(term: str) -> None:
    assert compared("resnet8", {term: WEIGHTS.get(term, 1.0)}, "sgd") < 1e-10


def test_where_something_else_is_seen_or_masked_the_network_itself_is_trained() -> None:
    network = lived_in("resnet8")
    plain, kept = Objective(Tapped(network), 0.0), Kept(random_masks(network, 3))
    everything = Kept({name: torch.ones_like(mask) for name, mask in kept.filters.items()})
    single = replace(
        kept, weights={name: torch.ones_like(weight, dtype=torch.bool) for name, weight in weights(network).items()}
    )
    assert remaining(network, everything, plain) is None
    assert remaining(network, single, plain) is None
    assert remaining(network, kept, Objective(Tapped(network, ("layer1.0.conv1",)), 0.0)) is None
    assert remaining(network, kept, plain) is not None
    with_dropout = lived_in("vgg11")  # over a hidden linear layer
    assert remaining(with_dropout, Kept(random_masks(with_dropout, 3)), Objective(Tapped(with_dropout), 0.0)) is None
    small = compact(network, kept, "coupled")
    assert remaining(small, kept, Objective(Tapped(small), 0.0)) is None


def test_the_loop_gives_the_same_network_and_log_up_to_rounding(here: tiny.Setting, tmp_path: Path) -> None:  # noqa: F811
    logs, states = [], []
    for whole in (True, False):
        masks = {}

        def method(network: Network, masks: dict[str, Kept] = masks) -> Hooks:
            masks["kept"] = Kept(random_masks(network, 3))
            return held(network, masks["kept"])

        task = _task(here, 60, method, epochs=2, lr=0.01)
        task = replace(task, compute=replace(task.compute, train_remaining=not whole))
        logs.append(fit(task, Unfinished(tmp_path / str(whole)), lambda *_: Bar()))
        assert not leftovers(task.network, masks["kept"])
        states.append(compact(task.network, masks["kept"], "coupled").state_dict())
    for one, other in zip(*logs, strict=True):
        assert one == pytest.approx(other, rel=1e-3)
    assert all(torch.allclose(states[0][key], states[1][key], rtol=1e-3, atol=1e-4) for key in states[0])


class Stop(Bar):
    """Ends the training as Ctrl-C does, after so many steps."""

    def __init__(self, after: float) -> None:
        super().__init__()
        self.after = after

    def update(self, n: float = 1) -> None:
        super().update(n)
        if self.steps >= self.after:
            raise KeyboardInterrupt


@pytest.mark.parametrize("after", [4, 9, 16])  # of 18 steps: in the search, in the first and the second epoch behind it
def test_a_search_goes_over_to_what_remains_and_resumes_to_the_same_bits(
    here: tiny.Setting,  # noqa: F811
    tmp_path: Path,
    after: int,
) -> None:
    def task() -> Fit:
        return _task(here, 60, lambda network: make("kdfs", network, 0.5, finetune_epochs=2), epochs=3, lr=0.01)

    undisturbed, disturbed = task(), task()
    rows = fit(undisturbed, Unfinished(tmp_path / "whole"), lambda *_: Bar())
    with pytest.raises(KeyboardInterrupt):
        fit(disturbed, Unfinished(tmp_path / "cut"), lambda *_: Stop(after))
    resumed = task()
    assert fit(resumed, Unfinished(tmp_path / "cut"), lambda *_: Bar()) == rows
    states = [one.network.state_dict() for one in (undisturbed, resumed)]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    kept = undisturbed.hooks.held()
    assert kept is not None
    assert not leftovers(undisturbed.network, kept)
    assert remaining(undisturbed.network, kept, undisturbed.objective) is not None
