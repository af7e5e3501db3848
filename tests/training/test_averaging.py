"""Averaged weights: the mean that the formula says, of the steps that the settings say, with batch norms of their own."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lib.images.augmentation import STILL
from lib.masks.filters import from_zeros
from lib.masks.kept import Kept, apply_
from lib.networks import build
from lib.networks.architecture import Architecture
from lib.networks.batch_norms import calibration_sizes
from lib.networks.network import Network
from lib.params.section import read
from lib.pruning.held import held
from lib.pruning.scores import norms
from lib.pruning.selection import Selection
from lib.randomness import stream
from lib.training.averaging import Average, Averaging, Ema, Swa, first_step
from lib.training.evaluation import evaluate
from lib.training.hooks import Hooks, Moment
from lib.training.loop import Fit, Training, fit
from lib.training.objective import Objective
from lib.training.resume import Unfinished
from lib.training.run import Setting
from lib.training.snapshot import done, part
from lib.training.tally import Tally
from lib.training.taps import Tapped
from tests import tiny

SWA = {"kind": "swa", "start": 0.5, "images": 64}
EMA = {"kind": "ema", "decay": 0.75, "start": 0.5, "images": 64}


class Silent:
    def update(self, n: float = 1) -> None: ...

    def set_postfix_str(self, s: str) -> None: ...


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    folder = tmp_path_factory.mktemp("averaging")
    tiny.digits(folder)
    return tiny.here(tiny.document(), folder)


def _network() -> Network:
    return build(Architecture("resnet8", 10, 1), stream(0, "initialisation"))


def _fitted(here: Setting, network: Network, hooks: Hooks, averaging: Any, folder: Path) -> list[dict[str, float]]:
    """Two epochs of six steps."""
    settings = read(tiny.document(teacher__averaging=averaging), "teacher", Training)
    train, validation = here.batches("train", here.augmentation), here.batches("validation", STILL)
    objective = Objective(Tapped(network), 0.0)
    task = Fit(network, hooks, objective, train, validation, settings, settings.epochs, here.compute, 0)
    return fit(task, Unfinished(folder), lambda *_: Silent())


def _recording(network: Network) -> tuple[Hooks, list[dict[str, Tensor]]]:
    """Hooks that note the weights after every step."""
    seen: list[dict[str, Tensor]] = []

    def note(_: Moment) -> None:
        seen.append({name: value.detach().clone() for name, value in network.named_parameters()})

    return Hooks(after_step=note), seen


@pytest.mark.parametrize("averaging", [SWA, EMA], ids=["swa", "ema"])
def test_a_training_ends_with_the_average_of_its_last_steps(here: Setting, tmp_path: Path, averaging: Any) -> None:
    network = _network()
    hooks, seen = _recording(network)
    _fitted(here, network, hooks, averaging, tmp_path)
    tail = seen[len(seen) // 2 :]
    assert len(tail) > 3
    for name, value in network.named_parameters():
        steps = torch.stack([weights[name] for weights in tail]).double()
        expected = steps[0]
        for step in steps[1:]:
            expected = 0.75 * expected + 0.25 * step
        if averaging["kind"] == "swa":
            expected = steps.mean(0)
        assert torch.allclose(value.double(), expected, atol=1e-6), name
        assert not torch.equal(value, tail[-1][name])


def test_batch_norms_are_those_of_the_averaged_network_over_training_images(here: Setting, tmp_path: Path) -> None:
    network = _network()
    _fitted(here, network, Hooks(), SWA, tmp_path)
    train = here.batches("train", here.augmentation)
    (images,) = (images for images, _ in train.epoch(calibration_sizes(64, len(train)), stream(0, "averaged batch norms")))
    seen: list[Tensor] = []
    network.eval()
    first = network.get_submodule("bn1")
    handle = first.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    network(images)
    handle.remove()
    assert torch.allclose(first.running_mean, seen[0].mean((0, 2, 3)), atol=1e-5)
    assert torch.allclose(first.running_var, seen[0].var((0, 2, 3)), rtol=1e-4)


def test_the_last_validation_is_of_the_averaged_network(here: Setting, tmp_path: Path) -> None:
    network = _network()
    rows = _fitted(here, network, Hooks(), SWA, tmp_path)
    assert rows[-1]["validation_top1"] == evaluate(network, here.batches("validation", STILL)).top1


@pytest.mark.parametrize("remaining", [True, False])
def test_what_is_dropped_stays_zero_in_the_average(here: Setting, tmp_path: Path, remaining: bool) -> None:
    network = _network()
    kept = Kept(Selection(network, 0.5, coupled=True).choose(norms(network.filters(), 1)))
    other = replace(here, compute=replace(here.compute, train_remaining=remaining))
    start = copy.deepcopy(network.state_dict())
    _fitted(other, network, held(network, kept), SWA, tmp_path)
    assert {name: mask.tolist() for name, mask in from_zeros(network).items()} == {
        name: mask.tolist() for name, mask in kept.filters.items()
    }
    assert not torch.equal(network.state_dict()["conv1.weight"], start["conv1.weight"])


def test_the_average_begins_anew_when_masks_settle(here: Setting, tmp_path: Path) -> None:
    """As where what remains is trained alone; before, the weights are those of another network."""
    network = _network()
    kept = Kept(Selection(network, 0.5, coupled=True).choose(norms(network.filters(), 1)))
    recording, seen = _recording(network)
    over: list[Kept] = []

    def settle(_: Moment) -> dict[str, float]:
        if not over:
            over.append(kept)
            apply_(network, kept)
        return {}

    hooks = replace(recording, after_epoch=settle, held=lambda: over[0] if over else None)
    other = replace(here, compute=replace(here.compute, train_remaining=False))
    _fitted(other, network, hooks, SWA | {"start": 0.0}, tmp_path)
    assert len(seen) == 12
    for name, value in network.named_parameters():
        assert torch.allclose(value, torch.stack([weights[name] for weights in seen[6:]]).mean(0), atol=1e-6), name


def test_a_restored_average_lies_where_the_network_does(here: Setting) -> None:
    """Whichever process saved it, on whichever device."""
    first, second = Average(_network(), Swa("swa", 0.0, 2)), Average(_network().to("meta"), Swa("swa", 0.0, 2))
    first.add_()
    second.restore(first.state())
    assert {value.device.type for value in second.values} == {"meta"}
    saved = {"part": vars(part(1, Tally({"loss": torch.ones(())}, 3), here.device))}
    found = done(saved, torch.device("meta"))
    assert found is not None
    assert found.sums["loss"].device.type == "meta"


def test_without_averaging_a_training_ends_with_its_last_weights(here: Setting, tmp_path: Path) -> None:
    network = _network()
    hooks, seen = _recording(network)
    _fitted(here, network, hooks, None, tmp_path)
    assert all(torch.equal(value, seen[-1][name]) for name, value in network.named_parameters())


@pytest.mark.parametrize(
    ("start", "steps", "first"), [(0.0, 10, 0), (0.5, 10, 5), (0.75, 10, 7), (0.99, 10, 9), (0.999, 3, 2)]
)
def test_the_average_begins_at_its_share_and_holds_a_step_at_least(start: float, steps: int, first: int) -> None:
    assert first_step(Swa("swa", start, 2), steps) == first
    assert first_step(Ema("ema", 0.9, start, 2), steps) == first


@pytest.mark.parametrize(("images", "there", "sizes"), [(300, 1000, [128, 128, 44]), (257, 1000, [128, 128]), (64, 50, [50])])
def test_no_mini_batch_to_estimate_batch_norms_by_has_one_image(images: int, there: int, sizes: list[int]) -> None:
    assert calibration_sizes(images, there) == sizes


def test_settings_name_one_kind() -> None:
    found = read({"averaging": EMA}, "averaging", Averaging)
    assert found == Ema("ema", 0.75, 0.5, 64)
