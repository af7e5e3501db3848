"""Switching between suites: parameters and locks, to and fro, and nothing is lost on the way."""

from pathlib import Path
from typing import Any

import pytest

from lib.graph import suites as module
from lib.graph.suites import Suites
from lib.params.overlay import document
from tests.tiny import ROOT

BASE = "# Whole.\nsuite: base\nlr:   0.1   # odd spaces stay\n"
COMMITTED = module.of(ROOT)


@pytest.fixture
def suites(tmp_path: Path) -> Suites:
    folder = tmp_path / "suites"
    folder.mkdir()
    for name, text in {
        "base": BASE,
        "a": "suite: a\nlr: 1.0\n",
        "b": "suite: b\nlr: 2.0\n",
        "published": "rows: []\n",
    }.items():
        (folder / f"{name}.yaml").write_text(text)
    made = Suites(folder, "base", tmp_path / "params.yaml", tmp_path / "dvc.lock")
    made.params.write_text(BASE)
    made.lock.write_text("lock of base")
    return made


def state(suites: Suites) -> dict[str, str]:
    files = [suites.params, suites.lock, *suites.folder.glob("*.lock")]
    return {path.name: path.read_text() for path in files if path.exists()}


def test_there_and_back_is_bit_for_bit_the_same(suites: Suites) -> None:
    before = state(suites)
    suites.switch("a", discard=False)
    assert state(suites) == {"params.yaml": suites.text("a"), "base.lock": "lock of base"}
    assert document(suites.params.read_text()) == {"suite": "a", "lr": 1.0}
    suites.lock.write_text("lock of a")
    suites.switch("b", discard=False)
    assert state(suites) == {"params.yaml": suites.text("b"), "base.lock": "lock of base", "a.lock": "lock of a"}
    suites.switch("base", discard=False)
    assert state(suites) == before | {"a.lock": "lock of a"}


def test_a_lock_that_changed_meanwhile_is_kept_under_its_own_name(suites: Suites) -> None:
    suites.switch("a", discard=False)
    suites.lock.write_text("lock of a")
    suites.switch("base", discard=False)
    suites.lock.write_text("newer lock of base")
    suites.switch("a", discard=False)
    assert suites.lock.read_text() == "lock of a"
    suites.switch("base", discard=False)
    assert suites.lock.read_text() == "newer lock of base"


def test_parameters_that_are_no_yaml_are_named_with_a_cure(suites: Suites) -> None:
    suites.params.write_text("suite: base\nlr: [\n")
    with pytest.raises(ValueError, match=r"params\.yaml: it is not valid YAML: .*; correct it, or take it from git: git "):
        suites.switch("a", discard=True)


def test_the_active_suite_again_changes_nothing(suites: Suites) -> None:
    before = state(suites)
    suites.switch("base", discard=False)
    assert state(suites) == before


@pytest.mark.parametrize("edit", ["params.yaml", "suites/base.yaml"])
def test_edited_parameters_are_refused_untouched_unless_discarded(suites: Suites, edit: str) -> None:
    (suites.folder.parent / edit).write_text(BASE.replace("0.1", "0.3"))
    before = state(suites)
    with pytest.raises(ValueError, match=r"params.yaml is not what .*base.yaml gives: .* DISCARD=1"):
        suites.switch("a", discard=False)
    assert state(suites) == before
    suites.switch("a", discard=True)
    assert state(suites) == {"params.yaml": suites.text("a"), "base.lock": "lock of base"}


def test_a_suite_without_a_file_is_as_edited_parameters(suites: Suites) -> None:
    suites.params.write_text(BASE.replace("suite: base", "suite: mine"))
    with pytest.raises(ValueError, match=r"params.yaml is not what .*mine.yaml gives"):
        suites.switch("a", discard=False)
    suites.switch("a", discard=True)
    assert state(suites)["mine.lock"] == "lock of base"


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("writes", range(4))
def test_a_switch_cut_short_is_finished_by_the_next(
    suites: Suites, writes: int, there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if there:
        (suites.folder / "a.lock").write_text("lock of a")
    cut(monkeypatch, writes)
    with pytest.raises(InterruptedError):
        suites.switch("a", discard=False)
    monkeypatch.undo()
    suites.switch("a", discard=False)
    assert state(suites).get("dvc.lock") == ("lock of a" if there else None)
    assert state(suites)["params.yaml"] == suites.text("a")
    suites.switch("base", discard=False)
    assert state(suites) == {"params.yaml": BASE, "dvc.lock": "lock of base"} | ({"a.lock": "lock of a"} if there else {})


def cut(monkeypatch: pytest.MonkeyPatch, allowed: int) -> None:
    """Let so many files be changed; the next change raises."""
    count = 0

    def counted(change: Any) -> Any:
        def changed(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            count += 1
            if count > allowed:
                raise InterruptedError
            return change(*args, **kwargs)

        return changed

    monkeypatch.setattr("lib.graph.suites._put", counted(module._put))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("c", "there is no suite 'c' in .*suites; there are a, b, base$"),
        ("published", "there is no suite 'published'"),
        ("../a", "there is no suite '../a'"),
    ],
)
def test_unknown_suites_are_refused_with_those_there_are(suites: Suites, name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        suites.switch(name, discard=False)


@pytest.mark.parametrize("found", ["b", "[1]", "'x; touch y'"])
def test_a_file_of_another_name_is_refused(suites: Suites, found: str) -> None:
    (suites.folder / "a.yaml").write_text(f"suite: {found}\n")
    with pytest.raises(ValueError, match=r"a.yaml: suite is .*; it must be 'a', as the file is called"):
        suites.switch("a", discard=False)


def test_a_suite_whose_name_could_not_be_left_again_is_refused(suites: Suites) -> None:
    (suites.folder / "Mine.yaml").write_text("suite: Mine\n")
    before = state(suites)
    with pytest.raises(
        ValueError, match=r"Mine\.yaml: a suite's name has lower-case letters, .*; call the file, and suite in"
    ):
        suites.switch("Mine", discard=False)
    assert state(suites) == before


def test_a_broken_file_is_named_and_not_the_one_that_was_asked_for(suites: Suites) -> None:
    (suites.folder / "base.yaml").write_text("suite: base\nlr: [\n")
    with pytest.raises(ValueError, match=r"base\.yaml: it is not valid YAML"):
        suites.text("a")
    (suites.folder / "other.yaml").write_bytes("# caf\u00e9\nsuite: other\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"other\.yaml is not UTF-8 text .*; save it as UTF-8"):
        suites.text("a")


def test_a_name_that_cannot_be_a_file_keeps_its_lock_where_it_is(suites: Suites) -> None:
    suites.params.write_text("suite: ../../etc\n")
    with pytest.raises(ValueError, match=r"params.yaml: suite is '../../etc'; it must be lower-case letters"):
        suites.switch("a", discard=True)
    assert suites.lock.exists()


def test_the_committed_parameters_are_those_of_their_suite() -> None:
    assert not COMMITTED.edited()


@pytest.mark.parametrize("name", COMMITTED.names())
def test_a_committed_suite_gives_the_base_with_what_it_says(name: str) -> None:
    whole, said = document(COMMITTED.text(name)), document((COMMITTED.folder / f"{name}.yaml").read_text())
    assert whole["suite"] == name
    assert whole.keys() == document(COMMITTED.text(COMMITTED.base)).keys()
    assert said.keys() <= whole.keys()
