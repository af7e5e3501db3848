"""The sensitivity scan against a brute force of its own, and what it leaves behind."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from lib.images.augmentation import STILL
from lib.images.batches import Batches
from lib.images.dataset import Dataset, Split
from lib.images.dataset import load as load_data
from lib.networks import build
from lib.networks.architecture import Architecture
from lib.networks.network import Network
from lib.pruning import sensitivity
from lib.pruning.sensitivity import UNPRUNED, scan
from lib.randomness import stream
from lib.training.evaluation import evaluate
from tests import tiny
from tests.networks_for_tests import lived_in

CPU = torch.device("cpu")
RATIOS = (0.9, 0.5, 0.1)


class Count:
    """A progress bar that counts."""

    def __init__(self, total: int = 0, done: int = 0) -> None:
        self.total, self.done = total, done

    def update(self, n: float = 1) -> None:
        self.done += int(n)

    def set_postfix_str(self, s: str) -> None:
        pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sensitivity")
    tiny.digits(folder)
    return folder


@pytest.fixture(scope="module")
def data(folder: Path) -> Dataset:
    return load_data(folder / "digits")


@pytest.fixture(scope="module")
def trained(data: Dataset) -> Network:
    """A network that knows something of the digits, so that what is taken away shows."""
    network = build(Architecture("resnet8", 10, 1), stream(0, "initialisation")).train()
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9)
    for images, labels in _batches(data.splits["train"], data).plain(64):
        optimizer.zero_grad()
        functional.cross_entropy(network(images), labels).backward()
        optimizer.step()
    return network.eval()


@pytest.fixture
def network(trained: Network) -> Network:
    return copy.deepcopy(trained)


@pytest.fixture
def batches(data: Dataset) -> Batches:
    return _batches(data.splits["validation"], data)


def _batches(split: Split, data: Dataset) -> Batches:
    return Batches(split.images, split.labels, data.mean, data.std, STILL, CPU)


def _watch(patch: pytest.MonkeyPatch, after: Callable[[int], None] = lambda _: None) -> list[dict[str, Tensor]]:
    """The states of the networks that the scan scores, in order; `after` gets the number of each."""
    seen: list[dict[str, Tensor]] = []

    def spy(network: Network, batches: Batches) -> Any:
        seen.append({name: tensor.clone() for name, tensor in network.state_dict().items()})
        after(len(seen))
        return evaluate(network, batches)

    patch.setattr(sensitivity, "evaluate", spy)
    return seen


def _equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@torch.no_grad()
def _by_hand(network: Network, batches: Batches, layer: int, kept: int, order: int) -> float:
    """Top-1 of a copy whose filters of smallest norm are silenced one by one."""
    victim = copy.deepcopy(network)
    weight, norm = victim.weight(victim.layers[layer].name), victim.batch_norm(victim.layers[layer])
    assert norm is not None
    sizes = [float((filters.abs() ** order).sum()) for filters in weight]
    for index in np.argsort(sizes)[: len(sizes) - kept]:
        for tensor in (weight, norm.weight, norm.bias):
            tensor[index] = 0.0
    right = sum(int((victim(images).argmax(1) == labels).sum()) for images, labels in batches.plain(64))
    return 100.0 * right / len(batches)


@pytest.mark.parametrize("order", [1, 2])
def test_every_row_is_what_a_brute_force_finds(network: Network, batches: Batches, order: Any) -> None:
    rows = scan(network, batches, RATIOS, order, Count)
    whole = evaluate(network, batches).top1
    counts = {16: (14, 8, 1), 32: (28, 16, 3), 64: (57, 32, 6)}
    expected = [(UNPRUNED, 1.0, whole)]
    for index, layer in enumerate(network.layers):
        width = layer.width
        tops = [_by_hand(network, batches, index, kept, order) for kept in counts[width]]
        expected += [(layer.name, ratio, top1) for ratio, top1 in zip(RATIOS, tops, strict=True)]
        assert tuple(rows.loc[rows["layer"] == layer.name, "kept"]) == counts[width]
        assert set(rows.loc[rows["layer"] == layer.name, "part"]) == {layer.part}
    assert list(rows[["layer", "keep_ratio", "top1"]].itertuples(index=False, name=None)) == expected
    assert rows["drop"].tolist() == [whole - top1 for _, _, top1 in expected]
    assert whole > 70.0  # or the comparison would mean little
    assert rows["top1"].nunique() > 10


def test_only_the_scanned_layer_changes_and_its_dropped_filters_are_zero(
    network: Network, batches: Batches, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = copy.deepcopy(network.state_dict())
    seen = _watch(monkeypatch)
    rows = scan(network, batches, (0.5,), 1, Count)
    assert _equal(seen[0], before)
    for state, layer, kept in zip(seen[1:], network.layers, rows["kept"][1:], strict=True):
        own = {f"{layer.name}.weight", f"{layer.batch_norm}.weight", f"{layer.batch_norm}.bias"}
        assert {name for name in before if not torch.equal(state[name], before[name])} == own
        for name in own:
            alive = state[name].flatten(1).any(1) if state[name].dim() > 1 else state[name] != 0
            assert int(alive.sum()) == kept
            assert torch.equal(state[name][alive], before[name][alive])


@pytest.mark.parametrize("name", ["resnet8", "vgg16"])
def test_the_network_is_left_as_it_was_bit_for_bit(name: str) -> None:
    network = lived_in(name, in_channels=3)
    before = copy.deepcopy(network.state_dict())
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    scan(network, Batches(images, torch.arange(4), (0.5,) * 3, (0.2,) * 3, STILL, CPU), (0.4,), 2, Count)
    assert _equal(network.state_dict(), before)


def test_an_interrupted_scan_leaves_the_network_as_it_was(
    network: Network, batches: Batches, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(number: int) -> None:
        if number == 3:
            raise KeyboardInterrupt

    before = copy.deepcopy(network.state_dict())
    seen = _watch(monkeypatch, stop)
    with pytest.raises(KeyboardInterrupt):
        scan(network, batches, (0.5,), 1, Count)
    assert not _equal(seen[-1], before)
    assert _equal(network.state_dict(), before)


def test_keeping_every_filter_loses_nothing(network: Network, batches: Batches) -> None:
    rows = scan(network, batches, (1.0,), 1, Count)
    assert len(rows) == 1 + len(network.layers)
    assert (rows["kept"] == rows["width"]).all()
    assert (rows["drop"] == 0.0).all()


@pytest.mark.parametrize(("order", "stays"), [(1, False), (2, True)])
def test_the_order_chooses_the_norm(
    network: Network, batches: Batches, monkeypatch: pytest.MonkeyPatch, order: Any, stays: bool
) -> None:
    weight = network.weight(network.layers[0].name).detach()
    weight[:] = 0.2
    weight[0] = 0.0
    weight[0, 0, 1, 1] = 1.0  # L1: 1 below 9 x 0.2; L2: 1 above 3 x 0.2
    seen = _watch(monkeypatch)
    scan(network, batches, (0.5,), order, Count)
    assert bool(seen[1]["conv1.weight"][0].any()) is stays


def test_the_bar_counts_every_evaluation_and_ratios_come_once_and_falling(network: Network, batches: Batches) -> None:
    bars: list[Count] = []
    rows = scan(network, batches, (0.1, 0.5, 0.1), 1, lambda total, done: bars.append(Count(total, done)) or bars[0])
    assert rows.loc[rows["layer"] == "conv1", "keep_ratio"].tolist() == [0.5, 0.1]
    assert bars[0].done == bars[0].total == len(rows)
