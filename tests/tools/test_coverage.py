"""The commands that try networks and show their channels."""

import json
from pathlib import Path

import pytest

from docs.generator.networks import page
from lib.steps import coverage
from lib.steps.probe import Record
from stages.command import run
from tests.odd_networks import HIDDEN
from tests.small_networks import NAMES
from tools import coverage as tool
from tools import describe

KEYS = (
    "network traced exact_coupled exact_scatter max_relative_difference prunable_share macs_ratio params_ratio seconds reason"
)


def command(monkeypatch: pytest.MonkeyPatch, name: str, *given: str) -> None:
    monkeypatch.setattr("sys.argv", [name, *given])
    run({"coverage": tool, "describe": describe}[name].main)


def test_each_network_is_a_record_and_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "found.json"
    command(monkeypatch, "coverage", NAMES["halves"], "torchvision:no_such", "--json", str(path))
    whole, missing = json.loads(path.read_text())
    assert list(whole) == KEYS.split()
    assert (whole["traced"], whole["exact_coupled"], whole["exact_scatter"]) == (True, True, True)
    assert whole["max_relative_difference"] < 1e-9
    assert 0.2 < whole["macs_ratio"] < 0.4  # half of the filters, about half of what they read
    assert whole["prunable_share"] == 1.0
    assert whole["seconds"] > 0.0
    assert missing["traced"] is False
    assert "no_such" in missing["reason"]
    said = capsys.readouterr().out
    assert "1 of 2 networks traced, 1 exact, 0 not equal." in said
    assert "no_such" in said
    records, about = coverage.loaded(path)
    written = page(records, about)
    assert "| `no_such` | NO |" in written
    assert "1 of 2 networks traced" in written


def test_what_is_there_is_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, name = tmp_path / "found.json", NAMES["plain"]
    about = coverage.Run(0.5, "both", coverage.machine(), coverage.here())
    known = Record(name, True, True, True, 1e-15, 1.0, 0.25, 0.25, 1.0)
    coverage.saved(path)([known], about)
    monkeypatch.setattr(coverage, "_apart", None)  # whoever calls it fails
    command(monkeypatch, "coverage", name, "--json", str(path), "--resume")
    with pytest.raises(SystemExit, match=r"was made with other settings or versions, or elsewhere; remove it"):
        command(monkeypatch, "coverage", name, "--json", str(path), "--resume", "--keep-ratio", "0.3")
    written = path.read_bytes()
    with pytest.raises(SystemExit, match=r"found\.json exists; go on with it by --resume, or remove it"):
        command(monkeypatch, "coverage", name, "--json", str(path))
    assert path.read_bytes() == written


def test_a_network_that_is_made_and_not_equal_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = Record("resnet8", True, True, False, 0.1, 1.0, 0.25, 0.25, 1.0, "scatter: off")
    monkeypatch.setattr(coverage, "_apart", lambda *_given, **_more: (wrong, None))
    with pytest.raises(SystemExit, match=r"^error: made small, but not equal: resnet8$"):
        command(monkeypatch, "coverage", "resnet8")


def test_layers_are_listed_with_what_they_share_and_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "channels.png"
    command(monkeypatch, "describe", "resnet8", "--picture", str(picture))
    said = capsys.readouterr().out
    assert "7 layers may be pruned, 100% of all filters but those of the output." in said
    assert said.endswith("\nIt has 3 stages and 3 blocks for distillers to look at.\n")
    assert "written by conv1, layer1.0.conv2; what stays is carried into space" in said
    assert "no: the network's output" in said
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_what_distillers_cannot_see_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    command(monkeypatch, "describe", HIDDEN, "--size", "8")
    said = capsys.readouterr().out
    hidden = "stage1, stage2, block1, block2"
    assert said.endswith(f"\nIt has 2 stages and 2 blocks for distillers to look at, but functions hide {hidden}.\n")


def test_a_layer_that_stays_whole_is_told_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command(monkeypatch, "describe", "torchvision:convnext_tiny", "--size", "64")
    rows = capsys.readouterr().out.splitlines()
    assert any("no: LayerNorm mixes channels" in row for row in rows)
