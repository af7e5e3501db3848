"""Networks of a user's that are right and unusual pass every step that once failed on them."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lib.compaction.compact import compact
from lib.cost.macs import count
from lib.distillation.classifier import share_classifier_
from lib.distillation.terms import feature
from lib.formats.checkpoint import Checkpoint, load, save
from lib.formats.foreign import read
from lib.formats.given import _is_checkpoint
from lib.masks.kept import Kept, apply_
from lib.networks.architecture import Architecture
from lib.networks.builders import allow
from lib.networks.network import Network
from lib.pruning.methods.kdfs import Search
from lib.training.taps import Outputs
from tests import tiny
from tests.formats.test_foreign import DESCRIPTION
from tests.networks_for_tests import alive, images, random_masks
from tests.odd_networks import BY_KEYWORD, FIXED_SIZE, GROUPED, NAMED_TWICE, SIDE
from tests.pruning.test_every_method import params, request

allow((GROUPED, NAMED_TWICE, FIXED_SIZE, BY_KEYWORD))


def network(name: str, side: int = 8, seed: int = 0) -> Network:
    return alive(Architecture(name, 10, 3, (side, side)), seed)


@pytest.mark.parametrize("seed", [3, 5])
def test_kdfs_tells_the_macs_of_a_grouped_network_as_they_are(seed: int) -> None:
    """Uneven runs were filled up when the network was made small, so that it had more than was told."""
    dense = network(GROUPED)
    settings = params("kdfs", macs_ratio=0.4, threshold="budget", keep_bias=0.0)
    made = Search(dense, settings, request(dense, 0.5, coupled=True, seed=seed))
    masks = made.final()
    told, whole = float(made.share(masks)), count(dense, (3, 8, 8)).total_macs
    for mask in masks.values():
        assert len(set(mask.view(4, 4).sum(1).tolist())) == 1
    apply_(dense, Kept(masks))
    assert count(compact(dense, Kept(masks), "coupled"), (3, 8, 8)).total_macs / whole == pytest.approx(told, abs=1e-6)


def test_a_module_of_two_names_is_saved_and_comes_back(tmp_path: Path) -> None:
    made = network(NAMED_TWICE)
    save(tmp_path / "twice.safetensors", Checkpoint(made, None, (3, 8, 8), (0.5,) * 3, (0.2,) * 3, {}))
    batch = images(made, 2)
    assert torch.equal(load(tmp_path / "twice.safetensors").network(batch), made(batch))


def test_a_classifier_of_another_name_is_shared() -> None:
    student, teacher = network(NAMED_TWICE), network(NAMED_TWICE, seed=1)
    share_classifier_(student, teacher)
    assert torch.equal(student.get_parameter("fc.weight"), teacher.get_parameter("fc.weight"))


def test_a_network_that_needs_its_size_is_imported(tmp_path: Path) -> None:
    made = network(FIXED_SIZE, SIDE)
    apply_(made, Kept(random_masks(made)))
    torch.save(made.state_dict(), tmp_path / "fixed.pth")
    fields = {"network": FIXED_SIZE, "arguments": {}, "shape": (3, SIDE, SIDE), "state": None, "rename": ()}
    found = read(tmp_path / "fixed.pth", replace(DESCRIPTION, **fields, sha256=None, expected=None))
    assert found.kept is not None
    assert not all(mask.all() for mask in found.kept.filters.values())


def test_a_concatenation_by_keyword_is_traced() -> None:
    assert network(BY_KEYWORD).description.layers


def test_vectors_are_not_compared_with_maps() -> None:
    """They were spread over one another: equal features had a loss."""
    settings = feature.FeatureSettings(where="penultimate", distance="mse")
    maps, vectors = (Outputs(torch.zeros(2, 10), {"penultimate": torch.zeros(2, 4, *size)}) for size in ((1, 1), ()))
    with pytest.raises(ValueError, match=r"got \(4,\) of the student and \(4, 1, 1\) of the teacher; compare other places"):
        feature.term(settings, vectors, maps)


def test_a_cut_file_of_weights_is_named(tmp_path: Path) -> None:
    (tmp_path / "cut.safetensors").write_bytes(b'\x10\x00\x00\x00\x00\x00\x00\x00{"a":1')
    with pytest.raises(ValueError, match=r"cut\.safetensors cannot be read: "):
        _is_checkpoint(tmp_path / "cut.safetensors")


@pytest.mark.parametrize(("wanted", "size", "sizes"), [(75, 37, [37, 37]), (76, 37, [37, 37, 2]), (1, 37, [1])])
def test_no_sample_ends_with_a_single_image(tmp_path: Path, wanted: int, size: int, sizes: list[int]) -> None:
    setting = tiny.here(tiny.document(), _digits(tmp_path))
    assert [len(labels) for _, labels in setting.sample("test")(wanted, size)] == sizes


def _digits(folder: Path) -> Path:
    tiny.digits(folder)
    return folder
