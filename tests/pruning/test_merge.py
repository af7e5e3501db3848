"""Merging filters: which pairs, in which order, and what reads them."""

import pytest
import torch

from lib.masks.kept import Kept, apply_
from lib.networks.network import Network
from lib.pruning.methods import merge
from lib.pruning.methods.regularise import similarity
from tests.networks_for_tests import images, lived_in
from tests.pruning.test_every_method import make, params

INNER = "layer2.0.conv1"


@torch.no_grad()
def copied(network: Network, times: float) -> None:
    """Make filters 1, 3, 5, ... of an inner layer positive multiples of 0, 2, 4, ..., batch norm included."""
    layer = network.description.layers[INNER]
    weight, norm = network.weight(INNER), network.batch_norm(layer)
    assert norm is not None
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.weight.abs_()
    weight[1::2] = times * weight[::2]
    norm.running_mean[1::2] = times * norm.running_mean[::2]
    norm.running_var[1::2] = times**2 * (norm.running_var[::2] + norm.eps) - norm.eps
    norm.weight[1::2] = 3.0 * norm.weight[::2]
    norm.bias[1::2] = 3.0 * norm.bias[::2]


def merged(network: Network, **changes: object) -> dict[str, torch.Tensor]:
    """Merge half of the one inner layer, as the method does, and drop what was merged."""
    given = params("merge", **changes)
    ranks, partners = merge.order(network.filters()[INNER])
    masks = {name: torch.ones(len(weight), dtype=torch.bool) for name, weight in network.filters().items()}
    scores = {name: torch.arange(float(len(mask))) for name, mask in masks.items()} | {INNER: ranks}
    masks[INNER] = ranks >= len(ranks) // 2
    order = {name: list(range(len(mask))) for name, mask in masks.items()} | {INNER: partners}
    merge.merge_(network, masks, order, scores, given)
    apply_(network, Kept(masks))
    return masks


@pytest.mark.parametrize("fuse", [1.0, 0.75, 0.5])
@pytest.mark.parametrize("times", [0.5, 2.0])
def test_merging_multiples_changes_nothing_when_what_reads_them_is_compensated(times: float, fuse: float) -> None:
    network = lived_in("resnet8").double()
    copied(network, times)
    batch = images(network, 4, dtype=torch.float64)
    with torch.no_grad():
        before = network(batch)
        merged(network, fuse=fuse)
        assert torch.allclose(network(batch), before, atol=1e-9)


def test_without_a_batch_norm_the_lengths_of_filters_are_their_scales() -> None:
    network, name = lived_in("vgg11_plain").double(), "features.3"
    layer, batch = network.get_submodule(name), images(network, 4, dtype=torch.float64)
    masks = {one: torch.ones(len(weight), dtype=torch.bool) for one, weight in network.filters().items()}
    masks[name][5] = False
    with torch.no_grad():
        layer.weight[5], layer.bias[5] = 0.25 * layer.weight[2], 0.25 * layer.bias[2]
        before = network(batch)
        ranks, partners = merge.order(layer.weight)
        assert partners[5] == 2
        still = {one: list(range(len(mask))) for one, mask in masks.items()}
        scores = {one: torch.arange(float(len(mask))) for one, mask in masks.items()} | {name: ranks}
        merge.merge_(network, masks, still | {name: partners}, scores, params("merge", compensate=True))
        apply_(network, Kept(masks))
        assert torch.allclose(network(batch), before, rtol=1e-9, atol=1e-12)


def test_without_compensation_merging_multiples_does_change_the_network() -> None:
    network = lived_in("resnet8").double()
    copied(network, 2.0)
    batch = images(network, 4, dtype=torch.float64)
    with torch.no_grad():
        before = network(batch)
        merged(network, fuse=1.0, compensate=False)
        assert (network(batch) - before).abs().max() > 1e-3


def test_the_most_similar_pair_goes_first_and_the_stronger_one_stays() -> None:
    weight = torch.eye(6).view(6, 6, 1, 1).clone()
    weight[4] = 0.5 * weight[1] + 0.01 * weight[0]  # most like 1, and weaker
    weight[2] = 3.0 * (weight[5] + 0.5 * weight[3])  # then like 5, and stronger
    ranks, partners = merge.order(weight)
    assert ranks[4] == 0
    assert partners[4] == 1
    assert ranks[5] == 1
    assert partners[5] == 2


def test_every_filter_goes_once_and_later_than_what_was_merged_into_it() -> None:
    weight = torch.randn(13, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    ranks, partners = merge.order(weight)
    assert sorted(ranks.tolist()) == list(range(13))
    for index, partner in enumerate(partners):
        assert ranks[partner] > ranks[index] or (partner == index and ranks[index] == 12)
    first_round = [index for index in range(13) if ranks[index] < 6]
    assert len({*first_round, *(partners[index] for index in first_round)}) == 12  # six pairs, nobody twice


def test_fuse_mixes_the_pair_at_the_norm_of_the_stronger_one_and_the_weaker_one_is_dropped() -> None:
    network = lived_in("resnet8")
    before = network.filters()[INNER].detach().clone()
    ranks, partners = merge.order(before)
    masks = merged(network, fuse=0.75)
    gone = int(ranks.argmin())
    into = partners[gone]
    if sum(partners[index] == into for index in range(32) if not masks[INNER][index]) == 1:
        mixed = 0.75 * before[into] + 0.25 * before[gone]
        assert torch.allclose(network.filters()[INNER][into], mixed * before[into].norm() / mixed.norm(), atol=1e-6)
    assert network.filters()[INNER][gone].eq(0).all()


def test_residual_streams_are_not_compensated() -> None:
    """What reads a stream reads sums of filters, so a filter merged away there has no reader of its own."""
    network, plain = lived_in("resnet8"), lived_in("resnet8")
    make("merge", network, 0.5, fuse=1.0)
    make("merge", plain, 0.5, fuse=1.0, compensate=False)
    for name, weight in network.filters().items():
        same = torch.equal(weight, plain.filters()[name])
        assert same == name.endswith("conv1"), name  # they read the image or a stream


def test_similarity_is_the_mean_over_pairs_of_different_kept_filters() -> None:
    weight = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, -3.0], [5.0, 5.0]]).view(4, 2, 1, 1)
    kept = torch.tensor([True, True, True, False])
    assert float(similarity(weight, kept)) == pytest.approx(1 / 3)
    assert float(similarity(weight, torch.ones(4, dtype=torch.bool))) == pytest.approx((1.0 + 3 * 0.5**0.5) / 6)
    assert float(similarity(weight, torch.arange(4) == 0)) == 0.0


def test_the_penalty_pushes_similar_filters_apart_and_leaves_dropped_ones_alone() -> None:
    weight = torch.tensor([[1.0, 0.1], [1.0, -0.1], [1.0, 0.0]]).view(3, 2, 1, 1).requires_grad_()
    similarity(weight, torch.tensor([True, True, False])).backward()
    assert weight.grad is not None
    stepped = weight.detach() - 0.1 * weight.grad
    before, after = (torch.cosine_similarity(w[0].flatten(), w[1].flatten(), dim=0) for w in (weight, stepped))
    assert after < before
    assert weight.grad[2].eq(0).all()
