"""Sizes that the sources print or imply, from this project's networks and masks (closed-form MACs: tests/test_cost.py)."""

from collections.abc import Mapping

import pytest

from lib.cost.macs import count, fractional_macs
from lib.masks.filters import Masks
from lib.masks.kept import Kept, apply_
from lib.masks.weights import weights
from lib.networks import build
from lib.networks.architecture import Architecture
from lib.networks.network import Network
from lib.pruning.layers import Layers
from lib.pruning.scores import norms
from lib.pruning.selection import Selection
from lib.randomness import stream

CIFAR = (3, 32, 32)
NEAREST = Layers("every", (), {}, "nearest", 1, "uniform", None, linear=False)
FLOORED = Layers("every", (), {}, "pruned", 1, "uniform", None, linear=False)
NGGM = {  # parameters for ten classes; kept weights of convolutions at 0.6; millions of MACs where only rows are removed
    "resnet20": (269_722, 159_390, "24.53"),
    "resnet56": (853_018, 504_990, "75.85"),
    "resnet110": (1_727_962, 1_023_390, "152.82"),
}
NGGM_READ_TOO = {"resnet20": (124_425, "19.46"), "resnet56": (400_095, "60.63"), "resnet110": (813_600, "122.38")}
SFP = {  # percent of MACs saved by whole filters at keep ratios 0.7 and 0.6
    "resnet20": ("39.04", "51.70"),
    "resnet32": ("38.44", "50.92"),
    "resnet56": ("38.05", "50.41"),
    "resnet110": ("37.81", "50.11"),
}


def _masked(name: str, keep_ratio: float, layers: Layers) -> tuple[Network, Masks]:
    network = build(Architecture(name, 10, 3), stream(0, "initialisation"))
    masks = Selection(network, keep_ratio, coupled=False, layers=layers).choose(norms(network.filters(), 1))
    apply_(network, Kept(masks))
    return network, masks


def _macs(network: Network, masks: Masks, reads: Mapping[str, str]) -> float:
    """MACs of the convolutions without dropped rows, nor the columns of convolutions that read a single pruned one."""
    macs, left = count(network, CIFAR).macs, 0.0
    for layer, mask in masks.items():
        inputs = masks[reads[layer]].double().mean().item() if layer in reads else 1.0
        left += macs[layer] * mask.double().mean().item() * inputs
    return left


def _inner(network: Network) -> dict[str, str]:
    """Which convolution each one reads, inside blocks."""
    return {reader: layer.name for layer in network.layers for reader in network.description.readers(layer.name)}


@pytest.mark.parametrize(("name", "expected"), NGGM.items())
def test_rows_that_nggm_removes_leave_its_weights_and_macs(name: str, expected: tuple[int, int, str]) -> None:
    network, masks = _masked(name, 0.6, NEAREST)
    params, kept, macs = expected
    assert count(network, CIFAR).params == params
    assert sum(int(weights(network)[layer.name].ne(0).sum()) for layer in network.layers) == kept
    assert f"{_macs(network, masks, {}) / 1e6:.2f}" == macs


@pytest.mark.parametrize(("name", "expected"), NGGM_READ_TOO.items())
def test_inputs_that_nobody_writes_save_what_nggm_would(name: str, expected: tuple[int, str]) -> None:
    network, masks = _masked(name, 0.6, NEAREST)
    kept, reads = 0, _inner(network)
    for layer in network.layers:
        weight = weights(network)[layer.name].ne(0)
        kept += int((weight[:, masks[reads[layer.name]]] if layer.name in reads else weight).sum())
    assert (kept, f"{_macs(network, masks, _inner(network)) / 1e6:.2f}") == expected


@pytest.mark.parametrize(("name", "expected"), SFP.items())
def test_whole_filters_save_less_than_the_closed_form_says(name: str, expected: tuple[str, str]) -> None:
    for keep_ratio, percent in zip((0.7, 0.6), expected, strict=True):
        network, masks = _masked(name, keep_ratio, FLOORED)
        macs = count(network, CIFAR).macs
        dense = sum(macs[layer] for layer in masks)
        left = _macs(network, masks, _inner(network) | {"layer1.0.conv1": "conv1"})  # the stem alone has written there
        assert f"{100 * (1 - left / dense):.2f}" == percent
        assert left / dense > fractional_macs(network, CIFAR, keep_ratio) / dense
