"""A checkpoint meets the data that it was trained on, or is refused in one message, whichever stage it is given to."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lib.formats.checkpoint import Checkpoint, save
from lib.formats.fitting import refuse_misfit
from lib.formats.packed import opened
from lib.masks.filters import full
from lib.masks.kept import Kept
from lib.pruning.layers import EVERYWHERE
from lib.steps.compact import shrink
from lib.steps.distill import distill
from lib.steps.encode import encode
from lib.steps.measure import measure
from lib.steps.prune import PruneJob, prune
from lib.training.run import Setting
from tests import tiny
from tests.networks_for_tests import lived_in

DOCUMENT = tiny.document()
GIVEN: dict[str, Callable[[Path, Setting], object]] = {
    "compact": lambda path, here: shrink(path, here.dataset, "coupled", here.compute, path.with_name("out")),
    "measure": lambda path, here: measure(path, here.dataset, 1.0, EVERYWHERE, here.compute),
    "prune": lambda path, here: prune(
        DOCUMENT, PruneJob("l1", 0.5, coupled=True), path, path, here, path.with_name("out"), path.with_name("log")
    ),
    "distill": lambda path, here: distill(DOCUMENT, "none", path, path, here, path.with_name("out"), path.with_name("log")),
    "encode": lambda path, here: encode(DOCUMENT, path, here, path.with_name("out.bin"), opened),
}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    folder = tmp_path_factory.mktemp("digits")
    tiny.digits(folder)
    return tiny.here(DOCUMENT, folder)


def checkpoint(here: Setting, *, classes: int = 10, masked: bool = True, side: int = 8) -> Checkpoint:
    network, data = lived_in("resnet8", in_channels=1, num_classes=classes), here.dataset
    return Checkpoint(network, Kept(full(network)) if masked else None, (1, side, side), data.mean, data.std, {"epochs": 1})


@pytest.mark.parametrize("stage", GIVEN)
@pytest.mark.parametrize(
    ("classes", "side", "said"), [(7, 8, "images of 1x8x8 in 7 classes"), (10, 9, "images of 1x9x9 in 10 classes")]
)
def test_a_network_for_other_data_is_refused(
    here: Setting, tmp_path: Path, stage: str, classes: int, side: int, said: str
) -> None:
    path = tmp_path / "other.safetensors"
    save(path, checkpoint(here, classes=classes, side=side, masked=stage != "encode"))
    with pytest.raises(ValueError, match=rf"other.safetensors is for {said}, digits has images of 1x8x8 in 10 classes; give"):
        GIVEN[stage](path, here)
    assert [file.name for file in tmp_path.iterdir()] == ["other.safetensors"]


def test_a_ten_class_network_on_twelve_classes_is_refused(here: Setting) -> None:
    twelve = replace(here.dataset, classes=tuple("0123456789ab"))
    with pytest.raises(ValueError, match=r"^a is for images of 1x8x8 in 10 classes, digits has images of 1x8x8 in 12 classes"):
        refuse_misfit(Path("a"), checkpoint(here), twelve)


def test_a_teacher_may_be_of_images_of_another_size_but_not_of_other_channels(here: Setting) -> None:
    large = checkpoint(here, side=64)
    refuse_misfit(Path("a"), large, here.dataset, any_size=True)
    refuse_misfit(Path("a"), checkpoint(here), here.dataset)
    colour = replace(large, shape=(3, 8, 8))
    with pytest.raises(ValueError, match=r"^a is for images of 3x8x8 in 10 classes, digits has images of 1x8x8"):
        refuse_misfit(Path("a"), colour, here.dataset, any_size=True)
