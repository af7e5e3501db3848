"""The command: what it says, and that its errors are one line."""

from pathlib import Path

import pytest
import torch

from lib.formats.checkpoint import load
from stages.command import run
from tests import tiny
from tests.networks_for_tests import lived_in
from tools.import_network import main

DESCRIPTION = """
network: resnet8
num_classes: 10
shape: [1, 8, 8]
mean: [0.3]
std: [0.4]
state: null
rename: []
arguments: {shortcut: both}
"""


def command(folder: Path, monkeypatch: pytest.MonkeyPatch, description: str, *more: str) -> None:
    torch.save(lived_in("resnet8", in_channels=1, shortcut="both").state_dict(), folder / "a.th")
    (folder / "a.yaml").write_text(description)
    paths = {"source": "a.th", "description": "a.yaml", "out": "out.safetensors"}
    arguments = [text for name, path in paths.items() for text in (f"--{name}", str(folder / path))]
    monkeypatch.setattr("sys.argv", ["import_network", *arguments, *more])
    run(main)


def test_a_network_is_imported_and_its_accuracy_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command(tmp_path, monkeypatch, DESCRIPTION, "--data", str(tiny.digits(tmp_path)))
    assert capsys.readouterr().err.startswith(f"{tmp_path}/out.safetensors: top-1 ")
    assert load(tmp_path / "out.safetensors").network.architecture.told == {"shortcut": "both"}


@pytest.mark.parametrize(
    ("description", "complaint"),
    [
        (
            DESCRIPTION + "expected: {top1: 91.7, split: test}",
            r"error: the description expects 91\.7 % on the test split; give",
        ),
        (DESCRIPTION.replace("rename: []", "rename: [['^conv(', '']]"), r"error: \S+a\.yaml: description\.rename\.0: "),
        (
            DESCRIPTION.replace("shortcut: both", "hidden: [1000000000]"),
            r"error: resnet8 cannot be built with \{\"hidden\": \[1000000000\]\} \(TooLargeError: it has more than ",
        ),
        ("- 1", r"error: \S+a\.yaml: "),
    ],
)
def test_what_is_wrong_ends_in_one_line(
    description: str, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit, match=f"^{complaint}[^\n]*$"):
        command(tmp_path, monkeypatch, description)
    assert not (tmp_path / "out.safetensors").exists()
