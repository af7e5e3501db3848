"""Every committed suite passes `check`; those of ImageNet pass both of its steps on a made-up ImageNet, in all their forms."""

import functools
import operator
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from lib.graph import suites
from lib.images.dataset import Dataset, load
from lib.images.settings import DataSettings
from lib.params.section import parse, read
from lib.steps.check import check
from lib.steps.document import check as check_document
from lib.steps.download import make
from lib.steps.rehearse import rehearse, seen
from lib.tables import published
from tests.tiers import slow_but
from tests.tiny import ROOT, image, unwatched

COMMITTED = suites.of(ROOT)
IMAGENET = [name for name in COMMITTED.names() if name.startswith("imagenet-")]
ELSEWHERE = ["own-network"]  # needs a module of the user's: tests/docs/test_extending.py
CLASSES, EACH = 1_000, {"train": 2, "val": 1}
OVERRIDE = re.compile(r"-S ([\w.-]+)=(\S+)")
PUBLISHED = parse((ROOT / "suites/published.yaml").read_text())


def document(name: str) -> dict[str, Any]:
    return parse(COMMITTED.text(name))


def forms(name: str) -> list[dict[str, str]]:
    """The overrides that the comments at the top of a suite tell, form by form: a form is told after a colon."""
    head = (COMMITTED.folder / f"{name}.yaml").read_text().partition("\nsuite:")[0]
    words = " ".join(line.removeprefix("#").strip() for line in head.splitlines())
    return [found for part in re.split(r":(?= -S )", words) if (found := dict(OVERRIDE.findall(part)))]


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder with ImageNet's classes and tiny images, and its index as the suites' settings make it."""
    folder = tmp_path_factory.mktemp("data")
    root = folder / "imagenet"
    image(folder / "one.png", 0, (12, 9))
    for split, count in EACH.items():
        for number in range(CLASSES):
            kind = root / split / f"n{number:08}"
            kind.mkdir(parents=True)
            for index in range(count):
                shutil.copyfile(folder / "one.png", kind / f"{index}.png")
    settings = {**document(IMAGENET[0])["data"], "source": str(root)}
    make(read({"data": settings}, "data", DataSettings), folder / "cache", unwatched, folder / "index")
    return root, folder / "index"


@pytest.fixture(scope="module")
def dataset(imagenet: tuple[Path, Path]) -> Dataset:
    return load(imagenet[1])


@pytest.mark.parametrize("name", sorted(set(COMMITTED.names()) - {*IMAGENET, *ELSEWHERE}))
def test_a_committed_suite_passes_check(name: str) -> None:
    check(document(name))


@pytest.mark.parametrize("name", slow_but(IMAGENET[:1], IMAGENET))
def test_an_imagenet_suite_passes_both_steps_on_a_thousand_classes(
    name: str, imagenet: tuple[Path, Path], dataset: Dataset
) -> None:
    found = document(name)
    found["data"]["source"] = str(imagenet[0])
    check(found)
    view = seen(dataset)
    assert (view.shape, view.classes, view.images) == ((3, 224, 224), CLASSES, CLASSES)
    rehearse(check_document(found), found, view)


@pytest.mark.parametrize(
    ("name", "form"), slow_but(IMAGENET[:1], [(name, form) for name in IMAGENET for form in range(len(forms(name)))])
)
def test_the_forms_that_a_suite_tells_of_pass_check(name: str, form: int) -> None:
    found, overrides = document(name), forms(name)[form]
    found["benchmark"]["keep_ratios"] = found["benchmark"]["keep_ratios"][:1]  # for speed
    for path, value in overrides.items():
        *parents, last = path.split(".")
        section = functools.reduce(operator.getitem, parents, found)
        assert last in section
        section[last] = parse(f"value: {value}")["value"]
    check(found)


def test_each_imagenet_suite_has_a_coupled_form() -> None:
    for name in IMAGENET:
        assert document(name)["benchmark"]["compaction"] == "scatter"
        assert {"suite": f"{name}-coupled", "benchmark.compaction": "coupled"}.items() <= forms(name)[0].items()


@pytest.mark.parametrize("name", IMAGENET)
def test_published_rows_stand_beside_an_imagenet_suite(name: str) -> None:
    found = document(name)
    rows = published.rows(PUBLISHED, found["data"]["name"], found["benchmark"]["network"])
    assert set(rows["method"]) & set(found["benchmark"]["methods"])


@pytest.mark.parametrize("name", IMAGENET)
def test_weights_are_those_that_torchvision_names(name: str) -> None:
    from torchvision.models import get_model_weights

    (network,) = document(name)["networks"].values()
    v1 = get_model_weights(network["builder"].removeprefix("torchvision:")).IMAGENET1K_V1
    assert network["weights"]["source"] == v1.url
    assert network["weights"]["sha256"].startswith(re.findall(r"-([0-9a-f]{8})\.pth$", v1.url)[0])
    assert network["weights"]["expected"]["top1"] == v1.meta["_metrics"]["ImageNet-1K"]["acc@1"]
