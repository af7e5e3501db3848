"""One contract for every file of lib/pruning/methods: a new method joins by existing, and by its entry in PARAMS."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import nn

from lib import plugins
from lib.compaction import Mode, compact
from lib.networks.network import Network
from lib.pruning import methods
from lib.pruning.masks import apply_, check, kept_count
from lib.pruning.method import Method, Moment, Request, Sgd
from tests.networks_for_tests import images, lived_in

SETTINGS = Sgd(lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4)
AHSG_HT = {
    "variant": "sgd",
    "heavy_ball": 0.1,
    "warmup_epochs": 0,
    "warmup_steps": 0,
    "every": 1,
    "mask_momentum": False,
    "batches": None,
}
PARAMS: Mapping[str, Mapping[str, Any]] = {
    "ahsg_ht": AHSG_HT,
    "dense": {},
    "l1": {"order": 1},
    "random": {},
    "scratch": {"start": "scratch"},
}
NAMES = plugins.names(methods)
HARD = [name for name in NAMES if name not in ("ahsg_ht", "dense")]


def ratio_for(name: str, ratio: float) -> float:
    return 1.0 if name == "dense" else ratio


def make(name: str, network: Network, ratio: float, *, coupled: bool = False, seed: int = 0) -> Method:
    assert name in PARAMS, f"give {name} an entry in PARAMS of this test"
    module = plugins.find(methods, name)
    params = module.Params(**({"start": "teacher", "guide": {}} | PARAMS[name]))
    request = Request(ratio_for(name, ratio), coupled=coupled, epochs=2, generator=torch.Generator().manual_seed(seed))
    made: Method = module.method(network, params, request)
    return made


def train(network: Network, method: Method, steps: int = 3) -> torch.optim.Optimizer:
    """A few steps of real training, from momentum that pushes every weight."""
    network.train()
    optimizer = method.optimizer([*network.parameters(), *method.parameters], SETTINGS)
    for parameter in network.parameters():
        optimizer.state[parameter]["momentum_buffer"] = torch.full_like(parameter, 0.1)
    batch = images(network, 8, dtype=torch.float64)
    for step in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(batch), torch.arange(8)).backward()
        optimizer.step()
        method.after_step(Moment(0, step, optimizer))
    method.after_epoch()
    network.eval()
    return optimizer


@pytest.mark.parametrize("coupled", [False, True])
@pytest.mark.parametrize("ratio", [1.0, 0.5, 0.001])
@pytest.mark.parametrize("network", ["resnet8", "vgg11"])
@pytest.mark.parametrize("name", NAMES)
def test_masks_keep_the_count_asked_for(name: str, network: str, ratio: float, coupled: bool) -> None:
    made = lived_in(network).double()
    method = make(name, made, ratio, coupled=coupled)
    train(made, method, steps=1)
    masks = method.masks()
    check(made, masks)
    for layer, mask in masks.items():
        assert int(mask.sum()) == kept_count(len(mask), ratio_for(name, ratio)), layer


@pytest.mark.parametrize("mode", ["scatter", "coupled"])
@pytest.mark.parametrize("network", ["resnet8", "vgg11"])
@pytest.mark.parametrize("name", NAMES)
def test_compact_equals_masked_after_training(name: str, network: str, mode: Mode) -> None:
    made = lived_in(network).double()
    method = make(name, made, 0.5, coupled=mode == "coupled")
    train(made, method)
    masks = method.masks()
    apply_(made, masks)
    small = compact(made, masks, mode)
    batch = images(made, 2, dtype=torch.float64)
    with torch.no_grad():
        assert (made(batch) - small(batch)).abs().max() < 1e-9


@pytest.mark.parametrize("name", NAMES)
def test_same_seed_gives_the_same_masks_and_weights(name: str) -> None:
    results = []
    for _ in range(2):
        made = lived_in("resnet8").double()
        method = make(name, made, 0.5, seed=5)
        train(made, method)
        results.append((method.masks(), made.state_dict()))
    for first, second in zip(*results, strict=True):
        assert all(torch.equal(tensor, second[key]) for key, tensor in first.items())


def test_another_seed_gives_random_other_masks() -> None:
    first, second = (make("random", lived_in("resnet8").double(), 0.5, seed=seed).masks() for seed in (0, 1))
    assert any(not torch.equal(mask, second[layer]) for layer, mask in first.items())


@pytest.mark.parametrize("name", HARD)
def test_hard_masks_hold_every_dropped_filter_at_zero(name: str) -> None:
    made = lived_in("resnet8").double()
    method = make(name, made, 0.5)
    optimizer = train(made, method)
    for wire in made.wires:
        dropped = ~method.masks()[wire.conv]
        conv, norm = made.conv(wire).weight, made.norm(wire)
        assert conv[dropped].eq(0).all()
        assert norm.weight[dropped].eq(0).all()
        assert norm.bias[dropped].eq(0).all()
        assert optimizer.state[conv]["momentum_buffer"][dropped].eq(0).all()


@pytest.mark.parametrize("name", NAMES)
def test_teacher_is_not_touched(name: str) -> None:
    teacher, student = lived_in("resnet8").double(), lived_in("resnet8").double()
    train(student, make(name, student, 0.5))
    assert all(
        torch.equal(tensor, lived_in("resnet8").double().state_dict()[key]) for key, tensor in teacher.state_dict().items()
    )


def test_l1_keeps_the_filters_of_largest_norm_of_the_order_asked_for() -> None:
    made = lived_in("resnet8").double()
    masks = make("l1", made, 0.5).masks()
    original = lived_in("resnet8").double()
    for layer, mask in masks.items():
        norms = original.filters()[layer].abs().sum((1, 2, 3))
        assert norms[mask].min() > norms[~mask].max()


def ahsg(network: Network, **changes: Any) -> Method:
    module = plugins.find(methods, "ahsg_ht")
    params = module.Params(**({"start": "teacher", "guide": {}} | AHSG_HT | changes))
    made: Method = module.method(network, params, Request(0.7, coupled=False, epochs=3, generator=torch.Generator()))
    return made


def test_one_ahsg_ht_step_zeroes_5_10_20_filters_and_their_shifts_but_no_scale() -> None:
    made = lived_in("resnet20").double()
    train(made, ahsg(made), steps=1)
    for wire in made.wires:
        dropped = made.conv(wire).weight.flatten(1).eq(0).all(1)
        assert int(dropped.sum()) == {16: 5, 32: 10, 64: 20}[len(dropped)]
        assert made.norm(wire).bias[dropped].eq(0).all()
        assert made.norm(wire).weight[dropped].ne(0).all()


def test_ahsg_ht_keeps_the_filters_of_largest_euclidean_norm() -> None:
    made = lived_in("resnet8").double()
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
    made = lived_in("resnet8").double()
    method = ahsg(made)
    optimizer = method.optimizer(list(made.parameters()), SETTINGS)
    method.after_step(Moment(0, 0, optimizer))
    method.after_epoch()
    weight = made.filters()["conv1"]
    dropped = int(weight.flatten(1).eq(0).all(1).nonzero()[0])
    weight.data[dropped] = 10.0
    method.after_step(Moment(0, 1, optimizer))
    assert bool(method.masks()["conv1"][dropped])
    assert method.after_epoch()["mask_changes"] == 2.0  # one came back, one went for it


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
    made = lived_in("resnet8").double()
    method = ahsg(made, **changes)
    optimizer = method.optimizer(list(made.parameters()), SETTINGS)
    for epoch, step, thresholds in moments:
        method.after_step(Moment(epoch, step, optimizer))
        assert bool(made.filters()["conv1"].flatten(1).eq(0).all(1).any()) == thresholds


def test_ahsg_ht_clears_the_momentum_of_dropped_filters_on_request() -> None:
    for mask_momentum in (False, True):
        made = lived_in("resnet8").double()
        method = ahsg(made, mask_momentum=mask_momentum)
        optimizer = train(made, method, steps=1)
        weight = made.filters()["conv1"]
        dropped = ~method.masks()["conv1"]
        assert optimizer.state[weight]["momentum_buffer"][dropped].eq(0).all() == mask_momentum


def test_ahsg_ht_refuses_a_warm_up_that_leaves_nothing_to_prune_in() -> None:
    with pytest.raises(ValueError, match="warmup_epochs must be below the 3 epochs"):
        ahsg(lived_in("resnet8").double(), warmup_epochs=3)


def test_dense_refuses_to_prune() -> None:
    module = plugins.find(methods, "dense")
    with pytest.raises(ValueError, match=r"keep_ratio must be 1\.0, got 0\.5"):
        module.method(lived_in("resnet8").double(), module.Params("teacher", {}), Request(0.5, False, 1, torch.Generator()))


def test_scratch_refuses_to_start_from_the_teacher() -> None:
    with pytest.raises(ValueError, match="start must be scratch"):
        plugins.find(methods, "scratch").Params("teacher", {})
