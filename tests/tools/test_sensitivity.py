"""The sensitivity command: which images it scores on, what it writes, what it says to bad input; and its picture."""

import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from matplotlib import image

from lib.compaction.compact import compact
from lib.formats.checkpoint import Checkpoint, save
from lib.images.dataset import Dataset, Split
from lib.images.dataset import load as load_data
from lib.masks.filters import full
from lib.masks.kept import Kept
from lib.networks import build
from lib.networks.architecture import Architecture
from lib.plots import drawing
from lib.plots.sensitivity import picture
from lib.progress import steps
from lib.pruning import sensitivity
from lib.pruning.sensitivity import COLUMNS, UNPRUNED, examine
from lib.training.device import Compute
from stages.command import run as run_stage
from tests import tiny
from tests.networks_for_tests import lived_in, random_masks
from tools.sensitivity import main

COMPUTE = Compute(
    device="cpu", threads=1, precision="float32", train_remaining=True, processes=1, rendezvous=None, compile=False
)
BAR = steps("test")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits, a parameter file, and checkpoints of one network: dense, with masks that keep all, masked, compact."""
    folder = tmp_path_factory.mktemp("sensitivity")
    data = load_data(tiny.digits(folder))
    (folder / "params.yaml").write_text(yaml.safe_dump(tiny.document()))
    network = lived_in("resnet8", in_channels=1)
    dense = Checkpoint(network, None, data.shape, data.mean, data.std)
    masks = random_masks(network)
    other = lived_in("resnet8", in_channels=1, num_classes=7)
    written = {
        "dense": dense,
        "kept": dataclasses.replace(dense, kept=Kept(full(network))),
        "masked": dataclasses.replace(dense, kept=Kept(masks)),
        "compact": dataclasses.replace(dense, network=compact(network, Kept(masks), "scatter")),
        "foreign": dataclasses.replace(dense, network=other),
        "large": dataclasses.replace(dense, shape=(1, 28, 28)),
    }
    for name, checkpoint in written.items():
        save(folder / f"{name}.safetensors", checkpoint)
    return folder


@pytest.fixture(scope="module")
def data(folder: Path) -> Dataset:
    return load_data(folder / "digits")


def _run(folder: Path, out: Path, **changes: str) -> None:
    given = {"params": folder / "params.yaml", "source": folder / "dense.safetensors", "data": folder / "digits"}
    words = {**given, "keep-ratios": "0.5,0.1", "order": "1", "images": "40", "out": out, **changes}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "sys.argv", ["sensitivity", *(part for name, word in words.items() for part in (f"--{name}", str(word)))]
        )
        run_stage(main)


def test_the_command_writes_the_rows_and_their_picture(folder: Path, data: Dataset, tmp_path: Path) -> None:
    _run(folder, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["sensitivity.csv", "sensitivity.png"]
    found = pd.read_csv(tmp_path / "out/sensitivity.csv", keep_default_na=False)
    expected = examine(folder / "dense.safetensors", data, (0.5, 0.1), 1, 40, COMPUTE, BAR)
    assert tuple(found.columns) == COLUMNS
    assert len(found) == 1 + 7 * 2
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=1e-5)
    assert _pixels((tmp_path / "out/sensitivity.png").read_bytes()).std() > 0.05


def test_only_the_validation_split_is_looked_at(folder: Path, data: Dataset) -> None:
    alone = dataclasses.replace(data, splits={"validation": data.splits["validation"]})
    source = folder / "dense.safetensors"
    found, expected = (examine(source, given, (0.5,), 1, None, COMPUTE, BAR) for given in (alone, data))
    assert found.equals(expected)


def test_a_limit_takes_images_of_every_class_when_they_lie_class_by_class(
    folder: Path, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = data.splits["validation"]
    order = split.labels.argsort(stable=True)
    ordered = dataclasses.replace(data, splits={"validation": Split(split.images[order], split.labels[order])})
    taken: list[Any] = []
    monkeypatch.setattr(sensitivity, "scan", lambda *given: taken.append(given[1]))
    for count in (30, None):
        examine(folder / "dense.safetensors", ordered, (0.5,), 1, count, COMPUTE, BAR)
    assert [len(batches) for batches in taken] == [30, len(split.labels)]
    assert set(taken[0].labels.tolist()) == set(range(10))
    assert torch.equal(taken[1].labels, ordered.splits["validation"].labels)


def test_bfloat16_is_what_the_section_compute_asks_for(folder: Path, data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    monkeypatch.setattr(sensitivity, "scan", lambda *_: seen.append(torch.is_autocast_enabled("cpu")))
    for precision in ("float32", "bfloat16"):
        compute = dataclasses.replace(
            COMPUTE, precision=precision, train_remaining=True, processes=1, rendezvous=None, compile=False
        )
        examine(folder / "dense.safetensors", data, (0.5,), 1, None, compute, BAR)
    assert seen == [False, True]


def test_masks_that_keep_every_filter_are_no_obstacle(folder: Path, tmp_path: Path) -> None:
    _run(folder, tmp_path, source=str(folder / "kept.safetensors"), images="10")
    assert (tmp_path / "sensitivity.csv").exists()


BAD = {
    "ratio of zero": ({"keep-ratios": "0.5,0"}, "keep_ratio must be above 0 and at most 1, got 0.0"),
    "ratio above one": ({"keep-ratios": "1.5"}, "keep_ratio must be above 0 and at most 1, got 1.5"),
    "ratio of nan": ({"keep-ratios": "nan"}, "keep_ratio must be above 0 and at most 1, got nan"),
    "no image": ({"images": "0"}, "images must be from 1 to 143, the validation .* got 0; leave it out for all"),
    "too many images": ({"images": "144"}, "images must be from 1 to 143, .* got 144"),
    "compact": ({"source": "compact"}, "is compact: .*give a dense one, such as models/<suite>/trained/"),
    "masked": ({"source": "masked"}, "is pruned already, its masks keep 0.* of the filters; give a dense one"),
    "missing": ({"source": "gone"}, "gone.safetensors is missing or is not a whole checkpoint"),
    "other classes": ({"source": "foreign"}, "is for images of 1x8x8 in 7 classes, digits has images of 1x8x8 in 10 classes"),
    "other shape": ({"source": "large"}, "is for images of 1x28x28 in 10 .*; give the data that the network was trained on"),
    "no data": ({"data": "nowhere"}, "nowhere holds no complete data set"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_ends_with_a_message_that_names_the_cure(folder: Path, tmp_path: Path, name: str) -> None:
    changes, said = BAD[name]
    if "source" in changes:
        changes = {"source": str(folder / f"{changes['source']}.safetensors")}
    with pytest.raises(SystemExit, match=f"^error: .*{said}"):
        _run(folder, tmp_path / "out", **changes)
    assert not (tmp_path / "out").exists()


def test_ratios_that_are_no_numbers_are_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(
        SystemExit, match=r"^error: argument --keep-ratios: wants a number, got '0.5;0.1'; see python -m tools"
    ):
        _run(folder, tmp_path, **{"keep-ratios": "0.5;0.1"})


def _rows(name: str) -> pd.DataFrame:
    """Made-up rows of a network: the later a layer, the less it loses."""
    network = build(Architecture(name, 10, 3))
    rows: list[tuple[Any, ...]] = [(UNPRUNED, "", 9, 9, 1.0, 90.0, 0.0)]
    for depth, layer in enumerate(network.layers):
        lost = 40.0 / (1 + depth)
        rows += [(layer.name, layer.part, 10, kept, kept / 10, 90.0 - lost / kept, lost / kept) for kept in (9, 5, 1)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _pixels(png: bytes) -> np.ndarray:
    return image.imread(io.BytesIO(png), format="png")[..., :3]


@pytest.mark.parametrize(("name", "named"), [("vgg16", True), ("resnet20", True), ("resnet56", False)])
def test_few_layers_are_named_in_the_legend_and_many_along_a_colour_bar(
    name: str, named: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, shown, axes = _rows(name), list[str](), list[int]()
    draw = drawing.legend

    def spy(figure: Any, handles: Any) -> None:
        shown.extend(handle.get_label() for handle in handles)
        axes.append(len(figure.axes))
        draw(figure, handles)

    monkeypatch.setattr(drawing, "legend", spy)
    drawn = _pixels(picture(rows, "made up"))
    layers = set(rows["layer"]) - {UNPRUNED}
    assert layers & set(shown) == (layers if named else set())
    assert axes == [1 if named else 2]
    assert {"stem", "inner", "unpruned, 90.00 %"} <= set(shown)
    assert drawn.shape[1] == 8 * drawing.DPI
    assert drawn.shape[0] < 6 * drawing.DPI
    assert drawn.std() > 0.05


def test_the_picture_is_the_same_bytes_each_time_and_shows_every_row() -> None:
    rows = _rows("resnet8")
    first = picture(rows, "made up")
    assert picture(rows, "made up") == first
    for index in rows.index:
        assert picture(rows.assign(top1=rows["top1"].where(rows.index != index, 20.0)), "made up") != first
