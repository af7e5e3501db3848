"""Masks: how many filters stay, which of equal ones, and that what is dropped stays exactly zero."""

import pytest
import torch
from torch.nn import functional

from lib.masks import filters as mask_sets
from lib.masks.filters import Holder, kept_count, top_k
from lib.masks.kept import Kept, apply_
from lib.networks.network import Network
from tests.networks_for_tests import images, lived_in, random_masks

TABLE = {  # of 16, 32, 64, 128, 256, 512 filters
    0.9: (14, 28, 57, 115, 230, 460),
    0.8: (12, 25, 51, 102, 204, 409),
    0.7: (11, 22, 44, 89, 179, 358),
    0.6: (9, 19, 38, 76, 153, 307),
    0.5: (8, 16, 32, 64, 128, 256),
}


@pytest.mark.parametrize(("keep_ratio", "counts"), TABLE.items())
def test_kept_counts_are_those_of_the_reference(keep_ratio: float, counts: tuple[int, ...]) -> None:
    assert tuple(kept_count(16 * 2**power, keep_ratio) for power in range(6)) == counts


@pytest.mark.parametrize(("width", "keep_ratio", "count"), [(90, 0.7, 63), (100, 0.57, 57), (100, 0.29, 29)])
def test_kept_count_is_not_one_short_where_floats_are(width: int, keep_ratio: float, count: int) -> None:
    assert int(width * keep_ratio) == count - 1  # the trap
    assert kept_count(width, keep_ratio) == count


def test_kept_count_is_exact_for_every_percentage_and_width() -> None:
    for width in range(1, 260):
        for percent in range(1, 101):
            assert kept_count(width, percent / 100) == max(1, width * percent // 100)


@pytest.mark.parametrize("keep_ratio", [0.0, -0.5, 1.01, float("nan")])
def test_keep_ratio_out_of_range_is_refused(keep_ratio: float) -> None:
    with pytest.raises(ValueError, match="keep_ratio must be above 0 and at most 1, got"):
        kept_count(16, keep_ratio)


def test_of_equal_scores_the_first_wins() -> None:
    assert top_k(torch.tensor([1.0, 2.0, 1.0, 1.0, 2.0]), 3).tolist() == [True, True, False, False, True]
    assert top_k(torch.zeros(200), 70).nonzero().flatten().tolist() == list(range(70))


def test_top_k_treats_each_row_by_itself() -> None:
    scores = torch.tensor([[3.0, 1.0, 2.0], [1.0, 3.0, 2.0]])
    assert top_k(scores, 2).tolist() == [[True, False, True], [False, True, True]]
    assert top_k(scores, 1).sum(1).tolist() == [1, 1]


def test_full_masks_keep_everything_and_fit() -> None:
    network = lived_in("resnet8")
    masks = mask_sets.full(network)
    mask_sets.check(network, masks)
    assert Kept(masks).share == 1.0
    assert [len(mask) for mask in masks.values()] == [16, 16, 16, 32, 32, 64, 64]


def _bad(network: Network, kind: str) -> mask_sets.Masks:
    masks = mask_sets.full(network)
    if kind == "missing":
        del masks["conv1"]
    elif kind == "unknown":
        masks["conv9"] = torch.ones(3, dtype=torch.bool)
    elif kind == "dtype":
        masks["conv1"] = masks["conv1"].float()
    elif kind == "shape":
        masks["conv1"] = masks["conv1"][1:]
    else:
        masks["conv1"] = torch.zeros(16, dtype=torch.bool)
    return masks


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", r"missing \['conv1'\], unknown \[\]"),
        ("unknown", r"missing \[\], unknown \['conv9'\]"),
        ("dtype", r"mask of conv1 must be bool \(16,\), got torch.float32 \(16,\)"),
        ("shape", r"mask of conv1 must be bool \(16,\), got torch.bool \(15,\)"),
        ("empty", "mask of conv1 keeps no filter; keep at least one"),
    ],
)
def test_masks_that_do_not_fit_are_refused_and_change_nothing(kind: str, message: str) -> None:
    network = lived_in("resnet8")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(ValueError, match=message):
        apply_(network, Kept(_bad(network, kind)))
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_achieved_and_changed_count_filters() -> None:
    before = {"a": torch.tensor([True, True, False, False]), "b": torch.tensor([True, False])}
    after = {"a": torch.tensor([True, False, True, False]), "b": torch.tensor([True, False])}
    assert Kept(before).share == 0.5
    assert mask_sets.changed(before, after) == 2
    assert mask_sets.changed(before, before) == 0


