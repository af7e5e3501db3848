"""AHSG-HT and HSG-HT: when and what they threshold, and what comes back."""

from typing import Any

import pytest
import torch

from lib.networks.network import Network
from lib.pruning.method import Method
from lib.training.hooks import Moment
from tests.networks_for_tests import lived_in
from tests.pruning.test_every_method import SETTINGS, make, train


def ahsg(network: Network, **changes: Any) -> Method:
    return make("ahsg_ht", network, 0.7, **changes)


def test_one_ahsg_ht_step_zeroes_5_10_20_filters_and_their_shifts_but_no_scale() -> None:
    made = lived_in("resnet20")
    train(made, ahsg(made), steps=1, epochs=range(1))
    for layer in made.layers:
        dropped = made.weight(layer.name).flatten(1).eq(0).all(1)
        assert int(dropped.sum()) == {16: 5, 32: 10, 64: 20}[len(dropped)]
        assert made.batch_norm(layer).bias[dropped].eq(0).all()
        assert made.batch_norm(layer).weight[dropped].ne(0).all()


def test_ahsg_ht_keeps_the_filters_of_largest_euclidean_norm() -> None:
    made = lived_in("resnet8")
    with torch.no_grad():
        made.filters()["conv1"].mul_(0.01)
        made.filters()["conv1"][:11] = 0.1  # L1 norm 2.7, L2 norm 0.52
        made.filters()["conv1"][11] = 0.0
        made.filters()["conv1"][11, 0, 0, 0] = 1.0  # smaller in L1, larger in L2
    method = ahsg(made)
    method.after_step(Moment(0, 0, method.optimizer(list(made.parameters()), SETTINGS)))
    assert method.masks()["conv1"].nonzero().flatten().tolist() == [*range(10), 11]
    assert made.filters()["conv1"].flatten(1).ne(0).any(1).nonzero().flatten().tolist() == [*range(10), 11]


def test_ahsg_ht_lets_a_filter_come_back_and_counts_it() -> None:
    made = lived_in("resnet8")
    method = ahsg(made)
    optimizer = method.optimizer(list(made.parameters()), SETTINGS)
    method.after_step(Moment(0, 0, optimizer))
    method.after_epoch(Moment(0, 0, optimizer))
    weight = made.filters()["conv1"]
    dropped = int(weight.flatten(1).eq(0).all(1).nonzero()[0])
    weight.data[dropped] = 10.0
    method.after_step(Moment(0, 1, optimizer))
    assert bool(method.masks()["conv1"][dropped])
    assert method.after_epoch(Moment(0, 0, optimizer))["mask_changes"] == 2.0  # one came back, one went for it


@pytest.mark.parametrize(
    ("changes", "moments"),
    [
        ({"warmup_epochs": 1}, [(0, 5, False), (1, 6, True)]),
        ({"warmup_steps": 4}, [(0, 3, False), (0, 4, True)]),
        ({"every": 3}, [(0, 2, False), (0, 3, True)]),
    ],
)
def test_ahsg_ht_thresholds_after_its_warm_up_every_so_many_steps(
    changes: dict[str, int], moments: list[tuple[int, int, bool]]
) -> None:
    made = lived_in("resnet8")
    method = ahsg(made, **changes)
    optimizer = method.optimizer(list(made.parameters()), SETTINGS)
    for epoch, step, thresholds in moments:
        method.after_step(Moment(epoch, step, optimizer))
        assert bool(made.filters()["conv1"].flatten(1).eq(0).all(1).any()) == thresholds


def test_ahsg_ht_clears_the_momentum_of_dropped_filters_on_request() -> None:
    for mask_momentum in (False, True):
        made = lived_in("resnet8")
        method = ahsg(made, mask_momentum=mask_momentum)
        optimizer = train(made, method, steps=1, epochs=range(1))
        weight = made.filters()["conv1"]
        dropped = ~method.masks()["conv1"]
        assert optimizer.state[weight]["momentum_buffer"][dropped].eq(0).all() == mask_momentum


def test_ahsg_ht_refuses_a_warm_up_that_leaves_nothing_to_prune_in() -> None:
    with pytest.raises(ValueError, match="warmup_epochs must be below the 3 epochs"):
        ahsg(lived_in("resnet8"), warmup_epochs=3)


def test_hsg_ht_is_ahsg_ht_in_its_paper_variant_without_a_heavy_ball() -> None:
    results = []
    for name, changes in (("hsg_ht", {}), ("ahsg_ht", {"variant": "paper", "heavy_ball": 0.0})):
        made = lived_in("resnet8")
        train(made, make(name, made, 0.5, **changes))
        results.append(made.state_dict())
    assert all(torch.equal(tensor, results[1][key]) for key, tensor in results[0].items())
