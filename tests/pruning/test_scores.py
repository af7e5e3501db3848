"""Scores of filters: norms over whole filters, and chance that depends on the seed alone."""

import pytest
import torch

from lib.pruning.scores import norm, norms, uniform
from lib.randomness import stream

# Two filters over two input channels of 1x2 pixels.
WEIGHT = torch.tensor([[[[3.0, 0.0]], [[0.0, -4.0]]], [[[1.0, -1.0]], [[-1.0, 1.0]]]])


@pytest.mark.parametrize(("order", "expected"), [(1, [7.0, 4.0]), (2, [5.0, 2.0])])
def test_norm_is_over_the_whole_filter(order: int, expected: list[float]) -> None:
    assert norm(WEIGHT, order).tolist() == expected


def test_norms_cover_every_layer_and_need_no_gradient() -> None:
    weights = {"first": WEIGHT.clone().requires_grad_(), "second": 2 * WEIGHT}
    found = norms(weights, 2)
    assert {name: scores.tolist() for name, scores in found.items()} == {"first": [5.0, 2.0], "second": [10.0, 4.0]}
    assert not found["first"].requires_grad


def test_norm_keeps_the_order_of_filters_that_single_precision_would_confuse() -> None:
    weight = torch.ones(2, 512, 3, 3, dtype=torch.float64)
    weight[1, 0, 0, 0] += 1e-9
    first, second = norm(weight, 2)
    assert second > first


def test_uniform_scores_are_those_of_the_seed_whatever_the_weights() -> None:
    weights = {"first": torch.zeros(50, 3, 3, 3), "second": torch.zeros(70, 50, 1, 1)}
    others = {name: weight.double() + 7.0 for name, weight in weights.items()}
    found, again, other_seed = (
        uniform(given, stream(seed, "masks")) for given, seed in ((weights, 0), (others, 0), (weights, 1))
    )
    for name, weight in weights.items():
        assert found[name].shape == (len(weight),)
        assert torch.equal(found[name], again[name])
        assert not torch.equal(found[name], other_seed[name])
    assert not torch.equal(found["first"], found["second"][:50])


def test_uniform_scores_fill_the_unit_interval_without_ties() -> None:
    scores = uniform({"layer": torch.zeros(2000, 1, 1, 1)}, stream(0, "masks"))["layer"]
    assert 0.0 <= scores.min() < 0.01
    assert 0.99 < scores.max() < 1.0
    assert len(scores.unique()) > 1990
