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
    path.write_text('{"short": 0.04, "long": 123.44}')
    assert provenance.facts(tmp_path, path, "short")["Hours"].startswith("0.04 ")
    assert provenance.facts(tmp_path, path, "long")["Hours"].startswith("123.4 ")


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


def test_what_a_run_writes_is_no_difference_and_parameters_are_none_that_a_suite_gives(tmp_path: Path) -> None:
    texts = {
        "suites/digits.yaml": "suite: digits\nlr: 0.1\n",
        "suites/other.yaml": "suite: other\nlr: 0.2\n",
        "params.yaml": "suite: digits\nlr: 0.1\n",
        "dvc.lock": "",
        "metrics/digits/table.md": "",
        "models/zoo/digits/README.md": "",
        "suites/other.lock": "",
        "code.py": "",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for words in (["init", "--quiet"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "one"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    head = provenance.commit(tmp_path)
    assert len(head) == 40
    for name in ("dvc.lock", "metrics/digits/table.md", "models/zoo/digits/README.md", "suites/other.lock"):
        (tmp_path / name).write_text("made anew")
    (tmp_path / "params.yaml").write_text("suite: other\nlr: 0.2\n")
    assert provenance.commit(tmp_path) == head
    for text in ("suite: other\nlr: 0.3\n", "suite: [", "suite: unknown\n"):
        (tmp_path / "params.yaml").write_text(text)
        assert provenance.commit(tmp_path) == f"{head}-dirty"
    (tmp_path / "params.yaml").write_text(texts["params.yaml"])
    assert provenance.commit(tmp_path) == head
    for name in ("code.py", "package/new.py", "suites/new.yaml"):  # the latter two are not even in git yet
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("1")
        assert provenance.commit(tmp_path) == f"{head}-dirty", name
        subprocess.run(["git", "stash", "--quiet", "--include-untracked"], cwd=tmp_path, check=True)
        assert provenance.commit(tmp_path) == head
