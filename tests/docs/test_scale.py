"""The plan of large suites: its figures are those that a small suite lets one work out by hand."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench import thousand_cells
from docs.generator import scale
from docs.generator.planning import DATA, counted, plan
from lib.networks.architecture import Architecture
from lib.params.suite import read
from tests import tiny


def document(**changes: Any) -> dict[str, Any]:
    axes = {"network": "resnet8", "trained": ["resnet8"], "methods": ["l1", "scratch"], "keep_ratios": [0.5], "seeds": [0, 1]}
    found = tiny.document(data__name="cifar10", data__validation_fraction=0.1, distill__teachers=["resnet8"], **changes)
    found["benchmark"] |= axes | {"distillers": ["none", "kd"]}
    found["teacher"]["epochs"], found["prune"]["training"]["epochs"], found["prune"]["scratch_epochs"] = 10, 4, 5
    found["distill"]["training"]["epochs"], found["encode"]["training"]["epochs"] = 3, 1
    return found


def test_epochs_images_and_macs_are_those_of_all_trainings() -> None:
    made = plan(document())
    teachers, prunings, distilled, encoded = 2 * 10, 2 * (4 + 4 + 4 + 5), 2 * 3 * (3 + 3), 2 * 3 * (1 + 1)
    assert made.cells == len(read(document()).cells) == 12
    assert made.epochs == teachers + prunings + distilled + encoded
    assert made.images == 45_000 * made.epochs
    network = counted(Architecture("resnet8", 10, 3))
    guided = 2 * 3 * 3  # epochs in which a teacher looks on
    assert made.macs == 45_000 * network.macs * (3 * made.epochs + guided)
    assert made.longest == 45_000 * network.macs * (3 * 10 + 3 * 9 + 4 * 3 + 3 * 1)
    assert made.stored == DATA["cifar10"].cached + 4 * network.params * (2 + 6 + 2 * 12)
    assert made.chains == 12 + 6 + 2


def test_a_guide_and_given_weights_count() -> None:
    guided = plan(document(prune__methods__l1__guide={"kd": 1.0}))
    macs = counted(Architecture("resnet8", 10, 3)).macs
    assert guided.macs - plan(document()).macs == 45_000 * macs * 2 * 4
    given = document()
    weights: dict[str, Any] = {
        "source": "x",
        "sha256": "0" * 64,
        "state": None,
        "rename": [],
        "zero_filters": "grow",
        "expected": None,
    }
    given["networks"] = {"mine": {"builder": "resnet8", "arguments": {}, "weights": weights | {"epochs": 90}}}
    given["benchmark"] |= {"network": "mine", "trained": ["mine"]}
    given["distill"]["teachers"] = ["mine"]
    assert plan(given).epochs == plan(document()).epochs - 2 * 10


def test_a_device_trains_as_many_macs_as_its_images_have() -> None:
    told = json.loads((tiny.ROOT / scale.FOLDER / "throughput.json").read_text())
    assert scale.device(told[0]).rate == pytest.approx(2470 * 3 * 4_089_184_256)
    assert all(one["source"] for one in told)


def test_a_fake_project_has_the_stages_of_the_graph_and_each_input_is_written(tmp_path: Path) -> None:
    import yaml

    stages = thousand_cells.project(tmp_path, 30)
    assert stages == 1 + 1 + 1 + 1 + 2 * 5 + 5 + 5 * 3 + 4 * 30 + 2
    graph = yaml.safe_load((tmp_path / "dvc.yaml").read_text())["stages"]
    assert graph.keys() == yaml.safe_load((tiny.ROOT / "dvc.yaml").read_text())["stages"].keys()
    written = {path for stage in graph.values() for path in thousand_cells._outputs(stage)} | set(thousand_cells.INPUTS)
    written |= set(graph["code"]["cmd"].split()) | {"params.yaml"}
    for name in ("check", "download", "rehearse", "guide", "compact", "encode", "measure"):
        assert f"data/code/{name}.txt" in written
    assert {"data/code/prune/l1.txt", "data/code/distill/kd.txt", "data/code/train_teacher/resnet20.txt"} <= written


@pytest.mark.parametrize("cells", [0, 10, 35, 1020])
def test_a_number_of_cells_that_makes_no_suite_is_refused(tmp_path: Path, cells: int) -> None:
    with pytest.raises(ValueError, match=f"cells is {cells}; give a multiple of 10 from 20 to 1010"):
        thousand_cells.project(tmp_path, cells)


def test_a_run_takes_the_place_of_an_older_one_of_as_many_cells(tmp_path: Path) -> None:
    path = tmp_path / "measured" / "cells.json"
    for cells, seconds in ((30, 1.0), (20, 2.0), (30, 3.0)):
        thousand_cells.keep(path, {"cells": cells, "cpu_s": seconds})
    assert json.loads(path.read_text()) == [{"cells": 20, "cpu_s": 2.0}, {"cells": 30, "cpu_s": 3.0}]
