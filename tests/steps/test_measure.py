"""The numbers of a cell are those of its checkpoint, counted on the test split."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.numpy import load as load_tensors

from lib.cost.macs import count, fractional_macs
from lib.formats.checkpoint import Checkpoint, load, save
from lib.images.augmentation import STILL
from lib.images.batches import Batches
from lib.images.dataset import Dataset
from lib.images.dataset import load as load_data
from lib.masks.filters import Masks
from lib.masks.kept import Kept, apply_
from lib.networks import build
from lib.networks.architecture import Architecture
from lib.pruning.layers import EVERYWHERE
from lib.pruning.scores import uniform
from lib.pruning.selection import Selection
from lib.randomness import stream
from lib.steps.compact import shrink
from lib.steps.measure import measure
from lib.training.device import Compute
from lib.training.evaluation import evaluate
from tests import tiny

CPU = torch.device("cpu")
COMPUTE = Compute(
    device="cpu", threads=1, precision="float32", train_remaining=True, processes=1, rendezvous=None, compile=False
)
KEEP = 0.5


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load_data(tiny.digits(tmp_path_factory.mktemp("digits")))


def _masked(data: Dataset, keep_ratio: float) -> Checkpoint:
    network = build(Architecture("resnet8", 10, 1), stream(0, "initialisation")).eval()
    masks = Selection(network, keep_ratio, coupled=False).choose(uniform(network.filters(), stream(0, "masks")))
    apply_(network, Kept(masks))
    notes = {"epochs": 7, "validation_top1": 12.3456789}
    return Checkpoint(network, Kept(masks), data.shape, data.mean, data.std, notes)


def _compact(data: Dataset, folder: Path, mode: str, keep_ratio: float = KEEP) -> tuple[Path, Masks]:
    masked = _masked(data, keep_ratio)
    save(folder / "masked.safetensors", masked)
    shrink(folder / "masked.safetensors", data, mode, COMPUTE, folder / "compact.safetensors")  # type: ignore[arg-type]
    assert masked.kept is not None
    return folder / "compact.safetensors", masked.kept.filters


@pytest.mark.parametrize("mode", ["scatter", "coupled"])
def test_the_numbers_agree_with_cost_and_evaluate(data: Dataset, tmp_path: Path, mode: str) -> None:
    source, masks = _compact(data, tmp_path, mode)
    numbers, told = measure(source, data, KEEP, EVERYWHERE, COMPUTE)
    small, dense = load(source).network, build(Architecture("resnet8", 10, 1))
    cost, whole = count(small, data.shape), count(dense, data.shape)
    test = data.splits["test"]
    scores = evaluate(small, Batches(test.images, test.labels, data.mean, data.std, STILL, CPU))
    expected = {
        "params": cost.params,
        "macs": cost.total_macs,
        "params_ratio": cost.params / whole.params,
        "macs_ratio": cost.total_macs / whole.total_macs,
        "bytes": source.stat().st_size,
        "classes": 10,
        "epochs": 7,
        "validation_top1": 12.345679,
        "top1": scores.top1,
        "top5": scores.top5,
        "masked_top1": scores.top1,
        "keep_ratio_achieved": Kept(masks).share,
        "sparsity": 0.0,
    }
    if mode == "scatter":
        expected["macs_fractional"] = fractional_macs(dense, data.shape, KEEP)
    assert {name: numbers[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    assert numbers.keys() == expected.keys() | {"max_abs_logit_difference", "max_abs_logit_difference_float64"}
    classes = load_tensors(told)
    assert classes["labels"].tolist() == test.labels.tolist()
    assert 100.0 * float((classes["predicted"] == classes["labels"]).mean()) == pytest.approx(scores.top1)
    assert numbers["max_abs_logit_difference"] < 1e-3
    assert all(isinstance(numbers[name], int) for name in ("params", "macs", "bytes", "epochs", "classes"))
    assert 0.0 < numbers["macs_ratio"] < 0.6


@pytest.mark.parametrize(
    ("changes", "given"),
    [
        ({}, True),
        ({"layer2.0.conv1": 1}, True),  # as FPGM's two stages may keep
        ({"layer2.0.conv1": 2}, False),  # a width that training chose
        ({"layer3.0.conv2": -1}, False),
    ],
)
def test_the_closed_form_is_given_where_every_layer_has_its_ratio(
    data: Dataset, tmp_path: Path, changes: dict[str, int], given: bool
) -> None:
    masked = _masked(data, KEEP)
    assert masked.kept is not None
    for name, more in changes.items():
        mask = masked.kept.filters[name]
        mask[(mask == (more < 0)).nonzero()[: abs(more)]] ^= True
    apply_(masked.network, masked.kept)
    save(tmp_path / "masked.safetensors", masked)
    shrink(tmp_path / "masked.safetensors", data, "scatter", COMPUTE, tmp_path / "compact.safetensors")
    numbers = measure(tmp_path / "compact.safetensors", data, KEEP, EVERYWHERE, COMPUTE).numbers
    assert ("macs_fractional" in numbers) == given
    other = replace(EVERYWHERE, allocation="global")
    assert "macs_fractional" not in measure(tmp_path / "compact.safetensors", data, KEEP, other, COMPUTE).numbers


def test_params_of_the_compact_network_are_those_of_its_tensors(data: Dataset, tmp_path: Path) -> None:
    source, _ = _compact(data, tmp_path, "scatter")
    assert measure(source, data, KEEP, EVERYWHERE, COMPUTE).numbers["params"] == sum(
        p.numel() for p in load(source).network.parameters()
    )


@pytest.mark.parametrize(("keep_ratio", "kept"), [(1.0, 1.0), (0.7, (11 * 3 + 22 * 2 + 44 * 2) / (16 * 3 + 64 + 128))])
def test_the_keep_ratio_achieved_counts_whole_filters(data: Dataset, tmp_path: Path, keep_ratio: float, kept: float) -> None:
    source, _ = _compact(data, tmp_path, "scatter", keep_ratio)
    numbers = measure(source, data, keep_ratio, EVERYWHERE, COMPUTE).numbers
    assert numbers["keep_ratio_achieved"] == round(kept, 6)
    assert (numbers["macs_ratio"] == 1.0) == (keep_ratio == 1.0)


def test_top5_means_nothing_with_five_classes(data: Dataset, tmp_path: Path) -> None:
    few = Dataset(data.name, data.classes[:5], data.shape, data.mean, data.std, data.sha256, {"test": _of_five(data)})
    network = build(Architecture("resnet8", 5, 1), stream(0, "initialisation"))
    masks = Selection(network, KEEP, coupled=False).choose(uniform(network.filters(), stream(0, "masks")))
    apply_(network, Kept(masks))
    notes = {"epochs": 1, "validation_top1": 20.0}
    save(tmp_path / "masked.safetensors", Checkpoint(network, Kept(masks), data.shape, data.mean, data.std, notes))
    shrink(tmp_path / "masked.safetensors", few, "scatter", COMPUTE, tmp_path / "compact.safetensors")
    numbers = measure(tmp_path / "compact.safetensors", few, KEEP, EVERYWHERE, COMPUTE).numbers
    assert "top5" not in numbers
    assert numbers["classes"] == 5


def _of_five(data: Dataset) -> object:
    test = data.splits["test"]
    chosen = test.labels < 5
    return type(test)(test.images[chosen], test.labels[chosen])


def test_a_checkpoint_without_masks_is_not_shrunk(data: Dataset, tmp_path: Path) -> None:
    source, _ = _compact(data, tmp_path, "scatter")
    with pytest.raises(ValueError, match="holds no masks; give a checkpoint of the prune or distill stage"):
        shrink(source, data, "scatter", COMPUTE, tmp_path / "again.safetensors")
    assert not (tmp_path / "again.safetensors").exists()


def test_a_shift_left_in_a_dropped_channel_is_not_zeroed_on_the_way(data: Dataset, tmp_path: Path) -> None:
    """SFP leaves them: without the channel the network answers otherwise."""
    masked = _masked(data, KEEP)
    assert masked.kept is not None
    dropped = (~masked.kept.filters["layer1.0.conv1"]).nonzero()[0]
    with torch.no_grad():
        masked.network.get_parameter("layer1.0.bn1.bias")[dropped] = 0.5
    save(tmp_path / "masked.safetensors", masked)
    with pytest.raises(ValueError, match=r"masked\.safetensors is not zero where .*: layer1\.0\.bn1\.bias"):
        shrink(tmp_path / "masked.safetensors", data, "scatter", COMPUTE, tmp_path / "compact.safetensors")
    assert not (tmp_path / "compact.safetensors").exists()


def test_data_of_other_shapes_or_classes_is_refused(data: Dataset, tmp_path: Path) -> None:
    source, _ = _compact(data, tmp_path, "scatter")
    twelve = replace(data, classes=(*data.classes, "10", "11"))
    large = replace(data, shape=(1, 16, 16))
    has = r"safetensors is for images of 1x8x8 in 10 classes, digits has images of"
    for other, told in (
        (twelve, rf"{has} 1x8x8 in 12 classes; give the data"),
        (large, f"{has} 1x16x16 in 10 classes"),
    ):
        with pytest.raises(ValueError, match=told):
            measure(source, other, KEEP, EVERYWHERE, COMPUTE)
        with pytest.raises(ValueError, match=told):
            shrink(tmp_path / "masked.safetensors", other, "scatter", COMPUTE, tmp_path / "again.safetensors")
