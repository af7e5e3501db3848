"""Hours are added up over runs, failed ones too; the commit is told with what is not in it."""

import json
import subprocess
import time
from pathlib import Path

import pytest

from lib.graph import provenance


def test_hours_add_up_over_runs_by_suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 3600.0, 10.0, 1810.0, 0.0, 7200.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    path = tmp_path / "hours.json"
    with provenance.counted(path, "digits"):
        pass
    with pytest.raises(KeyboardInterrupt), provenance.counted(path, "digits"):
        raise KeyboardInterrupt
    with provenance.counted(path, "other"):
        pass
    assert json.loads(path.read_text()) == {"digits": 1.5, "other": 2.0}
    assert provenance.facts(tmp_path, path, "digits")["Hours"].startswith("1.5 ")
    assert "Hours" not in provenance.facts(tmp_path, path, "unknown")


@pytest.mark.parametrize("content", ["", "[]", '{"digits": "many"}', "no JSON"])
def test_a_file_of_something_else_is_no_hours(tmp_path: Path, content: str) -> None:
    (tmp_path / "hours.json").write_text(content)
    assert provenance.facts(tmp_path, tmp_path / "hours.json", "digits") == {}


def test_the_commit_is_marked_where_files_differ_from_it(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        identity = ("-c", "user.name=a", "-c", "user.email=a@b")
        done = subprocess.run(["git", *identity, *words], cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    assert provenance.commit(tmp_path / "absent") == ""
    git("init", "--quiet")
    (tmp_path / "file").write_text("one")
    git("add", "file")
    git("commit", "--quiet", "--message", "one")
    head = git("rev-parse", "HEAD")
    assert provenance.commit(tmp_path) == head
    (tmp_path / "file").write_text("two")
    assert provenance.commit(tmp_path) == f"{head}-dirty"
