"""dvc.lock as text: what is taken apart and put together is what DVC itself reads and writes."""

import pytest
import yaml
from dvc.utils.serialize import dumps_yaml

from lib.graph.locks import HEADER, entries, whole
from tests.tiny import ROOT

STAGES = {
    "code": {"cmd": "a", "outs": [{"path": "data/code", "md5": "1.dir"}]},
    "prune@l1-0.5-0": {
        "cmd": ["one " * 40, "two"],
        "params": {"params.yaml": {"data": {"sha256": None, "text": "a: 'b'\n\nc\n"}}},
    },
    "x" * 200: {"cmd": "a name too long for a plain key of YAML"},
    "1": {"cmd": "a name that YAML takes for a number"},
}
TEXT = dumps_yaml({"schema": "2.0", "stages": STAGES})


def test_entries_are_those_that_yaml_finds() -> None:
    found = entries(TEXT)
    assert list(found) == list(STAGES)
    for name, text in found.items():
        assert yaml.safe_load(HEADER + text)["stages"] == {name: STAGES[name]}


def test_together_again_the_entries_are_the_same_text() -> None:
    assert whole(entries(TEXT), list(STAGES)) == TEXT
    committed = (ROOT / "dvc.lock").read_text()
    assert whole(entries(committed), list(yaml.safe_load(committed)["stages"])) == committed


def test_entries_stand_in_the_order_of_the_stages_and_leftovers_last() -> None:
    blocks = {name: f"  {name}:\n    cmd: x\n" for name in ("gone", "b", "a", "lost")}
    assert list(entries(whole(blocks, ["a", "b", "c"]))) == ["a", "b", "gone", "lost"]


@pytest.mark.parametrize("text", ["", "schema: '2.0'\n", "schema: '2.0'\nstages: {}\n", HEADER])
def test_a_lock_without_stages_has_no_entries(text: str) -> None:
    assert entries(text) == {}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("schema: '1.0'\nstages:\n", "schema: '1.0'"),
        (f"{HEADER}<<<<<<< ours\n  a:\n    cmd: x\n", "<<<<<<< ours"),
        (f"{HEADER}  a:\n    cmd: x\n=======\n", "======="),
        (f"{HEADER}    cmd: x\n", "cmd: x"),
        (f"{HEADER}  a:\n    cmd: x\n  a:\n    cmd: y\n", "a:"),
    ],
)
def test_a_lock_that_dvc_did_not_write_is_refused(text: str, line: str) -> None:
    with pytest.raises(ValueError, match=r"^dvc.lock: this line is not as DVC writes it: ") as error:
        entries(text)
    assert f"{line!r}; restore the file with git" in str(error.value)
