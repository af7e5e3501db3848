"""Pruning while training: when masks are chosen, what soft and hard pruning touch, and how the ratio falls."""

import re
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from lib.masks.filters import from_zeros, kept_count
from lib.networks.network import Network
from lib.params.section import ParamsError
from lib.pruning.keep_schedule import keep_at
from lib.pruning.method import Method
from lib.pruning.scores import norms
from lib.pruning.selection import Selection
from lib.training.hooks import Moment
from tests.networks_for_tests import lived_in
from tests.pruning.test_every_method import EPOCHS, SETTINGS, go_on, make, params, preload, train

POLYNOMIAL = {"kind": "polynomial", "first_pruned": 0.0, "power": 3.0}
FALLING: Mapping[str, Mapping[str, Any]] = {
    "sfp": {"keep_schedule": POLYNOMIAL},
    "asfp": {},
    "fpgm": {"keep_schedule": POLYNOMIAL},
}
NAMES = tuple(FALLING)


def _zeros(network: Network) -> dict[str, int]:
    """Zero filters by layer."""
    return {name: int((~alive).sum()) for name, alive in from_zeros(network).items()}


def _dropped(method: Method) -> dict[str, int]:
    return {name: int((~mask).sum()) for name, mask in method.masks().items()}


@pytest.mark.parametrize("name", NAMES)
def test_from_scratch_nothing_is_dropped_before_the_first_epoch(name: str) -> None:
    constant = {} if name == "asfp" else {"keep_schedule": {"kind": "constant"}}
    network = lived_in("resnet8")
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    method = make(name, network, 0.5, start="scratch", **constant)
    assert all(bool(mask.all()) for mask in method.masks().values())
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items())
    train(network, method, epochs=range(1))
    assert all(0 < count <= len(method.masks()[layer]) // 2 for layer, count in _dropped(method).items())


@pytest.mark.parametrize("name", ["sfp", "fpgm"])
def test_from_the_teacher_filters_are_dropped_before_the_first_epoch(name: str) -> None:
    network = lived_in("resnet8")
    method = make(name, network, 0.5)
    assert _dropped(method) == _zeros(network) == {layer: len(mask) // 2 for layer, mask in method.masks().items()}


def test_from_the_teacher_asfp_begins_at_first_pruned() -> None:
    for first, share in ((0.0, 1.0), (0.25, 0.75)):
        schedule = {"kind": "asymptotic", "first_pruned": first, "knee": 0.125}
        masks = make("asfp", lived_in("resnet8"), 0.5, keep_schedule=schedule).masks()
        assert all(int(mask.sum()) == kept_count(len(mask), share) for mask in masks.values())


@pytest.mark.parametrize(("every", "chosen"), [(1, [0, 1, 2, 3, 4]), (2, [1, 3, 4]), (3, [2, 4]), (5, [4]), (9, [4])])
@pytest.mark.parametrize("name", NAMES)
def test_the_last_epoch_ends_with_a_choice_whatever_every_is(name: str, every: int, chosen: list[int]) -> None:
    network = lived_in("resnet8")
    asked = params(name, every=every, start="scratch", **FALLING[name])
    method = _made(name, network, asked, epochs=5)
    optimizer = method.optimizer(list(network.parameters()), SETTINGS)
    times = [epoch for epoch in range(5) if "mask_changes" in method.after_epoch(Moment(epoch, epoch, optimizer))]
    assert times == chosen
    assert _dropped(method) == {layer: len(mask) // 2 for layer, mask in method.masks().items()} == _zeros(network)


def _made(name: str, network: Network, asked: Any, epochs: int) -> Method:
    from lib import plugins
    from lib.pruning import methods
    from tests.pruning.test_every_method import request

    made: Method = plugins.find(methods, name).method(network, asked, request(network, 0.5, epochs=epochs))
    return made


@pytest.mark.parametrize("name", NAMES)
def test_the_number_dropped_follows_the_schedule(name: str) -> None:
    network = lived_in("resnet8")
    asked = params(name, **FALLING[name])
    method = _made(name, network, asked, epochs=8)
    optimizer = method.optimizer(list(network.parameters()), SETTINGS)
    seen = []
    for epoch in range(8):
        go_on(network, method, optimizer, 1, range(epoch, epoch + 1))
        ratio = keep_at(asked.keep_schedule, 0.5, (epoch + 1) / 8)
        assert all(int(mask.sum()) == kept_count(len(mask), ratio) for mask in method.masks().values())
        seen.append(_dropped(method)["layer3.0.conv1"])
    assert seen == sorted(seen)
    assert len(set(seen)) > 2
    assert seen[-1] == 32


def _touched(network: Network, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    momentum = {
        f"momentum of {key}": optimizer.state[parameter]["momentum_buffer"] for key, parameter in network.named_parameters()
    }
    return {key: tensor.clone() for key, tensor in (network.state_dict() | momentum).items()}


@pytest.mark.parametrize("name", ["sfp", "asfp"])
def test_a_soft_choice_zeroes_weights_and_nothing_else(name: str) -> None:
    network = lived_in("resnet8")
    method = make(name, network, 0.5, start="scratch", every=EPOCHS)
    optimizer = method.optimizer(list(network.parameters()), SETTINGS)
    preload(network, optimizer)
    go_on(network, method, optimizer, 2, range(1))
    assert not any(_zeros(network).values())
    before = _touched(network, optimizer)
    method.after_epoch(Moment(EPOCHS - 1, 9, optimizer))
    for layer, mask in method.masks().items():
        before[f"{layer}.weight"][~mask] = 0.0
    after = _touched(network, optimizer)
    assert all(torch.equal(tensor, before[key]) for key, tensor in after.items())
    assert all(count >= 8 for count in _zeros(network).values())


def test_soft_pruning_drops_other_filters_when_others_become_the_smallest() -> None:
    network = lived_in("resnet8")
    method = make("sfp", network, 0.5)
    first = method.masks()["layer2.0.conv1"].clone()
    with torch.no_grad():
        network.filters()["layer2.0.conv1"][~first] = 10.0
    optimizer = method.optimizer(list(network.parameters()), SETTINGS)
    assert method.after_epoch(Moment(0, 0, optimizer))["mask_changes"] == 32.0
    assert torch.equal(method.masks()["layer2.0.conv1"], ~first)


def test_hard_pruning_never_chooses_again_what_it_once_dropped() -> None:
    network = lived_in("resnet8")
    method = _made("fpgm", network, params("fpgm", keep_schedule=POLYNOMIAL), epochs=6)
    optimizer = method.optimizer(list(network.parameters()), SETTINGS)
    generator = torch.Generator().manual_seed(0)
    before = {layer: mask.clone() for layer, mask in method.masks().items()}
    for epoch in range(6):
        with torch.no_grad():
            for weight in network.filters().values():  # even where dropped ones would now win
                weight.copy_(torch.randn(weight.shape, generator=generator))
        method.after_epoch(Moment(epoch, epoch, optimizer))
        assert all(not bool((mask & ~before[layer]).any()) for layer, mask in method.masks().items())
        before = {layer: mask.clone() for layer, mask in method.masks().items()}
    assert all(int(mask.sum()) == len(mask) // 2 for mask in before.values())


@pytest.mark.parametrize("start", ["dense", "scratch"])
def test_once_is_the_one_shot_choice_at_the_goal_for_all_epochs(start: str) -> None:
    network, original = lived_in("resnet8"), lived_in("resnet8")
    method = make("fpgm", network, 0.5, every=None, start=start, keep_schedule=POLYNOMIAL)
    sums = {
        layer: torch.cdist(weight.flatten(1), weight.flatten(1), compute_mode="donot_use_mm_for_euclid_dist").sum(1)
        for layer, weight in original.filters().items()
    }
    expected = Selection(original, 0.5, coupled=False).choose(sums)
    assert all(torch.equal(mask, expected[layer]) for layer, mask in method.masks().items())
    train(network, method)
    assert all(torch.equal(mask, expected[layer]) for layer, mask in method.masks().items())
    assert _zeros(network) == _dropped(method)


@pytest.mark.parametrize(("name", "changes"), [("sfp", {}), ("asfp", {}), ("fpgm", {"update": "soft"})])
def test_soft_pruning_that_chooses_once_is_refused(name: str, changes: dict[str, Any]) -> None:
    said = "soft pruning needs `every`, the epochs between choices of masks, got null; write a number"
    with pytest.raises(ValueError, match=re.escape(said)):
        make(name, lived_in("resnet8"), 0.5, every=None, **changes)


def test_a_curve_that_cannot_be_is_refused_before_any_training() -> None:
    impossible = {"kind": "asymptotic", "first_pruned": 0.4, "knee": 0.125}
    for name in NAMES:
        with pytest.raises(ValueError, match="no asymptotic curve"):
            make(name, lived_in("resnet8"), 0.5, start="scratch", keep_schedule=impossible)
    make("fpgm", lived_in("resnet8"), 0.5, every=None, keep_schedule=impossible)  # chooses at the end of the curve alone


@pytest.mark.parametrize("schedule", [{"kind": "constant"}, POLYNOMIAL])
def test_asfp_needs_its_schedule(schedule: dict[str, Any]) -> None:
    with pytest.raises(ParamsError, match=f"keep_schedule.kind must be asymptotic, got {schedule['kind']}; use sfp"):
        make("asfp", lived_in("resnet8"), 0.5, keep_schedule=schedule)


def test_the_first_choice_of_sfp_is_by_norm() -> None:
    for order in (1, 2):
        expected = Selection(lived_in("vgg11"), 0.5, coupled=False).choose(norms(lived_in("vgg11").filters(), order))
        masks = make("sfp", lived_in("vgg11"), 0.5, order=order).masks()
        assert all(torch.equal(mask, expected[layer]) for layer, mask in masks.items())