@pytest.mark.parametrize("name", ["resnet8", "vgg11"])
def test_applied_masks_zero_weights_bias_and_batch_norm_and_nothing_else(name: str) -> None:
    network = lived_in(name)
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    masks = random_masks(network)
    apply_(network, Kept(masks))
    for layer in network.layers:
        names = (layer.name, layer.batch_norm)
        zeroed = {f"{name}.{part}" for name in names for part in ("weight", "bias")}
        for key in zeroed & before.keys():
            expected = before.pop(key)
            expected[~masks[layer.name]] = 0.0
            assert torch.equal(network.state_dict()[key], expected)
    assert all(torch.equal(network.state_dict()[key], tensor) for key, tensor in before.items())


@pytest.mark.parametrize("name", ["resnet8", "vgg11"])
def test_masked_channels_put_out_exactly_zero(name: str) -> None:
    network = lived_in(name)
    masks = random_masks(network)
    apply_(network, Kept(masks))
    seen: dict[str, torch.Tensor] = {}
    for layer in network.layers:
        end = network.get_submodule(layer.batch_norm or layer.name)
        end.register_forward_hook(lambda _, __, out, key=layer.name: seen.update({key: out}))
    network(images(network, 2))
    assert all(not seen[key][:, ~mask].any() for key, mask in masks.items())
    assert all(seen[key][:, mask].any() for key, mask in masks.items())


def test_masks_are_read_back_from_zeros() -> None:
    network = lived_in("vgg11")
    masks = random_masks(network)
    apply_(network, Kept(masks))
    found = mask_sets.from_zeros(network)
    assert found.keys() == masks.keys()
    assert all(torch.equal(found[name], mask) for name, mask in masks.items())


def test_filter_of_one_tiny_weight_is_not_a_zero_filter() -> None:
    network = lived_in("resnet8")
    with torch.no_grad():
        network.filters()["conv1"][3] = 0.0
        network.filters()["conv1"][4] = 0.0
        network.filters()["conv1"][4, 2, 1, 1] = -1e-38
    assert mask_sets.from_zeros(network)["conv1"].logical_not().nonzero().flatten().tolist() == [3]


def _train(network: Network, optimizer: torch.optim.Optimizer, masks: mask_sets.Masks, *, clear: bool) -> None:
    holder = Holder(network)
    network.train()
    for step in range(3):
        batch = images(network, 4, seed=step)
        functional.cross_entropy(network(batch), torch.arange(4)).backward()
        optimizer.step()
        optimizer.zero_grad()
        holder.hold_(masks, optimizer if clear else None)


@pytest.mark.parametrize("name", ["resnet8", "vgg11"])
def test_held_filters_stay_zero_through_steps_with_momentum_from_before(name: str) -> None:
    network = lived_in(name)
    masks = random_masks(network)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4)
    _train(network, optimizer, mask_sets.full(network), clear=True)  # dense steps fill the momentum
    some = next(key for key, mask in masks.items() if not mask.all())
    assert optimizer.state[network.filters()[some]]["momentum_buffer"][~masks[some]].any()
    _train(network, optimizer, masks, clear=True)
    for layer in network.layers:
        own, norm, dropped = network.get_submodule(layer.name), network.batch_norm(layer), ~masks[layer.name]
        for parameter in (own.weight, own.bias, *((norm.weight, norm.bias) if norm is not None else ())):
            if parameter is not None:
                assert not parameter[dropped].any()
                assert not optimizer.state[parameter]["momentum_buffer"][dropped].any()
                assert parameter[~dropped].any()


def test_momentum_is_left_alone_where_no_optimizer_is_given() -> None:
    network = lived_in("resnet8")
    masks = random_masks(network)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    _train(network, optimizer, mask_sets.full(network), clear=True)
    weight = network.filters()["conv1"]
    before = optimizer.state[weight]["momentum_buffer"].clone()
    Holder(network).hold_(masks)
    assert not weight[~masks["conv1"]].any()
    assert torch.equal(optimizer.state[weight]["momentum_buffer"], before)


def test_scale_can_be_left_to_the_training() -> None:
    network = lived_in("vgg11")
    masks = random_masks(network)
    normed = [layer for layer in network.layers if layer.batch_norm is not None]
    before = {layer.name: network.batch_norm(layer).weight.detach().clone() for layer in normed}
    Holder(network, scale=False).hold_(masks)
    for layer in normed:
        assert torch.equal(network.batch_norm(layer).weight, before[layer.name])
        assert not network.batch_norm(layer).bias[~masks[layer.name]].any()
