"""Shared weights: those of the original, moved by summed gradients, never more values than asked for."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from lib.compaction.compact import compact
from lib.masks.kept import Kept, apply_
from lib.masks.weights import weights
from lib.networks import build
from lib.networks.network import Network
from lib.quantization.sharing import ZERO, share, share_, sum_gradients
from tests import goldens
from tests.networks_for_tests import images, lived_in, random_masks

GOLDEN = goldens.read("quant_huffman")


@pytest.mark.parametrize("layer", ["conv", "fc"])
def test_centroids_and_labels_are_those_of_the_original(layer: str) -> None:
    weight = torch.tensor(GOLDEN["inputs"][layer], dtype=torch.float64)
    expected = GOLDEN["outputs"][layer]
    centroids, labels = share(weight, GOLDEN["params"]["bits"][layer])
    assert goldens.relative_error(centroids, torch.tensor(expected["centroids"], dtype=torch.float64)) < 1e-7
    assert labels.tolist() == expected["labels"]
    assert labels[labels != ZERO].bincount().tolist() == expected["cluster_sizes"]


def test_it_stops_where_scikit_learn_stops() -> None:
    case = GOLDEN["inputs"]["tolerance_example"]
    expected = GOLDEN["outputs"]["tolerance_example"]
    centroids, labels = share(torch.tensor(case["values"], dtype=torch.float64), int(np.log2(case["K"])))
    assert labels.tolist() == expected["labels"]
    assert goldens.relative_error(centroids, torch.tensor(expected["centroids"], dtype=torch.float64)) < 1e-7


@given(st.lists(st.sampled_from([0.0, -1.0, -0.25, 0.5, 0.75, 1.0, 3.0]) | st.floats(-4, 4, width=32), max_size=60))
@example([-1.0, -1.0, 0.75, 1.0, 0.875, -1.5])  # a centre is empty at first
@settings(deadline=None, max_examples=50)
def test_zeros_stay_and_every_weight_takes_the_nearest_of_few_values(values: list[float]) -> None:
    weight = torch.tensor(values, dtype=torch.float32)
    distinct = weight[weight != 0].unique()
    centroids, labels = share(weight, 2)
    assert len(centroids) == min(4, len(distinct))
    if len(distinct) <= 4:
        assert centroids.tolist() == distinct.tolist()
    assert torch.equal(labels == ZERO, weight == 0)
    assert (centroids.diff() > 0).all()
    chosen = labels != ZERO
    if not chosen.any():
        return
    gaps = (weight[chosen].double()[:, None] - centroids).abs()
    assert (gaps.gather(1, labels[chosen, None])[:, 0] <= gaps.min(1).values + 1e-2).all()  # the last move of the centres


def test_very_small_weights_share_values_as_large_ones_do() -> None:
    """Their squares are zero in float32."""
    weight = torch.randn(8, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    (centroids, labels), (small, same) = share(weight, 3), share(weight * 2.0**-110, 3)
    assert torch.equal(small, centroids * 2.0**-110)
    assert torch.equal(same, labels)


def test_bits_go_by_the_first_pattern_and_others_stay_float() -> None:
    network = lived_in("resnet8")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    labels = share_(network, {"conv1": 3, "*conv1": 2})
    values = {name: len(network.get_submodule(name).weight.unique()) for name in labels}  # type: ignore[arg-type, union-attr]
    assert values.pop("conv1") == 8
    assert len(values) == 3
    assert set(values.values()) == {4}
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]) != (name.removesuffix(".weight") in labels), name


def test_a_pattern_that_fits_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^stem\* fits no layer of resnet8; it has: conv1, "):
        share_(lived_in("resnet8"), {"*": 5, "stem*": 4})


def _shared(name: str = "resnet8") -> tuple[Network, dict[str, Tensor]]:
    dense = lived_in(name)
    masks = random_masks(dense)
    apply_(dense, Kept(masks))
    network = compact(dense, Kept(masks), "scatter").train()  # widths of any number, so that vector units have a rest to do
    weights(network)["classifier"].data.flatten()[::3] = 0.0
    labels = share_(network, {"*": 3})
    sum_gradients(network, labels)
    return network, labels


def test_a_cluster_gets_the_sum_of_its_gradients_and_zeros_get_none() -> None:
    network, labels = _shared()
    plain = build(network.architecture)
    plain.load_state_dict(network.state_dict())
    for one in (network, plain):
        one(images(one, 4)).square().sum().backward()
    for name, own in labels.items():
        summed, single = (one.get_submodule(name).weight.grad for one in (network, plain))
        assert isinstance(summed, Tensor)
        assert isinstance(single, Tensor)
        for label in own.unique():
            expected = 0.0 if label == ZERO else float(single[own == label].double().sum())
            assert torch.allclose(summed[own == label].double(), torch.tensor(expected).double(), rtol=1e-4, atol=1e-3)
            assert len(summed[own == label].unique()) == 1


@pytest.mark.parametrize("nesterov", [True, False])
def test_steps_with_momentum_and_decay_keep_clusters_together_bit_for_bit(nesterov: bool) -> None:
    network, labels = _shared()
    optimizer = torch.optim.SGD(
        network.parameters(), lr=1e-4, momentum=0.9, nesterov=nesterov, weight_decay=5e-4, foreach=True
    )
    start = {name: network.get_submodule(name).weight.detach().clone() for name in labels}  # type: ignore[operator, union-attr]
    for seed in range(4):
        optimizer.zero_grad()
        network(images(network, 4, seed)).square().mean().backward()
        optimizer.step()
    for name, own in labels.items():
        weight: Any = network.get_submodule(name).weight
        assert not torch.equal(weight, start[name])
        assert (weight[own == ZERO] == 0).all()
        for label in own.unique():
            assert len(weight[own == label].unique()) == 1


def test_nan_weights_are_refused_by_layer() -> None:
    network = lived_in("resnet8")
    network.weight("conv1").data[0] = float("nan")
    with pytest.raises(ValueError, match="has weights that are no finite numbers in conv1; train it again"):
        share_(network, {"*": 4})
