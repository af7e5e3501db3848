"""KDFS: masks that act behind batch norm, a budget that is met, and an end that leaves nothing to chance."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lib.compaction.compact import compact
from lib.cost.differentiable import Macs
from lib.masks.kept import Kept
from lib.networks.network import Network
from lib.pruning.layers import Layers
from lib.pruning.method import Method
from lib.pruning.methods import kdfs
from lib.pruning.methods.kdfs import Search
from lib.training.hooks import Moment
from lib.training.schedules import Cosine, factor
from lib.training.sgd import Sgd
from tests.goldens import read
from tests.networks_for_tests import images, lived_in, random_masks
from tests.pruning.test_every_method import EPOCHS, SETTINGS, make, params, request, train

SHAPE = (3, 8, 8)


def search(network: Network, ratio: float = 0.5, *, coupled: bool = False, **changes: Any) -> Search:
    return Search(network, params("kdfs", **changes), request(network, ratio, coupled=coupled))


def logits(made: Search, *, prefer: Tensor | float) -> None:
    """Set how much every filter is preferred."""
    with torch.no_grad():
        made.sampler.logits.zero_()
        made.sampler.logits[:, 1] = prefer


def outputs(network: Network, batch: Tensor) -> dict[str, Tensor]:
    """What leaves every batch norm, masks included, by convolution."""
    seen: dict[str, Tensor] = {}
    handles = []
    for layer in network.layers:

        def note(_: nn.Module, __: Any, output: Tensor, name: str = layer.name) -> None:
            seen[name] = output.detach()

        norm = network.batch_norm(layer)
        assert norm is not None
        handles.append(norm.register_forward_hook(note))
    network(batch)
    for handle in handles:
        handle.remove()
    return seen


def test_drawn_masks_zero_whole_channels_in_training_and_the_ticket_does_in_evaluation() -> None:
    network = lived_in("resnet8")
    made = search(network)
    batch = images(network, 4)
    for training in (True, False):
        network.train(training)
        for _ in range(2):
            seen = outputs(network, batch)
            expected = made.drawn if training else made.spread(made.sampler.ticket())
            for name, output in seen.items():
                alive = output.abs().amax((0, 2, 3)) > 0
                assert torch.equal(alive, expected[name].detach().bool()), name


def test_evaluation_is_free_of_chance_and_training_is_not() -> None:
    network = lived_in("resnet8")
    search(network)
    batch = images(network, 4)
    with torch.no_grad():
        assert torch.equal(network(batch), network(batch))
        network.train()
        assert not torch.equal(network(batch), network(batch))


@pytest.mark.parametrize("coupled", [False, True])
def test_frozen_and_compact_networks_compute_the_same(coupled: bool) -> None:
    network = lived_in("resnet8").double()
    method = make("kdfs", network, 0.5, coupled=coupled)
    train(network, method)
    batch = images(network, 4, dtype=torch.float64)
    with torch.no_grad():
        small = compact(network, Kept(method.masks()), "coupled" if coupled else "scatter")
        assert (network(batch) - small(batch)).abs().max() < 1e-9


@pytest.mark.parametrize("prefer", [-50.0, 0.0])
def test_every_layer_keeps_a_filter(prefer: float) -> None:
    network = lived_in("resnet8")
    made = search(network, threshold="zero")
    logits(made, prefer=prefer)
    for masks in (made.spread(made.sampler.ticket()), made.spread(made.sampler.draw(1.0)), made.decide()):
        assert all(bool(mask.any()) for mask in masks.values())


@pytest.mark.parametrize("target", [0.1, 0.3, 0.575, 0.9, 1.0])
@pytest.mark.parametrize("name", ["resnet20", "vgg11"])
def test_budget_meets_its_target_within_one_percent(name: str, target: float) -> None:
    network = lived_in(name)
    made = search(network, macs_ratio=target)
    assert float(made.share(made.final())) == pytest.approx(target, rel=0.01)
    assert made.remark() == ""


def test_a_target_that_is_missed_is_told_with_its_distance() -> None:
    network = lived_in("resnet8")
    assert "of the dense MACs are left" in search(network, macs_ratio=0.001).remark()
    made = search(lived_in("resnet8"), macs_ratio=0.2, threshold="zero", keep_bias=9.0)
    share = float(made.share(made.final()))
    assert f"{share:.4f} of the dense MACs are left, {share / 0.2 - 1:.1%} above the target" in made.remark()


def test_no_target_is_what_the_keep_ratio_leaves_in_every_layer() -> None:
    network = lived_in("resnet8")
    uniform = {name: torch.arange(len(weight)) < len(weight) // 2 for name, weight in network.filters().items()}
    macs = Macs(network, SHAPE, coupled=False)
    assert search(network).target == pytest.approx(float(macs(uniform)) / search(network).dense)


@pytest.mark.parametrize(("target", "sign"), [(0.05, 1.0), (1.0, -1.0)])
def test_penalty_pushes_filters_off_above_the_target_and_on_below_it(target: float, sign: float) -> None:
    network = lived_in("resnet8").train()
    made = search(network, macs_ratio=target, keep_bias=0.0)
    network(images(network, 2))
    made.penalty().backward()
    gradient = made.sampler.logits.grad
    assert gradient is not None
    assert sign * float(gradient[:, 1].mean()) > 0.0
    assert sign * float(gradient[:, 0].mean()) < 0.0


def test_penalty_is_the_squared_miss_of_the_masks_drawn_last() -> None:
    network = lived_in("resnet8").train()
    made = search(network, macs_ratio=0.3, penalty=100.0)
    network(images(network, 2))
    share = float(made.share(made.drawn).detach())
    assert float(made.penalty().detach()) == pytest.approx(100.0 * (share - 0.3) ** 2, rel=1e-5)


def test_samplers_do_not_decay_and_stand_still_after_the_search() -> None:
    network = lived_in("resnet8")
    method = make("kdfs", network, 0.5)
    seen: list[tuple[int, Tensor]] = []
    optimizer = train(network, method, watch=lambda moment: seen.append((moment.epoch, method.parameters[0].detach().clone())))
    assert [group["weight_decay"] for group in optimizer.param_groups][1] == 0.0
    searched = [value for epoch, value in seen if epoch < EPOCHS - 1]
    after = [value for epoch, value in seen if epoch == EPOCHS - 1]
    assert not torch.equal(searched[0], searched[-1])
    assert all(torch.equal(value, searched[-1]) for value in after)


@pytest.mark.parametrize("decoupled", [False, True])
def test_decoupled_decay_shrinks_weights_by_the_rate_and_nothing_else(decoupled: bool) -> None:
    network = lived_in("resnet8")
    method = make("kdfs", network, 1.0, decoupled_decay=decoupled, lr_factor=0.5)
    parameters = [*network.parameters(), *method.parameters]
    optimizer = method.optimizer(parameters, Sgd(lr=0.2, momentum=0.9, nesterov=True, weight_decay=0.1, decayed="all"))
    for group in optimizer.param_groups:
        group["lr"] = 0.2 * group["lr_factor"]
    before = network.filters()["conv1"].detach().clone()
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    method.after_step(Moment(0, 0, optimizer))
    after = network.filters()["conv1"].detach()
    assert torch.allclose(after, before * (1.0 - 0.1 * 0.1)) == decoupled
    assert not torch.equal(after, before)


def test_statistics_are_those_of_the_fixed_masks_over_the_sample() -> None:
    network = lived_in("resnet8")
    method = make("kdfs", network, 0.5, calibration=8)
    optimizer = method.optimizer([*network.parameters(), *method.parameters], SETTINGS)
    method.after_epoch(Moment(0, 0, optimizer))
    method.after_epoch(Moment(1, 1, optimizer))  # the search ends here
    ((batch, _),) = request(network, 0.5).sample(8, 128)
    first = network.get_submodule("conv1")(batch)
    norm = network.batch_norm(network.layers[0])
    assert norm is not None
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert torch.allclose(norm.running_mean, first.mean((0, 2, 3)), atol=1e-6)
    assert torch.allclose(norm.running_var, first.transpose(0, 1).flatten(1).var(1), atol=1e-6)
    assert norm.momentum == 0.1


def test_layers_left_out_are_whole_and_count_in_the_budget() -> None:
    network = lived_in("resnet8")
    given = replace(request(network, 0.5), layers=Layers("blocks", (), {}, "kept", 1, "uniform", None, linear=False))
    made = Search(network, params("kdfs"), given)
    masks = made.final()
    assert masks["conv1"].all()
    assert not all(bool(mask.all()) for mask in masks.values())
    assert float(made.share(masks)) == pytest.approx(made.target, rel=0.01)


def test_coupled_layers_draw_one_mask() -> None:
    network = lived_in("resnet8")
    made = search(network, coupled=True)
    for masks in (made.spread(made.sampler.draw(1.0)), made.final()):
        assert torch.equal(masks["conv1"], masks["layer1.0.conv2"])


def test_fine_tuning_must_leave_an_epoch_to_search_in() -> None:
    with pytest.raises(ValueError, match="finetune_epochs must be below the 3 epochs, got 3"):
        search(lived_in("resnet8"), finetune_epochs=3)


def test_search_tells_where_it_stands() -> None:
    network = lived_in("resnet8")
    method: Method = kdfs.method(network, params("kdfs"), request(network, 0.5))
    optimizer = method.optimizer([*network.parameters(), *method.parameters], SETTINGS)
    row = method.after_epoch(Moment(0, 0, optimizer))
    assert 0.0 < row["macs_ratio"] <= 1.0
    assert 0.0 < row["undecided_bits"] <= 1.0


def test_random_masks_cost_the_share_that_the_search_says() -> None:
    network = lived_in("resnet8")
    made, masks = search(network), random_masks(network)
    assert float(made.share(masks)) == pytest.approx(float(Macs(network, SHAPE, coupled=False)(masks)) / made.dense)


@pytest.mark.parametrize("case", range(3))
def test_after_its_warm_up_the_sources_learning_rate_is_our_cosine(case: int) -> None:
    """The warm-up differs: the source's is geometric by epoch, ours linear by step; a suite chooses its schedule anyway."""
    golden = read("kdfs_schedules")
    given, expected = golden["params"]["lr"][case], golden["outputs"]["lr"][case]
    schedule = Cosine("cosine", given["warmup"], 0.0, given["eta_min"] / given["base"])
    for epoch, rate in zip(expected["completed_epochs_t"], expected["intended_lr"], strict=True):
        if epoch >= given["warmup"]:
            assert given["base"] * factor(schedule, epoch, given["period"]) == pytest.approx(rate, rel=1e-7)
