"""python -m tools.fuzz finds its kinds, counts and fails."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.command.options import arguments
from tests import tiny
from tests.fuzzing import containers
from tests.fuzzing.judging import Outcome
from tools.fuzz import main


def _run(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["fuzz", *words])
    main(**arguments(main))


def _outcomes(_seed: int, cases: int, _folder: Path) -> Iterator[Outcome]:
    yield from [Outcome("refused")] * (cases - 1)
    yield Outcome("traceback", "case 9: KeyError")


def test_cases_are_counted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    outcomes = [Outcome("refused"), Outcome("accepted")] * 1000
    monkeypatch.setattr(containers, "run", lambda *_: iter(outcomes))
    _run(monkeypatch, "--cases", "2000", "--kind", "containers")
    assert "containers: 2,000 cases: accepted 1,000, refused 1,000" in capsys.readouterr().err


def test_a_failure_is_shown_and_fails_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(containers, "run", _outcomes)
    with pytest.raises(ValueError, match="1 cases failed, see above"):
        _run(monkeypatch, "--cases", "3", "--kind", "containers")
    said = capsys.readouterr().err
    assert "traceback: case 9: KeyError" in said
    assert "containers: 3 cases: refused 2, traceback 1" in said


def test_the_command_runs_every_kind() -> None:
    words = [sys.executable, "-m", "tools.fuzz", "--cases", "2", "--seed", "3"]
    done = subprocess.run(words, cwd=tiny.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "checkpoints: 2 cases: " in done.stderr
    assert "containers: 2 cases: " in done.stderr
