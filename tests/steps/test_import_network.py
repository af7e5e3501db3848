"""A network from elsewhere is taken for what it computes: its accuracy is met, or it is refused with both figures."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lib.formats.checkpoint import load, save
from lib.formats.foreign import Expected, describe
from lib.images.augmentation import STILL
from lib.images.batches import Batches
from lib.images.dataset import Dataset, Split
from lib.images.dataset import load as load_data
from lib.masks.kept import Kept, apply_
from lib.networks.network import Network
from lib.pruning.scores import norms
from lib.pruning.selection import Selection
from lib.steps.compact import shrink
from lib.steps.import_network import bring
from lib.training.device import Compute
from tests import tiny
from tests.networks_for_tests import lived_in

AKAMASTER, CIFAR10 = os.environ.get("AKAMASTER_CHECKPOINT"), os.environ.get("CIFAR10_DATA")
DESCRIBED = describe(tiny.ROOT / "suites/foreign-akamaster-resnet20.yaml")
SMALL = replace(DESCRIBED, network="resnet8", sha256=None, shape=(1, 8, 8), mean=(0.3,), std=(0.4,), expected=None)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load_data(tiny.digits(tmp_path_factory.mktemp("digits")))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A made-up network of that repository, for the digits."""
    network: Network = lived_in("resnet8", in_channels=1, shortcut="both")
    state = {f"module.{name.replace('classifier', 'linear')}": tensor for name, tensor in network.state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "a.th")
    return tmp_path / "a.th"


def _top1(told: str) -> float:
    return float(told.removeprefix("top-1 ").partition(" ")[0])


def test_accuracy_is_told_and_must_be_met_within_five_hundredths(data: Dataset, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    told = bring(source, SMALL, data, out)
    assert told == f"top-1 {_top1(told):.2f} % on the test split of digits"
    assert load(out).network.architecture.told == {"shortcut": "both"}
    out.unlink()
    right = replace(SMALL, expected=Expected(top1=_top1(told) + 0.04, split="test"))
    assert bring(source, right, data, out).endswith("of digits, as expected")
    out.unlink()
    wrong = replace(SMALL, expected=Expected(top1=_top1(told) + 0.06, split="test"))
    figures = rf"a\.th has {_top1(told):.2f} % top-1 on the test split of .* expects {_top1(told) + 0.06:.2f} %: .*`arguments`"
    with pytest.raises(ValueError, match=figures):
        bring(source, wrong, data, out)
    assert not out.exists()


def test_zeros_at_the_end_compute_something_else(data: Dataset, source: Path, tmp_path: Path) -> None:
    test = data.splits["test"]
    still = Batches(test.images, test.labels, SMALL.mean, SMALL.std, STILL, torch.device("cpu"))
    network = lived_in("resnet8", in_channels=1, shortcut="both")
    answers = torch.cat([network(images).argmax(1) for images, _ in still.plain(500)])
    named = replace(data, splits={"test": Split(test.images, answers)})  # as the network sees them: it scores 100 %
    described = replace(SMALL, expected=Expected(top1=100.0, split="test"))
    assert bring(source, described, named, tmp_path / "out.safetensors").startswith("top-1 100.00 %")
    with pytest.raises(ValueError, match=r"expects 100\.00 %: names and shapes fit, but it computes something else"):
        bring(source, replace(described, arguments={"shortcut": "end"}), named, tmp_path / "out.safetensors")


def test_another_split_is_scored_where_it_is_named(data: Dataset, source: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"on the validation split of digits, the description expects 100\.00 %"):
        bring(source, replace(SMALL, expected=Expected(100.0, "validation")), data, tmp_path / "out.safetensors")


def test_an_expectation_needs_data_and_without_either_the_user_is_told(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    with pytest.raises(ValueError, match=r"expects 91\.73 % on the test split; give the data folder with --data"):
        bring(source, replace(SMALL, expected=DESCRIBED.expected), None, out)
    assert not out.exists()
    assert "only data can tell whether it computes what it did" in bring(source, SMALL, None, out)


def test_data_that_is_not_the_networks_is_refused(data: Dataset, tmp_path: Path) -> None:
    network = lived_in("resnet8", shortcut="both")
    state = {f"module.{name.replace('classifier', 'linear')}": tensor for name, tensor in network.state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "a.th")
    other = replace(DESCRIBED, network="resnet8", sha256=None)
    with pytest.raises(ValueError, match=r"is for images of 3x32x32 in 10 classes, digits has images of 1x8x8 in 10"):
        bring(tmp_path / "a.th", other, data, tmp_path / "out.safetensors")


@pytest.mark.skipif(
    AKAMASTER is None or CIFAR10 is None,
    reason="AKAMASTER_CHECKPOINT and CIFAR10_DATA do not name akamaster's resnet20-12fca82f.th and a data folder of CIFAR-10",
)
def test_the_real_network_keeps_its_accuracy_and_its_compact_form_equals_the_masked(tmp_path: Path) -> None:
    data, out = load_data(Path(str(CIFAR10))), tmp_path / "out.safetensors"
    assert bring(Path(str(AKAMASTER)), DESCRIBED, data, out) == "top-1 91.73 % on the test split of cifar10, as expected"
    with pytest.raises(ValueError, match=r"has 22\.46 % top-1 .* expects 91\.73 %"):
        bring(Path(str(AKAMASTER)), replace(DESCRIBED, arguments={"shortcut": "end"}), data, tmp_path / "other.safetensors")
    checkpoint = load(out)
    masks = Selection(checkpoint.network, 0.7, coupled=True).choose(norms(checkpoint.network.filters(), 1))
    apply_(checkpoint.network, Kept(masks))
    save(tmp_path / "masked.safetensors", replace(checkpoint, kept=Kept(masks)))
    compute = Compute(
        device="cpu",
        threads=torch.get_num_threads(),
        precision="float32",
        train_remaining=True,
        processes=1,
        rendezvous=None,
        compile=False,
    )
    shrink(tmp_path / "masked.safetensors", data, "coupled", compute, tmp_path / "compact.safetensors")  # proves it
    assert load(tmp_path / "compact.safetensors").notes["max_abs_logit_difference_float64"] < 1e-9
