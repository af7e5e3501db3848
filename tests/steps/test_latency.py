"""What stage latency adds to the timing itself: the proof of what is timed, and what was asked for."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from lib.atomic import write_text
from lib.formats.checkpoint import Checkpoint, save
from lib.images.checksum import sha256_of
from lib.params.suite import Cell, read
from lib.runtimes import engine
from lib.steps import latency
from lib.tables import timings
from tests import tiny
from tests.networks_for_tests import lived_in

DENSE, L1 = Cell("dense", 1.0, "none", 0), Cell("l1", 0.5, "none", 0)
TIMED = {"dense-1.0-0.json", "l1-0.5-0.json", "machine.json"}
TABLE = tiny.ROOT / "suites/latency/resnet20-1.json"


def test_what_was_asked_for_stands_beside_what_came_of_it() -> None:
    document = tiny.document()
    assert latency.asked(document, L1) == {}
    table = {"file": str(TABLE), "sha256": sha256_of(TABLE)}
    document["prune"]["layers"] |= {"allocation": "latency", "table": table}
    setting = {"runtime": "onnxruntime", "threads": 1, "batch": 1}
    assert latency.asked(document, L1) == {"asked_share": 0.5, "asked_in": setting}
    assert latency.asked(document, DENSE) == {}


def test_the_setting_that_was_asked_in_is_timed_though_the_suite_does_not(tmp_path: Path) -> None:
    tiny.digits(tmp_path)
    document = tiny.document(benchmark__methods=["l1"], benchmark__distillers=["none"], benchmark__keep_ratios=[0.5])
    document["latency"] |= {"runtimes": ["pytorch"], "batch_sizes": [2], "threads": [1], "warmup": 1, "repeats": 5}
    table = {"file": str(TABLE), "sha256": sha256_of(TABLE)}
    document["prune"]["layers"] |= {"allocation": "latency", "table": table}
    data = tiny.here(document, tmp_path).dataset
    for cell in (DENSE, L1):
        network = lived_in("resnet8", in_channels=1)
        save(tmp_path / f"compact/{cell.key}.safetensors", Checkpoint(network, None, data.shape, data.mean, data.std, {}))
    latency.clock(document, tmp_path / "compact", data, tmp_path / "out")
    rows = timings.read(tmp_path / "out", read(document)).rows.set_index(["method", "runtime", "threads", "batch"])
    assert rows["asked_share"].dropna().to_dict() == {("l1", "onnxruntime", 1, 1): 0.5}
    assert ("dense", "pytorch", 1, 2) in rows.index


def test_timings_stay_where_the_networks_are_not_here(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    document = tiny.document(benchmark__methods=["l1"], benchmark__distillers=["none"], benchmark__keep_ratios=[0.5])
    data = tiny.here(document, tiny.digits(tmp_path).parent).dataset
    for name in (*TIMED, "fpgm-0.5-0.json"):
        write_text(tmp_path / "out" / name, name)
    latency.clock(document, tmp_path / "compact", data, tmp_path / "out")
    assert (tmp_path / "out/l1-0.5-0.json").read_text() == "l1-0.5-0.json"
    absent = "nothing is timed, because not all networks are here (dense-1.0-none-0, l1-0.5-none-0)"
    (tmp_path / "out/l1-0.5-0.json").unlink()
    latency.clock(document, tmp_path / "compact", data, tmp_path / "out")
    assert caplog.messages == [absent, f"{absent}; not timed yet: l1-0.5-0"]


def test_nothing_is_timed_where_another_machine_has_a_part_of_the_networks(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing was timed before either: the folder is there and empty, for the table."""
    document = tiny.document(benchmark__methods=["l1"], benchmark__distillers=["none"], benchmark__seeds=[0, 1])
    data = tiny.here(document, tiny.digits(tmp_path).parent).dataset
    write_text(tmp_path / "compact/l1-0.5-none-1.safetensors", "of a seed that is not timed")
    latency.clock(document, tmp_path / "compact", data, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
    assert "not timed yet: dense-1.0-0, l1-0.5-0" in caplog.text
    (tmp_path / "compact/l1-0.5-none-1.safetensors").unlink()
    with pytest.raises(ValueError, match=r"dense-1\.0-none-0\.safetensors is missing"):
        latency.clock(document, tmp_path / "compact", data, tmp_path / "out")


def test_a_network_that_ships_otherwise_than_it_computes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.digits(tmp_path)
    document = tiny.document(benchmark__methods=["l1"], benchmark__distillers=["none"], benchmark__keep_ratios=[0.5])
    document["latency"] |= {"runtimes": ["onnxruntime"], "batch_sizes": [1], "threads": [1], "warmup": 1, "repeats": 5}
    here = tiny.here(document, tmp_path)
    data = here.dataset
    write_text(tmp_path / "out/fpgm-0.5-0.json", "of a method that the suite no longer has")
    for cell in (DENSE, L1):
        network = lived_in("resnet8", in_channels=1)
        save(tmp_path / f"compact/{cell.key}.safetensors", Checkpoint(network, None, data.shape, data.mean, data.std, {}))
    real, made = engine.ship, list[int]()

    def noted(network: Any, multiple: int = 1) -> Any:
        made.append(multiple)
        return real(network, multiple)

    def wrong(network: Any, multiple: int = 1) -> Any:
        form = real(copy.deepcopy(network), multiple)
        with torch.no_grad():
            next(form.parameters()).mul_(1.01)
        return form

    monkeypatch.setattr(engine, "ship", noted)
    latency.clock(document, tmp_path / "compact", data, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == TIMED
    assert made.count(8) == 5  # the dense one to time against, and both networks and exactly so, though they share a timing
    before = {path.name: path.read_text() for path in (tmp_path / "out").iterdir()}
    proofs = iter([None, KeyboardInterrupt()])

    def interrupted(*_: Any, **__: Any) -> None:
        if stop := next(proofs):
            raise stop

    with monkeypatch.context() as patch:
        patch.setattr(latency, "verify", interrupted)
        with pytest.raises(KeyboardInterrupt):
            latency.clock(document, tmp_path / "compact", data, tmp_path / "out")
    assert {path.name: path.read_text() for path in (tmp_path / "out").iterdir()} == before  # not one network of each time
    monkeypatch.setattr(engine, "ship", wrong)
    with pytest.raises(ValueError, match="the network as it ships is not equal to the compact one: max-abs logit difference"):
        latency.clock(document, tmp_path / "compact", data, tmp_path / "out")
