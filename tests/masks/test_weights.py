"""Single weights: exactly so many stay, they are the largest, and their zeros survive disk, training and measuring."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lib.cost.macs import count
from lib.formats.checkpoint import Checkpoint, load, save
from lib.images.dataset import Dataset
from lib.images.dataset import load as load_data
from lib.masks.filters import full
from lib.masks.kept import Kept, apply_
from lib.masks.weights import Sparsity, Zeros, check, strongest, weights, zero_share
from lib.networks import build
from lib.networks.architecture import Architecture
from lib.networks.network import Network
from lib.pruning.held import held
from lib.pruning.layers import EVERYWHERE
from lib.pruning.scores import uniform
from lib.pruning.selection import Selection
from lib.randomness import stream
from lib.steps.compact import shrink
from lib.steps.distill import distill
from lib.steps.measure import measure
from lib.training.device import Compute
from tests import tiny
from tests.networks_for_tests import images, lived_in

COMPUTE = Compute(
    device="cpu", threads=1, precision="float32", train_remaining=True, processes=1, rendezvous=None, compile=False
)
RATIOS = (1.0, 0.57, 0.3, 0.001)


def _magnitudes(network: Network) -> dict[str, Tensor]:
    return {name: weight.detach().abs() for name, weight in weights(network).items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sparsity")


@pytest.fixture(scope="module")
def data(folder: Path) -> Dataset:
    return load_data(tiny.digits(folder))


def _sparse(data: Dataset, path: Path, keep_ratio: float = 0.3) -> Sparsity:
    """A checkpoint whose filters all stay and whose weights do not."""
    network = build(Architecture("resnet8", 10, 1), stream(0, "initialisation")).eval()
    sparsity = strongest(_magnitudes(network), keep_ratio, everywhere=False)
    Zeros(network).hold_(sparsity)
    save(path, Checkpoint(network, Kept(full(network), sparsity), data.shape, data.mean, data.std, {"epochs": 1}))
    return sparsity


def test_convolutions_and_linear_layers_are_pruned_and_nothing_else() -> None:
    network = lived_in("vgg11")
    assert set(weights(network)) == {layer.name for layer in network.layers} | {f"classifier.{index}" for index in (0, 3, 6)}


@pytest.mark.parametrize("keep_ratio", RATIOS)
def test_exactly_the_floor_is_kept_in_every_layer_and_at_least_one(keep_ratio: float) -> None:
    magnitudes = _magnitudes(lived_in("resnet8"))
    for name, mask in strongest(magnitudes, keep_ratio, everywhere=False).items():
        assert mask.shape == magnitudes[name].shape
        assert int(mask.sum()) == max(1, math.floor(mask.numel() * keep_ratio + 1e-9))
        if keep_ratio < 1.0:
            assert magnitudes[name][mask].min() >= magnitudes[name][~mask].max()


@pytest.mark.parametrize("keep_ratio", RATIOS)
def test_exactly_the_floor_is_kept_of_all_layers_together(keep_ratio: float) -> None:
    magnitudes = _magnitudes(lived_in("resnet8"))
    masks = strongest(magnitudes, keep_ratio, everywhere=True)
    total = sum(mask.numel() for mask in masks.values())
    assert sum(int(mask.sum()) for mask in masks.values()) == math.floor(total * keep_ratio + 1e-9)
    if keep_ratio < 1.0:
        kept = torch.cat([magnitudes[name][mask] for name, mask in masks.items() if int(mask.sum()) > 1])
        dropped = torch.cat([magnitudes[name][~mask] for name, mask in masks.items()])
        assert kept.min() >= dropped.max()
        assert len({round(Kept({name: mask}).share, 3) for name, mask in masks.items()}) > 3  # not the same share everywhere


@pytest.mark.parametrize("everywhere", [False, True])
def test_of_equal_weights_the_first_ones_stay(everywhere: bool) -> None:
    masks = strongest({"a": torch.ones(2, 3, 1, 1), "b": torch.ones(1, 4)}, 0.5, everywhere=everywhere)
    expected = ([1, 1, 1, 1, 0, 0], [1, 0, 0, 0]) if everywhere else ([1, 1, 1, 0, 0, 0], [1, 1, 0, 0])
    assert (masks["a"].flatten().int().tolist(), masks["b"].flatten().int().tolist()) == expected


@pytest.mark.parametrize(("everywhere", "others"), [(False, (25, 1)), (True, (24, 1))])
def test_every_layer_keeps_its_largest_weight_however_small(everywhere: bool, others: tuple[int, int]) -> None:
    magnitudes = {"a": torch.tensor([[1e-9, 3e-9, 2e-9]]), "b": torch.rand(5, 50)}
    for ratio, count_of_b in zip((0.1, 1e-3), others, strict=True):
        masks = strongest(magnitudes, ratio, everywhere=everywhere)
        assert masks["a"].tolist() == [[False, True, False]]
        assert int(masks["b"].sum()) == count_of_b


def test_a_checkpoint_gives_the_masks_back(data: Dataset, tmp_path: Path) -> None:
    sparsity = _sparse(data, tmp_path / "sparse.safetensors")
    again = load(tmp_path / "sparse.safetensors")
    assert again.kept is not None
    assert again.kept.weights.keys() == sparsity.keys()
    assert all(torch.equal(mask, again.kept.weights[name]) for name, mask in sparsity.items())
    save(tmp_path / "again.safetensors", again)
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "sparse.safetensors").read_bytes()


def test_distilling_holds_the_zeros_and_trains_the_others(
    data: Dataset, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lib.masks.weights.Zeros.hold_", _only_with_an_optimizer(Zeros.hold_))
    source, out = tmp_path / "sparse.safetensors", tmp_path / "out.safetensors"
    sparsity = _sparse(data, source)
    before = weights(load(source).network)
    given = tiny.document(distill__training__lr=0.1)
    given["distill"]["distillers"]["kd"]["terms"] = {"kd": 1.0}
    save(tmp_path / "teacher.safetensors", _teacher(data))
    distill(given, "kd", source, tmp_path / "teacher.safetensors", tiny.here(given, folder), out, tmp_path / "log.csv")
    trained = load(out)
    assert trained.kept is not None
    for name, weight in weights(trained.network).items():
        assert torch.equal(trained.kept.weights[name], sparsity[name])
        assert bool(weight[~sparsity[name]].eq(0).all())
        assert bool(weight[sparsity[name]].ne(before[name][sparsity[name]]).float().mean() > 0.9)


def _only_with_an_optimizer(hold: Callable[..., None]) -> Callable[..., None]:
    """Holding as the steps do it, and not once more at the end."""

    def held_(zeros: Zeros, sparsity: Sparsity, optimizer: torch.optim.Optimizer | None = None) -> None:
        if optimizer is not None:
            hold(zeros, sparsity, optimizer)

    return held_


def _teacher(data: Dataset) -> Checkpoint:
    """Untrained; it claims an accuracy, so that it is taken."""
    network = build(Architecture("resnet8", 10, 1), stream(1, "initialisation"))
    return Checkpoint(network, None, data.shape, data.mean, data.std, {"epochs": 1, "validation_top1": 100.0})


@pytest.mark.parametrize("keep_ratio", [0.3, 0.05])
def test_the_true_share_of_zeros_is_measured_and_macs_do_not_change(data: Dataset, tmp_path: Path, keep_ratio: float) -> None:
    sparsity = _sparse(data, tmp_path / "sparse.safetensors", keep_ratio)
    shrink(tmp_path / "sparse.safetensors", data, "scatter", COMPUTE, tmp_path / "small.safetensors")
    numbers = measure(tmp_path / "small.safetensors", data, keep_ratio, EVERYWHERE, COMPUTE).numbers
    dense = count(build(Architecture("resnet8", 10, 1)), data.shape)
    assert numbers["sparsity"] == round(1 - Kept(sparsity).share, 6) == pytest.approx(1 - keep_ratio, abs=1e-3)
    assert numbers["keep_ratio_achieved"] == round(Kept(sparsity).share, 6)
    assert (numbers["macs"], numbers["params"], numbers["macs_ratio"]) == (dense.total_macs, dense.params, 1.0)
    assert load(tmp_path / "small.safetensors").kept is None


def test_filters_that_are_gone_are_no_zeros(data: Dataset, tmp_path: Path) -> None:
    network = build(Architecture("resnet8", 10, 1), stream(0, "initialisation"))
    masks = Selection(network, 0.5, coupled=False).choose(uniform(network.filters(), stream(0, "masks")))
    apply_(network, Kept(masks))
    assert 0.4 < zero_share(network) < 0.6
    save(tmp_path / "masked.safetensors", Checkpoint(network, Kept(masks), data.shape, data.mean, data.std, {"epochs": 1}))
    shrink(tmp_path / "masked.safetensors", data, "scatter", COMPUTE, tmp_path / "small.safetensors")
    assert measure(tmp_path / "small.safetensors", data, 0.5, EVERYWHERE, COMPUTE).numbers["sparsity"] == 0.0


@pytest.mark.parametrize("kind", ["shape", "missing", "unknown", "dtype"])
def test_masks_that_do_not_fit_are_refused_by_name(data: Dataset, tmp_path: Path, kind: str) -> None:
    network = build(Architecture("resnet8", 10, 1), stream(0, "initialisation"))
    sparsity = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in weights(network).items()}
    check(network, sparsity)
    if kind == "shape":
        sparsity["conv1"] = sparsity["conv1"][1:]
    elif kind == "missing":
        del sparsity["conv1"]
    elif kind == "unknown":
        sparsity["conv9"] = torch.ones(1, dtype=torch.bool)
    else:
        sparsity["conv1"] = sparsity["conv1"].float()
    wrong = {"shape": r"\['conv1'\]", "missing": r"\['conv1'\]", "unknown": r"\['conv9'\]", "dtype": "their type"}[kind]
    with pytest.raises(ValueError, match=f"must be bool, shaped like the weights; wrong: {wrong}"):
        check(network, sparsity)
    bad = Checkpoint(network, Kept(full(network), sparsity), data.shape, data.mean, data.std, {})
    with pytest.raises(ValueError, match=f"wrong: {wrong}"):
        save(tmp_path / "bad.safetensors", bad)


def test_held_zeros_take_no_momentum_and_layers_without_a_mask_stay_whole() -> None:
    network = lived_in("resnet8").train()
    mask = torch.rand(64, 64, 3, 3, generator=stream(0, "masks")) < 0.5
    held(network, Kept(full(network), {"layer3.0.conv2": mask}))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    torch.nn.functional.cross_entropy(network(images(network, 4)), torch.arange(4)).backward()
    weight = network.filters()["layer3.0.conv2"]
    optimizer.state[weight]["momentum_buffer"] = torch.ones_like(weight)
    optimizer.step()
    Zeros(network).hold_({"layer3.0.conv2": mask}, optimizer)
    assert not bool(weight[~mask].any() | optimizer.state[weight]["momentum_buffer"][~mask].any())
    assert bool(network.filters()["layer3.0.conv1"].ne(0).all())
