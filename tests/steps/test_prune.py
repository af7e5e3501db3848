"""What the prune stage notes of the moment that nothing more is chosen, and the batch norms that it may estimate then."""

from pathlib import Path
from typing import Any

import pytest
import torch

from lib.formats.checkpoint import Checkpoint, load
from lib.images.augmentation import STILL
from lib.masks.kept import apply_
from lib.steps.distill import distill
from lib.steps.prune import PruneJob, prune
from lib.steps.train_teacher import teach
from lib.training.evaluation import evaluate
from tests import tiny


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits and a dense network."""
    folder = tmp_path_factory.mktemp("prune")
    tiny.digits(folder)
    document = tiny.document(teacher__epochs=4)
    teach(document, "resnet8", tiny.here(document, folder), folder, folder / "dense.safetensors", folder / "dense.csv")
    return folder


def _pruned(folder: Path, method: str, **changes: Any) -> Checkpoint:
    document = tiny.document(prune__methods__ahsg_ht__guide={}, prune__methods__kdfs__guide={}, **changes)
    dense, out = folder / "dense.safetensors", folder / f"{method}.safetensors"
    prune(document, PruneJob(method, 0.5, coupled=True), dense, dense, tiny.here(document, folder), out, folder / "log.csv")
    return load(out)


def _validated(folder: Path, checkpoint: Checkpoint) -> float:
    return evaluate(checkpoint.network, tiny.here(tiny.document(), folder).batches("validation", STILL)).top1


def test_a_method_that_chooses_at_once_is_scored_before_any_training(folder: Path) -> None:
    pruned, dense = _pruned(folder, "l1"), load(folder / "dense.safetensors")
    assert pruned.kept is not None
    apply_(dense.network, pruned.kept)
    assert pruned.notes["pruned_top1"] == _validated(folder, dense)


@pytest.mark.parametrize("method", ["ahsg_ht", "sfp", "kdfs"])
def test_a_method_that_chooses_while_it_trains_is_scored_at_its_end(folder: Path, method: str) -> None:
    pruned = _pruned(folder, method)
    assert pruned.notes["pruned_top1"] == _validated(folder, pruned)


def test_a_network_of_random_weights_has_no_such_score(folder: Path) -> None:
    assert "pruned_top1" not in _pruned(folder, "scratch").notes


def test_the_score_goes_with_the_network_through_distillation(folder: Path) -> None:
    pruned, document = _pruned(folder, "l1"), tiny.document()
    paths = (folder / "l1.safetensors", folder / "dense.safetensors")
    distill(document, "kd", *paths, tiny.here(document, folder), folder / "student.safetensors", folder / "log.csv")
    assert load(folder / "student.safetensors").notes["pruned_top1"] == pruned.notes["pruned_top1"]


def test_batch_norms_are_estimated_once_nothing_more_is_chosen(folder: Path) -> None:
    plain, calibrated = (_pruned(folder, "sfp", prune__calibration=images) for images in (None, 256))
    first, second = (one.network.state_dict() for one in (plain, calibrated))
    changed = {name for name, value in first.items() if not torch.equal(value, second[name])}
    assert changed
    assert {name.rpartition(".")[2] for name in changed} <= {"running_mean", "running_var", "num_batches_tracked"}
    assert calibrated.notes["pruned_top1"] == _validated(folder, calibrated)


def test_averaged_weights_end_with_the_batch_norms_of_the_last_masks(folder: Path) -> None:
    """The average's own were of the network before its last masks were chosen."""
    averaged = {"kind": "swa", "start": 0.5, "images": 512}
    plain, calibrated = (
        _pruned(folder, "sfp", prune__training__averaging=averaged, prune__calibration=n) for n in (None, 512)
    )
    first, second = (one.network.state_dict() for one in (plain, calibrated))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert plain.notes == calibrated.notes
