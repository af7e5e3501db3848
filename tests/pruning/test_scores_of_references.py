"""Scores and choices of SFP, FPGM and NGGM as their public reference implementations computed them."""

import copy
import itertools
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from lib.masks.filters import top_k
from lib.pruning.layers import EVERYWHERE
from lib.pruning.methods import fpgm
from lib.pruning.scores import distance_sums, first_order, gradient_median, min_max, norm
from tests.goldens import read, relative_error
from tests.networks_for_tests import lived_in
from tests.pruning.test_every_method import params, request

LAYERS = ("w8", "w16")
FPGM, SFP, NGGM = read("fpgm"), read("sfp"), read("nggm")
TOLERANCE = {torch.float64: 1e-7, torch.float32: 1e-5}


def kept(scores: Tensor, count: int) -> list[int]:
    return top_k(scores, count).nonzero().flatten().tolist()


def tensor(values: Any, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.tensor(values, dtype=dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("layer", LAYERS)
def test_sfp_norms_and_kept_filters(layer: str, dtype: torch.dtype) -> None:
    weight, expected = tensor(SFP["inputs"][layer], dtype), SFP["outputs"][layer]
    norms = norm(weight, 2)
    assert relative_error(norms, tensor(expected["l2_norms"], dtype)) < TOLERANCE[dtype]
    for case in expected["selections"]:
        assert kept(norms, len(weight) - case["n_pruned"]) == case["kept"]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", range(len(FPGM["params"]["pairs"])))
@pytest.mark.parametrize("layer", LAYERS)
def test_fpgm_distance_sums_among_its_candidates(layer: str, case: int, dtype: torch.dtype) -> None:
    weight, expected = tensor(FPGM["inputs"][layer], dtype), FPGM["outputs"][layer][case]
    candidates = expected["candidates"]
    assert kept(norm(weight, 2), len(candidates)) == candidates
    among = torch.zeros(len(weight), dtype=torch.bool)
    among[candidates] = True
    sums = distance_sums(weight, among, "euclidean", squared=False)[candidates]
    assert relative_error(sums, tensor(expected["distance_sums"], dtype)) < TOLERANCE[dtype]


@pytest.mark.parametrize("case", range(len(FPGM["params"]["pairs"])))
def test_fpgm_both_stages_keep_what_the_reference_keeps(case: int) -> None:
    """Through the method itself, on a network whose stem is the golden layer."""
    network, expected, pair = lived_in("resnet8", in_channels=4), FPGM["outputs"]["w16"][case], FPGM["params"]["pairs"][case]
    with torch.no_grad():
        network.filters()["conv1"].copy_(tensor(FPGM["inputs"]["w16"]))
    before = copy.deepcopy(network.state_dict())
    ratio, first = pair["rate_norm_keep"] - pair["rate_dist_prune"], round(1.0 - pair["rate_norm_keep"], 9)
    for ratios in ({}, {"conv1": len(expected["kept"])}):  # as the reference is told, and by number
        asked = replace(request(network, ratio), layers=replace(EVERYWHERE, keep_ratios=ratios, rounding="pruned"))
        masks = fpgm.method(network, params("fpgm", norm_remove=first, update="soft", start="dense"), asked).masks()
        assert masks["conv1"].nonzero().flatten().tolist() == expected["kept"]
        network.load_state_dict(before)


def test_fpgm_truncates_what_each_stage_drops() -> None:
    """16 filters at 0.6: 4 by norm and 1 by distance; in one go it would be 6."""
    network = lived_in("resnet8")
    for first, dropped in ((0.0, {16: 6, 32: 12, 64: 25}), (0.3, {16: 5, 32: 12, 64: 25}), (0.25, {16: 6, 32: 12, 64: 25})):
        asked = replace(request(network, 0.6), layers=replace(EVERYWHERE, rounding="pruned"))
        masks = fpgm.method(network, params("fpgm", norm_remove=first, update="hard"), asked).masks()
        assert {len(mask): int((~mask).sum()) for mask in masks.values()} == dropped


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("layer", LAYERS)
def test_nggm_scores_and_kept_filters(layer: str, dtype: torch.dtype) -> None:
    weight, gradient = (tensor(NGGM["inputs"][kind][layer], dtype) for kind in ("weights", "grads"))
    for case in NGGM["outputs"][layer]["nggm"]:
        scores = gradient_median(weight, gradient, case["gamma"], squared=True)
        assert relative_error(scores, tensor(case["scores"], dtype)) < TOLERANCE[dtype]
        for choice in case["selections"]:
            assert kept(scores, len(choice["kept"])) == choice["kept"]


@pytest.mark.parametrize("layer", LAYERS)
def test_the_parts_and_neighbours_of_nggm(layer: str) -> None:
    weight, gradient = (tensor(NGGM["inputs"][kind][layer]) for kind in ("weights", "grads"))
    expected = NGGM["outputs"][layer]
    everyone = torch.ones(len(weight), dtype=torch.bool)
    sums, others = distance_sums(weight, everyone, "euclidean", squared=True), expected["other_mode_scores"]
    for got, golden in (
        (sums, expected["squared_distance_sums"]),
        (norm(gradient, 1), expected["gradient_l1"]),
        (norm(weight, 1), others["filter-a"]),
        (first_order(weight, gradient), others["filter-g-a"]),
        (sums, others["filter-gm"]),
    ):
        assert relative_error(got, tensor(golden)) < 1e-7


def test_a_layer_of_equal_filters_scores_zero_and_not_nan() -> None:
    weight, gradient = torch.ones(4, 2, 3, 3), torch.ones(4, 2, 3, 3)
    assert gradient_median(weight, gradient, 0.5, squared=False).tolist() == [0.0] * 4
    assert min_max(torch.full((3,), 7.0)).tolist() == [0.0] * 3


@pytest.mark.parametrize("factor", [1e-3, 50.0])
def test_nggm_ranks_alike_whatever_the_scale_of_weights_and_loss(factor: float) -> None:
    weight, gradient = (tensor(NGGM["inputs"][kind]["w16"]) for kind in ("weights", "grads"))
    for squared in (False, True):
        plain = gradient_median(weight, gradient, 0.5, squared=squared)
        for scaled in (
            gradient_median(factor * weight, gradient, 0.5, squared=squared),
            gradient_median(weight, factor * gradient, 0.5, squared=squared),
        ):
            assert torch.allclose(plain, scaled, atol=1e-9)


def test_squared_distances_rank_by_the_distance_to_the_mean_filter() -> None:
    """GM_i - GM_k = F (|w_i - mean|^2 - |w_k - mean|^2), so it is no geometric median that the squared variant finds."""
    weight = tensor(NGGM["inputs"]["weights"]["w16"])
    sums = distance_sums(weight, torch.ones(16, dtype=torch.bool), "euclidean", squared=True)
    flat = weight.flatten(1)
    apart = (flat - flat.mean(0)).square().sum(1)
    assert torch.allclose(sums - sums[0], 16 * (apart - apart[0]))


@pytest.mark.parametrize("distance", ["euclidean", "cityblock", "cosine"])
def test_distances_by_brute_force(distance: Any) -> None:
    weight = torch.randn(9, 3, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    among = torch.arange(9) % 3 != 0
    one_by_one = {
        "euclidean": lambda a, b: (a - b).square().sum().sqrt(),
        "cityblock": lambda a, b: (a - b).abs().sum(),
        "cosine": lambda a, b: 1.0 - functional.cosine_similarity(a, b, dim=0),
    }[distance]
    expected = torch.zeros(9, dtype=torch.float64)
    for i, j in itertools.product(range(9), range(9)):
        if i != j and among[j]:
            expected[i] += one_by_one(weight[i].flatten(), weight[j].flatten())
    assert torch.allclose(distance_sums(weight, among, distance, squared=False), expected, atol=1e-7)


def test_the_three_distances_are_three_options() -> None:
    weight = torch.randn(12, 3, 3, 3, generator=torch.Generator().manual_seed(3))
    weight *= torch.linspace(0.2, 3.0, 12).view(-1, 1, 1, 1)
    everyone = torch.ones(12, dtype=torch.bool)
    ranks = {tuple(distance_sums(weight, everyone, kind, squared=False).argsort().tolist()) for kind in
             ("euclidean", "cityblock", "cosine")}  # fmt: skip
    assert len(ranks) == 3


def test_a_zero_filter_has_finite_distances() -> None:
    weight = torch.randn(4, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    weight[1] = 0.0
    for distance in ("euclidean", "cityblock", "cosine"):
        assert distance_sums(weight, torch.ones(4, dtype=torch.bool), distance, squared=False).isfinite().all()  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("distance", "order"), [("euclidean", 2), ("cityblock", 1)])
def test_fpgm_drops_what_torch_ao_drops(distance: Any, order: int) -> None:
    from torch.ao.pruning._experimental.pruner.FPGM_pruner import FPGMPruner

    layer = torch.nn.Conv2d(6, 20, 3)
    torch.nn.init.normal_(layer.weight, generator=torch.Generator().manual_seed(1))
    weight = layer.weight.detach().clone()
    oracle = FPGMPruner(0.5, dist=order)
    oracle.prepare(torch.nn.Sequential(layer), [{"tensor_fqn": "0.weight"}])
    oracle.enable_mask_update = True
    oracle.step()
    mask = layer.parametrizations.weight[0].mask  # type: ignore[union-attr,index]
    sums = distance_sums(weight, torch.ones(20, dtype=torch.bool), distance, squared=False)
    assert kept(sums, 10) == mask.nonzero().flatten().tolist()
